"""A model folder comes out of a real git and DVC repository: its own files alone, each once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.inference.predictor import Predictor
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import read_yaml
from sentiment.registry import fetching
from sentiment.registry.fetching import fetch_model
from sentiment.registry.revisions import find
from tests.inference.test_predictor import finetuned
from tests.test_end_to_end import Project

pytestmark = pytest.mark.slow

MODEL = "models/finetuned"


def digest(content: bytes) -> str:
    """The name that DVC gives an object: its MD5."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Registry(Project):
    """A repository with a model folder and another out, pushed to a remote folder; its own cache is empty."""

    def __init__(self, root: Path, base: Path) -> None:
        super().__init__(root / "repository", root / "home")
        self.store = root / "store"
        (self.folder / "data").mkdir(parents=True)
        self.run("git", "init", "-qb", "main")
        self.run("dvc", "init", "-q")
        self.run("dvc", "remote", "add", "-d", "store", str(self.store))
        (self.folder / "data/reviews.csv").write_text("text\nsomething else of size\n")
        finetuned(base, self.folder / MODEL)
        finetuned(base, self.folder / "plain")
        self.content = {file.name: file.read_bytes() for file in (self.folder / MODEL).iterdir()}
        self.run("dvc", "add", "-q", MODEL, "data/reviews.csv")
        self.commit("first")
        self.run("git", "tag", "v1")
        self.run("dvc", "push", "-q")
        path = self.folder / MODEL / "sentiment.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": 0.4}))
        self.run("dvc", "add", "-q", MODEL)
        self.commit("second")
        self.run("dvc", "push", "-q")
        shutil.rmtree(self.folder / ".dvc/cache")
        shutil.rmtree(self.folder / MODEL)

    def objects(self) -> dict[str, Path]:
        """The objects of the remote by their hash."""
        return {file.parent.name + file.name: file for file in self.store.rglob("*") if file.is_file()}

    def commit_of(self, rev: str) -> str:
        return self.run("git", "rev-parse", rev).strip()


@pytest.fixture(scope="module")
def source(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The repository; tests work on copies."""
    return Registry(tmp_path_factory.mktemp("registry"), tiny_models("gpt2"))


@pytest.fixture
def registry(source: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A remote of the test's own, and an empty cache of the user."""
    copy = Registry.__new__(Registry)
    Project.__init__(copy, tmp_path / "repository", tmp_path / "home")
    copy.store, copy.content = tmp_path / "store", source.content
    shutil.copytree(source.folder, copy.folder)
    shutil.copytree(source.store, copy.store)
    copy.run("dvc", "remote", "modify", "store", "url", str(copy.store))
    copy.run("git", "commit", "-qam", "the store has moved")
    copy.run("git", "tag", "-f", "v2")
    for name, value in copy.environment.items():
        if name.startswith("DVC_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(copy.folder)
    return copy


def test_only_the_models_files_are_fetched_and_a_second_time_none(registry: Registry) -> None:
    """The remote first holds nothing but what the model needs, then nothing."""
    objects = registry.objects()
    [other] = [name for name, file in objects.items() if b"something else of size" in file.read_bytes()]
    objects[other].unlink()
    first = fetch_model(MODEL, rev="v2")
    assert sorted(first.files) == sorted(registry.content)
    assert first.files[-1] == "sentiment.json"
    assert first.commit == registry.commit_of("v2")
    assert {file.name for file in first.folder.iterdir()} == set(registry.content)
    assert not (registry.folder / MODEL).exists()
    assert not [file for file in (registry.folder / ".dvc").rglob("cache/files/**/*") if file.is_file()]
    assert registry.dirty() == ""
    shutil.rmtree(registry.store)
    again = fetch_model(MODEL, rev="v2")
    assert (again.folder, again.commit, again.files) == (first.folder, first.commit, ())


def test_an_older_revision_gives_its_own_bytes(registry: Registry) -> None:
    old, new = fetch_model(MODEL, rev="v1", remote="store"), fetch_model(MODEL)
    assert {file.name: file.read_bytes() for file in old.folder.iterdir()} == registry.content
    assert old.folder != new.folder
    assert new.commit == registry.commit_of("HEAD")
    assert json.loads((new.folder / "sentiment.json").read_text())["threshold"] == 0.4
    predictor = Predictor.load(MODEL, rev="v1")
    assert predictor.revision == registry.commit_of("v1")
    assert len(predictor(["Fine."])) == 1


def test_what_a_broken_fetch_left_is_not_fetched_again(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network fails at the fourth file; then the remote loses what has come already."""
    fetch, asked = fetching._fetch_file, []

    def failing(files: object, source: str, target: Path) -> None:
        asked.append(target.name)
        if len(asked) == 4:
            raise ConnectionError("reset by peer")
        fetch(files, source, target)

    monkeypatch.setattr(fetching, "_fetch_file", failing)
    with pytest.raises(InputError, match=r"reset by peer; is the model pushed"):
        fetch_model(MODEL, rev="v1")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(registry.folder.parent / "cache"))
    [folder] = fetching.cache_folder().iterdir()
    assert {file.name for file in folder.iterdir()} == set(asked[:3])
    for name in asked[:3]:
        registry.objects()[digest(registry.content[name])].unlink()
    monkeypatch.chdir(registry.folder)
    fetched = fetch_model(MODEL, rev="v1")
    assert set(fetched.files) == set(registry.content) - set(asked[:3])
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == registry.content


def test_a_damaged_file_of_the_cache_is_fetched_again(registry: Registry) -> None:
    folder = fetch_model(MODEL, rev="v1").folder
    (folder / "model-score.safetensors").write_bytes(b"\x00")
    assert fetch_model(MODEL, rev="v1").files == ("model-score.safetensors",)
    assert (folder / "model-score.safetensors").read_bytes() == registry.content["model-score.safetensors"]


def test_a_file_that_was_never_pushed_is_told(registry: Registry) -> None:
    registry.objects()[digest(registry.content["model-score.safetensors"])].unlink()
    with pytest.raises(InputError, match=r"is the model pushed \(`dvc push`\)"):
        fetch_model(MODEL, rev="v1")
    assert not list(fetching.cache_folder().rglob("sentiment.json"))
    assert not list(fetching.cache_folder().rglob(".partial-*"))


def test_another_repository_by_path_and_by_address_and_a_folder_that_git_keeps(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    here = fetch_model(MODEL, rev="v1", repo=str(registry.folder))
    subprocess.run(["git", "clone", "-q", "--bare", registry.folder, tmp_path / "bare.git"], check=True)
    shutil.rmtree(registry.folder)
    address = f"file://{tmp_path / 'bare.git'}"
    there = fetch_model(MODEL, rev="v1", repo=address)
    assert (there.folder, there.commit, there.files) == (here.folder, here.commit, ())
    plain = fetch_model("plain", repo=address)
    assert {file.name: file.read_bytes() for file in plain.folder.iterdir()} == registry.content
    assert plain.folder != here.folder


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"rev": "v9"}, "v9: not a revision or experiment of the repository here; `git log"),
        ({"remote": "stoer"}, r"--remote: found stoer, allowed: store.* \(did you mean store\?\)"),
        ({"repo": "/no/such/place"}, "/no/such/place: cannot be opened as a DVC repository"),
        ({"folder": "models/fintuned"}, r"not in the revision HEAD; allowed: .*\(did you mean models/finetuned\?\)"),
        ({"folder": "data/reviews.csv"}, "a file in the revision HEAD, must be a model folder"),
        ({"folder": "data"}, r"no sentiment\.json in it"),
    ],
)
def test_what_cannot_be_had_is_told(asked: dict[str, str], told: str, registry: Registry) -> None:
    with pytest.raises(InputError, match=told):
        fetch_model(**{"folder": MODEL, **asked})


def test_a_remote_whose_package_is_not_installed_is_told(registry: Registry) -> None:
    """It is younger than the revision, too."""
    registry.run("dvc", "remote", "add", "cloud", "gs://bucket/models")
    with pytest.raises(InputError, match=r"gs is supported, but requires 'dvc-gs' to be installed"):
        fetch_model(MODEL, rev="v1", remote="cloud")


def poison(registry: Registry, change: Callable[[Path], None]) -> None:
    """Commit a model folder that its own commands would not write, and push it."""
    registry.run("dvc", "pull", "-q", MODEL)
    change(registry.folder)
    registry.commit("poisoned")
    registry.run("dvc", "push", "-q")


def test_a_repository_cannot_reach_beyond_its_folder_of_the_cache(registry: Registry, tmp_path: Path) -> None:
    """sentiment.json lists a file of the user, which stands as far above the cache; it is asked twice."""
    victim = fetching.cache_folder() / "victim.txt"
    victim.parent.mkdir(parents=True)
    victim.write_text("mine")

    def change(folder: Path) -> None:
        path = folder / MODEL / "sentiment.json"
        stated = json.loads(path.read_text())
        path.write_text(json.dumps({**stated, "sha256": {**stated["sha256"], "../victim.txt": "0" * 64}}))
        (folder / "models/victim.txt").write_text("theirs")
        registry.run("dvc", "add", "-q", MODEL)

    poison(registry, change)
    for _ in range(2):
        with pytest.raises(InputError, match=r"sentiment\.json: sha256: found the file name '\.\./victim\.txt'"):
            Predictor.load(MODEL, repo=str(registry.folder))
        assert victim.read_text() == "mine"


def test_a_list_of_files_cannot_name_one_outside(registry: Registry) -> None:
    """In the object on the remote that lists the folder's files, one has a name such as Windows would follow."""
    listing = read_yaml(registry.folder / f"{MODEL}.dvc")["outs"][0]["md5"]
    files = json.loads(registry.objects()[listing].read_bytes())
    content = json.dumps([*files, {"md5": files[0]["md5"], "relpath": "..\\victim.safetensors"}]).encode()
    forged = f"{digest(content)}.dir"
    file = registry.store / "files/md5" / forged[:2] / forged[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    described = registry.folder / f"{MODEL}.dvc"
    described.write_text(described.read_text().replace(listing, forged))
    registry.run("git", "commit", "-qam", "forged")
    told = r"found the file name '\.\.\\\\victim"
    with pytest.raises(InputError, match=f"list of its files in the revision: {told}"):
        fetch_model(MODEL)
    assert not list(fetching.cache_folder().rglob("*victim*"))
    told = f"HEAD: the list of the files of {MODEL}: {told}"
    with pytest.raises(InputError, match=told), find("HEAD", ".", None):
        pass


def test_the_hash_of_a_folder_cannot_lead_out_of_the_cache(registry: Registry) -> None:
    described = registry.folder / f"{MODEL}.dvc"
    listing = read_yaml(described)["outs"][0]["md5"]
    described.write_text(described.read_text().replace(listing, "../../outside.dir"))
    registry.run("git", "commit", "-qam", "forged")
    with pytest.raises(InputError, match=r"md5 .*: found the file name '\.\./\.\./outside'"):
        fetch_model(MODEL)
    assert not fetching.cache_folder().exists()


def test_a_password_in_an_address_is_not_printed() -> None:
    with pytest.raises(InputError, match=r"^https://127\.0\.0\.1:9/reviews: ") as refused:
        fetch_model(MODEL, None, "https://me:secret@127.0.0.1:9/reviews", None)
    assert "secret" not in str(refused.value)
