"""Folder, SSH and S3 remotes: pushed, pulled, read in place, damaged, cut off; and the table of docs/remotes.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sentiment.comparison.models import compare_models
from sentiment.inference.predictor import Predictor
from sentiment.pipeline.catalog import read_yaml
from sentiment.pipeline.errors import InputError
from sentiment.registry.fetching import fetch_model
from sentiment.registry.releases import release
from tests.conftest import ROOT
from tests.registry.test_fetching import digest
from tests.registry.test_releases import MODEL, contents, copied, enter, finished, train_again
from tests.test_end_to_end import Project, copy_of_the_project

pytestmark = pytest.mark.slow

HIDDEN = "no-one-may-read-this"
SHARD = "model-score.safetensors"


class Remote(ABC):
    """A DVC remote, and what lies there as seen past DVC.

    Attributes:
        url: its address.
        settings: what git may know of it.
        secrets: what git may not.
        environment, words: how `dvc get` is let in from outside: by variables, or by words of the command line.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.words: tuple[str, ...] = ()

    def join(self, project: Project, tracked: bool = True) -> None:
        """Tell a project of it: what git may know once, the secrets in every clone."""
        if tracked:
            project.run("dvc", "remote", "add", "-q", "-f", "-d", "storage", self.url)
            for option, value in {"verify": "true", **self.settings}.items():
                project.run("dvc", "remote", "modify", "storage", option, value)
            project.commit("remote")
        for option, value in self.secrets.items():
            project.run("dvc", "remote", "modify", "--local", "storage", option, value)

    def lock_out(self, project: Project) -> None:
        """Take from a project what lets it in."""
        (project.folder / ".dvc/config.local").unlink()

    @abstractmethod
    def objects(self) -> dict[str, Any]:
        """MD5 of each object to something that changes whenever the object is sent."""

    @abstractmethod
    def put(self, md5: str, content: bytes) -> None:
        """Overwrite an object."""

    @abstractmethod
    def lose(self, md5: str) -> None:
        """Delete an object."""


class Folder(Remote):
    """A folder of this machine."""

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(url)
        self.path = path

    def objects(self) -> dict[str, Any]:
        files = [file for file in self.path.rglob("files/md5/*/*") if len(file.stem) == 30]
        return {file.parent.name + file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}

    def lock_out(self, project: Project) -> None:
        """Whoever is here may read the folder: it is gone."""
        project.run("dvc", "remote", "modify", "storage", "url", f"{self.path} is not mounted")
        project.commit("gone")

    def put(self, md5: str, content: bytes) -> None:
        self.lose(md5)
        (self.path / "files/md5" / md5[:2] / md5[2:]).write_bytes(content)

    def lose(self, md5: str) -> None:
        (self.path / "files/md5" / md5[:2] / md5[2:]).unlink()


class Ssh(Folder):
    """A folder that a server gives out over SFTP to the holder of a key."""

    def __init__(self, url: str, path: Path, key: Path) -> None:
        super().__init__(url, path)
        self.settings = {"allow_agent": "false"}
        self.secrets = {"keyfile": str(key)}
        self.words = ("--remote-config", f"keyfile={key}")

    def lock_out(self, project: Project) -> None:
        Remote.lock_out(self, project)


class Bucket(Remote):
    """A bucket of a server that speaks S3 and keeps every version of an object."""

    def __init__(self, port: str, name: str) -> None:
        super().__init__(f"s3://{name}/deep")
        self.settings = {"endpointurl": f"http://127.0.0.1:{port}", "region": "us-east-1"}
        self.secrets = {"access_key_id": f"{HIDDEN}-id", "secret_access_key": HIDDEN}
        self.environment = {f"AWS_{option.upper()}": value for option, value in self.secrets.items()}
        self.name = name
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=self.settings["endpointurl"], **keys)
        self.client.create_bucket(Bucket=name)
        self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def objects(self) -> dict[str, Any]:
        found: dict[str, list[str]] = {}
        for version in self.client.list_object_versions(Bucket=self.name).get("Versions", []):
            found.setdefault("".join(version["Key"].split("/")[-2:]), []).append(version["VersionId"])
        return found

    def put(self, md5: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"deep/files/md5/{md5[:2]}/{md5[2:]}", Body=content)

    def lose(self, md5: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=f"deep/files/md5/{md5[:2]}/{md5[2:]}")


Place = Callable[[str], Remote]


@contextmanager
def serving(*words: str) -> Iterator[str]:
    """Start a server of `tests.servers`; give its port."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.servers", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    with server:
        port = server.stdout.readline().strip()
        assert port
        yield port
        server.stdin.close()


@pytest.fixture(scope="module", params=["folder", "ssh", "s3"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give an empty remote of a name, of each kind in turn."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "folder":
        yield lambda name: Folder(str(root / name), root / name)
    elif request.param == "s3":
        with serving("s3") as port:
            yield lambda name: Bucket(port, name)
    else:
        (root / "served").mkdir()
        with serving("ssh", str(root / "served")) as port:
            yield lambda name: Ssh(f"ssh://me@127.0.0.1:{port}/{name}", root / "served" / name, root / "user_key")


@pytest.fixture(scope="module")
def source(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project; tests work on copies."""
    project = finished(tmp_path_factory.mktemp("remotes"), tiny_models("gpt2"))
    (project.folder.parent / "storage").mkdir()
    return project


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the keys of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SSH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


@pytest.fixture
def project(source: Project, _nobody: None, tmp_path: Path) -> Project:
    """A finished project of the test's own."""
    return copied(source, tmp_path)


def clone_of(project: Project, name: str, remote: Remote) -> Project:
    """A clone on a machine of its own, which knows the secrets."""
    folder = project.folder.parent / name
    project.run("git", "clone", "-q", ".", str(folder))
    clone = Project(folder, folder.parent / f"home of {name}")
    clone.environment["XDG_CACHE_HOME"] = str(folder.parent / f"home of {name}")
    remote.join(clone, tracked=False)
    return clone


def everything(project: Project) -> dict[str, bytes]:
    """The bytes of all outs of the pipeline by path."""
    outs = [out for stage in read_yaml(project.folder / "dvc.yaml")["stages"].values() for out in stage["outs"]]
    paths = [path for out in outs for path in (project.folder / out, *(project.folder / out).rglob("*"))]
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in paths if path.is_file()}


def held(project: Project) -> set[str]:
    """The MD5 of the objects in a project's cache, all that a remote is to hold."""
    objects = {file.parent.name + file.name for file in (project.folder / ".dvc/cache/files/md5").glob("*/*")}
    return objects - {digest((project.folder / "metrics.json").read_bytes())}  # which git holds


def test_what_is_pushed_once_is_pulled_elsewhere_and_released(project: Project, place: Place) -> None:
    remote = place("round-trip")
    remote.join(project)
    refused = project.run("python", "-m", "sentiment", "release", "v1.0.0", fails=True)
    assert "1 problem(s)\n  not on the remote storage: data/predictions/" in refused
    assert "files pushed" in project.run("dvc", "push")
    sent = remote.objects()
    assert set(sent) == held(project)
    assert len(sent) > 20
    assert "in sync" in project.run("dvc", "status", "-c")
    assert "Everything is up to date" in project.run("dvc", "push")
    project.run("python", "-m", "sentiment", "release", "v1.0.0")
    assert remote.objects() == sent

    clone = clone_of(project, "clone", remote)
    clone.run("dvc", "pull", "-q")
    assert everything(clone) == everything(project)
    assert "up to date" in clone.run("dvc", "status")

    server = project.folder.parent / "server.git"
    project.run("git", "clone", "-q", "--bare", ".", str(server))
    released = ("dvc", "get", "-q", f"file://{server}", MODEL, "--rev", "sentiment@v1.0.0", "-o", "got")
    if remote.secrets:
        clone.run(*released, fails=True)  # to DVC it is another repository, of which it was told no secrets
        shutil.rmtree(clone.folder / "got", ignore_errors=True)
    clone.run(*released, *remote.words, **remote.environment)
    assert contents(clone.folder / "got") == contents(project.folder / MODEL)


def test_secrets_stay_out_of_git(project: Project, place: Place) -> None:
    remote = place("secrets")
    remote.join(project)
    known = project.run("git", "log", "-p", "--all", "--", ".dvc")
    assert remote.url in known
    local = (project.folder / ".dvc/config.local").read_text() if remote.secrets else ""
    for option, value in remote.secrets.items():
        assert f"{option} = {value}" in local
        assert option not in known
        assert value not in known
    assert project.dirty() == ""


def test_models_are_asked_and_compared_where_they_lie(project: Project, place: Place) -> None:
    """In a clone with an empty cache; the first model is older than the remote that its files went to."""
    first = project.run("git", "rev-parse", "HEAD").strip()
    text = "A fine film, and never dull."
    [here] = Predictor.load(project.folder / MODEL)([text])
    remote = place("read")
    remote.join(project)
    before = load_file(project.folder / MODEL / SHARD)["score.weight"]
    save_file({"score.weight": before + np.float32(0.25)}, project.folder / MODEL / SHARD)
    train_again(project)
    project.run("dvc", "push", "-q", "--all-commits")

    clone = clone_of(project, "clone", remote)
    words = ("--rev", first, "--remote", "storage", "--json", text)
    there = json.loads(clone.run("python", "-m", "sentiment", "predict", *words).splitlines()[-1])
    assert there["probability_positive"] == pytest.approx(here.probability_positive, abs=3e-6)
    assert there["model_revision"] == first
    compared = clone.run("python", "-m", "sentiment", "diff", first, "main", "--exact", "--json", "--remote", "storage")
    [change] = [block for block in json.loads(compared[compared.index("{") :])["blocks"] if block["state"] == "changed"]
    assert change["name"] == "score"
    assert change["norm"] == pytest.approx(0.25 * before.size**0.5, rel=1e-5)
    assert held(clone) == set()


def test_without_credentials_nothing_is_read_and_each_command_says_so(
    project: Project, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = place("closed")
    remote.join(project)
    project.run("dvc", "push", "-q")
    clone = clone_of(project, "clone", remote)
    remote.lock_out(clone)
    clone.run("dvc", "pull", fails=True)
    enter(clone, monkeypatch)
    with pytest.raises(InputError, match="can the remote be reached from here"):
        fetch_model(MODEL)
    with pytest.raises(InputError, match="neither in the cache nor in the default remote"):
        compare_models("HEAD", "HEAD:models/base", ".", None, "exact")
    with pytest.raises(InputError, match=r"the default remote does not say what it holds|not on the remote storage"):
        release("v1.0.0")


def test_damage_and_loss_are_told(project: Project, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = place("damage")
    remote.join(project)
    project.run("dvc", "push", "-q")
    shard = digest((project.folder / MODEL / SHARD).read_bytes())
    remote.put(shard, b"damaged")
    careless = clone_of(project, "careless", remote)
    careless.run("dvc", "remote", "modify", "storage", "verify", "false")
    careless.run("dvc", "pull", "-q")  # why docs/remotes.md says: verify true
    assert (careless.folder / MODEL / SHARD).read_bytes() == b"damaged"
    told = rf"\({SHARD}: changed\)"
    with pytest.raises(InputError, match=told):
        Predictor.load(careless.folder / MODEL)

    clone = clone_of(project, "clone", remote)
    assert f"failed for following targets:\n{MODEL}\n" in clone.run("dvc", "pull", fails=True)
    assert not (clone.folder / MODEL / SHARD).exists()
    enter(clone, monkeypatch)
    with pytest.raises(InputError, match=told):
        Predictor.load(MODEL, rev="HEAD")

    remote.lose(shard)
    assert shard in clone.run("dvc", "pull", fails=True)
    project.run("git", "checkout", "-q", ".")
    monkeypatch.chdir(project.folder)
    with pytest.raises(InputError, match=rf"1 problem\(s\)\n  not on the remote storage: {MODEL}/{SHARD}; "):
        release("v1.0.0")


DYING = """
import os, signal, sys
from pathlib import Path

event, folder, left = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
seen = set()

def watch(name, details):
    if name == event:
        path = Path(os.fsdecode(details[event == "os.rename"])) if not isinstance(details[0], int) else Path()
        if path.is_relative_to(folder) and len(path.name) == 30:  # an object, and no list of a folder's files
            seen.add(path)
            if len(seen) > left:
                os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
from dvc.cli import main
main(sys.argv[4:])
"""


def die(project: Project, event: str, left: int, *words: str) -> None:
    """Run dvc one file at a time until it begins with the file after `left` objects of its cache, and kill it then."""
    cache = project.folder / ".dvc/cache/files/md5"
    command = [sys.executable, "-c", DYING, event, str(cache), str(left), *words, "-j", "1"]
    result = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()


def test_a_push_goes_on_where_it_was_killed(project: Project, place: Place) -> None:
    remote = place("cut-push")
    remote.join(project)
    die(project, "open", 9, "push")
    arrived = remote.objects()
    assert len([md5 for md5 in arrived if not md5.endswith(".dir")]) == 9
    missing = held(project) - set(arrived)
    assert f"{len(missing)} files pushed" in project.run("dvc", "push")
    after = remote.objects()
    assert set(after) == held(project)
    assert {md5: after[md5] for md5 in arrived} == arrived


def test_a_pull_goes_on_where_it_was_killed(project: Project, place: Place) -> None:
    """The remote loses what has arrived before the pull goes on."""
    remote = place("cut-pull")
    remote.join(project)
    project.run("dvc", "push", "-q")
    clone = clone_of(project, "clone", remote)
    die(clone, "os.rename", 9, "pull", MODEL)
    arrived = {md5 for md5 in held(clone) if len(md5) == 32}
    model = {digest(content) for content in contents(project.folder / MODEL).values()}
    assert len(arrived) == 9
    assert arrived < model
    for md5 in arrived:
        remote.lose(md5)
    clone.run("dvc", "pull", "-q", MODEL)
    assert contents(clone.folder / MODEL) == contents(project.folder / MODEL)


@pytest.mark.parametrize("file", ["data/raw/reviews.csv", "models/local/model.safetensors"])
def test_what_a_person_adds_is_pushed_pulled_and_kept(file: str, tmp_path: Path) -> None:
    """With .gitignore as it is: one that ignores a folder itself keeps DVC from walking into it."""
    project = copy_of_the_project(tmp_path / "mine", tmp_path / "home")
    (project.folder / "dvc.lock").unlink()  # no out of the pipeline is on the remote
    remote = Folder(str(tmp_path / "storage"), tmp_path / "storage")
    remote.join(project)
    (project.folder / file).write_bytes(b"Review,Label\nfine,1\n")
    project.run("dvc", "add", "-q", file)
    project.commit("added")
    assert f"{file}.dvc" in project.run("git", "ls-files")
    assert file not in project.run("git", "ls-files").splitlines()
    assert "1 file pushed" in project.run("dvc", "push")
    assert set(remote.objects()) == {digest((project.folder / file).read_bytes())}

    clone = clone_of(project, "clone", remote)
    clone.run("dvc", "pull", "-q", f"{file}.dvc")
    assert (clone.folder / file).read_bytes() == (project.folder / file).read_bytes()
    for place in (project, clone):
        place.run("dvc", "gc", "-w", "-f")
        (place.folder / file).unlink()
        place.run("dvc", "checkout", f"{file}.dvc")
        assert (place.folder / file).is_file()


TABLE = [
    line for line in (ROOT / "docs/remotes.md").read_text(encoding="utf-8").splitlines() if "dvc remote add" in line
]


@pytest.mark.parametrize("row", TABLE, ids=[line.strip("| ").split(" |")[0] for line in TABLE])
def test_the_commands_of_the_docs_are_taken_by_dvc(row: str, tmp_path: Path) -> None:
    """DVC knows each address and option, whether the package for it is installed or not."""
    (tmp_path / "scratch").mkdir()
    scratch = Project(tmp_path / "scratch", tmp_path / "home")
    scratch.run("git", "init", "-q")
    scratch.run("dvc", "init", "-q")
    scratch.run("git", "add", ".")
    commands = re.findall(r"`(dvc remote [^`]+)`", row)
    for command in [*commands, "dvc remote modify storage verify true"]:
        scratch.run(*command.split())
    assert "extra keys not allowed" in scratch.run(
        "dvc", "remote", "modify", "storage", "no_such_option", "x", fails=True
    )
    assert "storage" in scratch.run("dvc", "remote", "list")
    scratch.run("git", "add", ".")
    tracked = scratch.run("git", "diff", "--cached")
    for command in commands:
        option, value = command.split()[-2:]
        assert (f"{option} = {value}" in tracked) == ("modify storage" in command)


def test_the_docs_name_every_kind_of_remote() -> None:
    schemes = {re.search(r"-d storage (\w*)", row)[1] for row in TABLE}  # type: ignore[index]
    assert schemes == {"", "ssh", "s3", "gs", "azure", "https"}
    extras = set(re.findall(r"`(dvc-\w+)`", "".join(TABLE)))
    pinned = {line.split("==")[0] for line in (ROOT / "requirements-dev.txt").read_text().splitlines()}
    assert {"dvc-ssh", "dvc-s3"} == extras & pinned
