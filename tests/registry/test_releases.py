"""A release is refused for each thing that is wrong, and what is released comes out the same from outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dvc.api
import gto.api
import gto.registry
import gto.tag
import pytest
from gto.exceptions import GTOException

from sentiment.inference.predictor import Predictor
from sentiment.pipeline.catalog import read_yaml
from sentiment.pipeline.errors import InputError
from sentiment.registry.releases import release, version_problems
from tests.conftest import ROOT
from tests.inference.test_predictor import finetuned
from tests.registry.test_fetching import digest
from tests.test_end_to_end import Project, copy_of_the_project

pytestmark = pytest.mark.slow

MODEL = "models/finetuned"
FIRST, SECOND = "sentiment@v1.0.0", "sentiment@v1.1.0"


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def make_up_outs(project: Project, base: Path) -> None:
    """Write every out of the pipeline: a model as the stage train does, and small files for the others."""
    for stage in read_yaml(project.folder / "dvc.yaml")["stages"].values():
        for out in stage["outs"]:
            file = project.folder / out if Path(out).suffix else project.folder / out / "made_up.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"made up": out}))
    for split in ("train", "validation"):
        (project.folder / f"data/prepared/{split}.parquet").write_text(split)
    (project.folder / MODEL / "made_up.txt").unlink()
    finetuned(base, project.folder / MODEL)


def finished(root: Path, base: Path) -> Project:
    """A copy of this project whose pipeline is held to have run; DVC has a remote that holds nothing yet."""
    project = copy_of_the_project(root / "repository", root / "home")
    make_up_outs(project, base)
    (project.folder / "dvc.lock").unlink()
    project.run("dvc", "commit", "-q", "-f")
    project.run("dvc", "remote", "add", "-d", "storage", str(root / "storage"))
    project.commit("first")
    return project


def train_again(project: Project) -> None:
    """Change a choice and the model, as a run of the pipeline would, and commit it."""
    project.change("params.yaml", "train", "learning_rate", 0.125)
    path = project.folder / MODEL / "sentiment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": 0.4}))
    project.run("dvc", "commit", "-q", "-f")
    project.commit("second")


@pytest.fixture(scope="module")
def source(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project, pushed; tests work on copies."""
    project = finished(tmp_path_factory.mktemp("release"), tiny_models("gpt2"))
    project.run("dvc", "push", "-q")
    return project


def copied(source: Project, root: Path) -> Project:
    """A copy of a project and of its remote."""
    shutil.copytree(source.folder, root / "repository", symlinks=True)
    shutil.copytree(source.folder.parent / "storage", root / "storage")
    copy = Project(root / "repository", root / "home")
    copy.run("dvc", "remote", "modify", "storage", "url", str(root / "storage"))
    copy.run("git", "commit", "-qam", "the storage has moved")
    return copy


def enter(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a project, within this process."""
    for name, value in project.environment.items():
        if name.startswith(("DVC_", "GIT_")):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(project.folder.parent / "cache"))
    monkeypatch.chdir(project.folder)


@pytest.fixture
def project(source: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A finished project of the test's own; its working directory."""
    copy = copied(source, tmp_path)
    enter(copy, monkeypatch)
    return copy


def tags(project: Project) -> list[str]:
    return project.run("git", "tag").split()


def test_a_release_tags_the_commit_and_says_how_to_publish_it(project: Project) -> None:
    output = project.run("python", "-m", "sentiment", "release", "v1.0.0", "--stage", "prod")
    assert "git push origin sentiment@v1.0.0 'sentiment#prod#1'" in output
    assert tags(project) == ["sentiment#prod#1", FIRST]
    for tag in tags(project):
        assert project.run("git", "cat-file", "-t", tag).strip() == "tag"
        assert project.run("git", "rev-parse", f"{tag}^{{}}") == project.run("git", "rev-parse", "HEAD")
    assert project.dirty() == ""


def test_a_stage_goes_to_the_next_version_and_back(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = project.run("git", "rev-parse", "HEAD").strip()
    assert release("v1.0.0") == [FIRST]
    train_again(project)
    project.run("dvc", "push", "-q")
    assert release("v1.1.0", "prod") == [SECOND, "sentiment#prod#1"]
    assert release("v1.0.0", "prod") == ["sentiment#prod#2"]
    assert dvc.api.artifacts_show("sentiment", stage="prod")["rev"] == first
    with pytest.raises(InputError, match=r"1 problem\(s\)\n  --stage: it is in prod already"):
        release("v1.0.0", "prod")
    times = [project.run("git", "tag", "-l", f"sentiment#prod#{n}", "--format=%(taggerdate:unix)") for n in (1, 2)]
    assert int(times[0]) < int(times[1])  # DVC goes by them, and they are in seconds
    with monkeypatch.context() as within:
        within.setattr("time.time", lambda: float(times[1]))
        gto.api.unassign(".", "sentiment", version="v1.0.0", stage="prod")
    find = gto.tag.find  # equal times: gto may give the tags in any order
    monkeypatch.setattr(
        "gto.tag.find", lambda **which: sorted(find(**which), key=lambda tag: tag.name[-1], reverse=True)
    )
    assert release("v1.0.0", "prod") == ["sentiment#prod#4"]
    assert "warning" not in capsys.readouterr().err
    release("v1.0.0", "produktion")
    assert "warning: no version was in produktion before; there are: prod\n" in capsys.readouterr().err


def test_a_version_goes_to_a_stage_only_where_it_can_still_be_pulled(project: Project) -> None:
    """Whatever has happened to the tree since."""
    release("v1.0.0")
    lose(project, "sentiment.json")
    train_again(project)
    (project.folder / "README.md").write_text("")
    with pytest.raises(InputError, match=rf"not on the remote storage: {MODEL}/sentiment\.json; `dvc push"):
        release("v1.0.0", "prod")
    assert tags(project) == [FIRST]


def lose(project: Project, name: str) -> None:
    """Delete an object of the remote: a file of the model."""
    lost = digest((project.folder / MODEL / name).read_bytes())
    (project.folder.parent / "storage/files/md5" / lost[:2] / lost[2:]).unlink()


def edit(project: Project, file: str, old: str, new: str) -> None:
    """Replace a text in a file of the project, and commit."""
    path = project.folder / file
    before = path.read_text()
    path.write_text(before.replace(old, new))
    assert path.read_text() != before
    project.commit(f"{file} changed")


def stage_a_change(project: Project) -> None:
    with (project.folder / "catalog.yaml").open("a") as file:
        file.write("# one more line\n")
    project.run("git", "add", "catalog.yaml")


def forget_the_remote(project: Project) -> None:
    project.run("dvc", "remote", "remove", "storage")
    project.commit("no remote")


SLIPS: dict[str, Callable[[Project], object]] = {
    "changed": lambda project: (project.folder / "README.md").write_text("changed"),
    "staged": stage_a_change,
    "untracked": lambda project: (project.folder / "sentiment/forgotten.py").touch(),
    "choice": lambda project: edit(project, "params.yaml", "  epochs: ", "  epochs: 1"),
    "code": lambda project: edit(project, "stages/evaluate.py", "import", "import  "),
    "command": lambda project: edit(project, "dvc.yaml", "-m stages.plot", "-B -m stages.plot"),
    "out": lambda project: (project.folder / MODEL / "config.json").write_text("{}"),
    "not pulled": lambda project: shutil.rmtree(project.folder / MODEL),
    "not pushed": lambda project: shutil.rmtree(project.folder.parent / "storage"),
    "one lost": lambda project: lose(project, "model-score.safetensors"),
    "no remote": forget_the_remote,
    "unreachable": lambda project: edit(project, ".dvc/config", "url = /", "url = gs://no-extra-here/"),
    "no model": lambda project: edit(project, "dvc.yaml", "path: models/finetuned", "path: models/base"),
}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("changed", r"not in the commit: README\.md; commit"),
        ("staged", r"not in the commit: catalog\.yaml; commit"),
        ("untracked", r"not in the commit: sentiment/forgotten\.py; commit"),
        ("choice", r"what lies here: plot: params\.yaml\.train modified, train: params\.yaml\.train modified; `dvc "),
        ("code", r"what lies here: evaluate: stages/evaluate\.py modified; "),
        ("command", r"what lies here: plot: changed command"),
        ("out", rf"what lies here: evaluate: {MODEL} modified, train: {MODEL} modified"),
        ("not pulled", rf"what lies here: evaluate: {MODEL} deleted, train: {MODEL} deleted; `dvc pull` brings"),
        ("not pushed", r"not on the remote storage: data/predictions/, .* more; `dvc push -r storage` sends it"),
        ("one lost", rf"not on the remote storage: {MODEL}/model-score\.safetensors; `dvc push"),
        ("no remote", r"no DVC remote to pull from; `dvc remote add -d storage URL && dvc push &&"),
        ("unreachable", r"the default remote does not say what it holds: gs is supported, but requires 'dvc-gs'"),
        ("no model", rf"dvc\.yaml: no artifact with the path {MODEL}"),
    ],
)
def test_what_others_could_not_pull_or_make_again_is_not_released(name: str, told: str, project: Project) -> None:
    SLIPS[name](project)
    with pytest.raises(InputError, match=told) as caught:
        release("v1.0.0", "prod")
    assert "problem(s)" not in str(caught.value) or "1 problem(s)\n" in str(caught.value)
    assert tags(project) == []


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.2.0", "found 1.2.0, allowed: v and a semantic version, such as v1.11.0 or"),
        ("v1.12", "found v1.12, allowed"),
        ("v01.12.0", "found v01.12.0, allowed"),
        ("latest", "found latest, allowed"),
        ("v1.10.0", "found v1.10.0, must be greater than v1.10.0, such as v1.11.0"),
        ("v1.10.0-rc.1", "found v1.10.0-rc.1, must be greater than v1.10.0"),
        ("v1.9.1", "found v1.9.1, must be greater than v1.10.0"),
    ],
)
def test_a_version_is_semantic_and_greater_than_all_before(version: str, told: str) -> None:
    [problem] = version_problems(version, {"v1.10.0": "a" * 40, "v1.9.0": "b" * 40}, "c" * 40)
    assert told in problem


@pytest.mark.parametrize("version", ["v1.10.1-rc.1", "v1.10.1", "v2.0.0"])
def test_a_greater_version_is_no_problem(version: str) -> None:
    assert version_problems(version, {"v1.10.0": "a" * 40}, "c" * 40) == []
    assert version_problems(version, {}, "c" * 40) == []


def test_what_cannot_be_asked_is_told(project: Project) -> None:
    """With versions in the order of their numbers, not of their letters or times."""
    for version in ("v1.9.0", "v1.10.0"):
        release(version)
        project.run("git", "commit", "-q", "--allow-empty", "-m", "next")
    asked = (
        (("v1.9.0",), r"must be greater than v1\.10\.0"),
        (("v1.9.1", "prod"), r"must be greater than v1\.10\.0"),
        (("v2.0.0", "pr od"), "--stage: found pr od, allowed: letters"),
        (("v2.0.0", "prod", "stroage"), "the remote stroage does not say what it holds: .*stroage"),
    )
    for words, told in asked:
        with pytest.raises(InputError, match=rf"1 problem\(s\)\n.*{told}"):
            release(*words)
    assert tags(project) == ["sentiment@v1.10.0", "sentiment@v1.9.0"]


def test_everything_wrong_is_told_at_once(project: Project) -> None:
    release("v1.0.0")
    for name in ("no remote", "choice", "untracked"):
        SLIPS[name](project)
    project.run("git", "tag", "-fam", "moved", FIRST)  # the commit has a version, which a second one cannot have
    output = project.run("python", "-m", "sentiment", "release", "v1", "--stage", "-", fails=True)
    assert output.startswith("error: sentiment v1 is not released, nothing is tagged: 5 problem(s)\n")
    assert "Traceback" not in output
    output = project.run("python", "-m", "sentiment", "release", "v2.0.0", fails=True)
    assert "this commit is v1.0.0 already; `release v1.0.0 --stage STAGE` brings that to a stage" in output
    assert tags(project) == [FIRST]


def test_a_stage_that_fails_leaves_no_version(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise GTOException("no more stages")

    monkeypatch.setattr(gto.registry.GitRegistry, "assign", failing)
    with pytest.raises(InputError, match="no more stages"):
        release("v1.0.0", "prod")
    assert tags(project) == []


def test_outside_of_a_repository_nothing_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}: not a DVC repository"):
        release("v1.0.0")


class Outside(Project):
    """An empty folder of somebody who knows an address, two models that were released there and their commits."""

    def __init__(self, root: Path, address: str, models: dict[str, dict[str, bytes]], commits: dict[str, str]) -> None:
        super().__init__(root / "outside", root / "home of another")
        self.address, self.models, self.commits = address, models, commits

    def got(self, name: str) -> dict[str, bytes]:
        return contents(self.folder / name)


@pytest.fixture(scope="module")
def published(source: Project, tmp_path_factory: pytest.TempPathFactory) -> Outside:
    """Two versions, the first in the stage prod, on a git server; of the place where they were made nothing is left."""
    root = tmp_path_factory.mktemp("published")
    project = copied(source, root)
    models, commits = {}, {}
    for version, stage in (("v1.0.0", ["--stage", "prod"]), ("v1.1.0", [])):
        if models:
            train_again(project)
            project.run("dvc", "push", "-q")
        project.run("python", "-m", "sentiment", "release", version, *stage)
        models[version] = contents(project.folder / MODEL)
        commits[version] = project.run("git", "rev-parse", "HEAD").strip()
    project.run("git", "init", "-q", "--bare", "-b", "main", str(root / "server.git"))
    project.run("git", "push", "-q", str(root / "server.git"), "main", "--tags")
    shutil.rmtree(project.folder)
    return Outside(root, f"file://{root / 'server.git'}", models, commits)


@pytest.fixture
def outside(published: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """The same, in an empty folder of the test's own; its working directory."""
    copy = Outside(tmp_path, published.address, published.models, published.commits)
    copy.folder.mkdir()
    enter(copy, monkeypatch)
    return copy


def test_dvc_gets_the_artifact_by_version_by_stage_and_the_greatest(outside: Outside) -> None:
    wanted = {
        "greatest": ([], "v1.1.0"),
        "exact": (["--rev", "v1.0.0"], "v1.0.0"),
        "p": (["--stage", "prod"], "v1.0.0"),
    }
    for name, (words, version) in wanted.items():
        outside.run("dvc", "artifacts", "get", outside.address, "sentiment", *words, "-o", name)
        assert outside.got(name) == outside.models[version]


def test_dvc_gets_the_folder_at_a_tag(outside: Outside) -> None:
    for version in ("v1.0.0", "v1.1.0"):
        outside.run("dvc", "get", outside.address, MODEL, "--rev", f"sentiment@{version}", "-o", version)
        assert outside.got(version) == outside.models[version]


def test_another_project_imports_the_model_and_moves_on(outside: Outside, tmp_path: Path) -> None:
    outside.run("git", "init", "-qb", "main")
    outside.run("dvc", "init", "-q")
    outside.run("dvc", "import", "-q", outside.address, MODEL, "--rev", FIRST, "-o", "model")
    assert outside.got("model") == outside.models["v1.0.0"]
    locked = read_yaml(outside.folder / "model.dvc")["deps"][0]["repo"]
    assert (locked["rev"], locked["rev_lock"]) == (FIRST, outside.commits["v1.0.0"])
    outside.run("dvc", "update", "-q", "model.dvc", "--rev", SECOND)
    assert outside.got("model") == outside.models["v1.1.0"]
    outside.commit("with a model")
    outside.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", tmp_path / "third home")
    clone.run("dvc", "pull", "-q")
    assert contents(clone.folder / "model") == outside.models["v1.1.0"]


def test_python_reads_the_artifact_without_a_clone(outside: Outside) -> None:
    shown = dvc.api.artifacts_show("sentiment", version="v1.0.0", repo=outside.address)
    assert shown == {"rev": outside.commits["v1.0.0"], "path": MODEL}
    assert dvc.api.artifacts_show("sentiment", repo=outside.address)["rev"] == outside.commits["v1.1.0"]
    name = "model-score.safetensors"
    where = {"repo": outside.address, "rev": FIRST}
    content = outside.models["v1.0.0"][name]
    assert dvc.api.read(f"{MODEL}/{name}", mode="rb", **where) == content
    assert Path(dvc.api.get_url(f"{MODEL}/{name}", **where)).read_bytes() == content
    rates = [dvc.api.params_show(repo=outside.address, rev=rev)["train"]["learning_rate"] for rev in (FIRST, SECOND)]
    assert rates[0] != rates[1] == 0.125
    committed = json.loads((ROOT / "metrics.json").read_bytes())
    assert dvc.api.metrics_show(**where) == committed


def test_the_released_folder_is_a_file_system(outside: Outside) -> None:
    for version, model in outside.models.items():
        files = dvc.api.DVCFileSystem(outside.address, rev=f"sentiment@{version}")
        assert {Path(name).name for name in files.ls(MODEL, detail=False)} == set(model)
        with files.open(f"{MODEL}/model-score.safetensors", "rb") as stream:
            stream.seek(8)
            assert stream.read(16) == model["model-score.safetensors"][8:24]
        files.get(MODEL, version, recursive=True)
        assert outside.got(version) == model


@pytest.mark.parametrize(("rev", "version"), [(FIRST, "v1.0.0"), ("sentiment#prod#1", "v1.0.0"), (SECOND, "v1.1.0")])
def test_a_released_model_predicts_at_its_address(rev: str, version: str, outside: Outside) -> None:
    predictor = Predictor.load(MODEL, repo=outside.address, rev=rev)
    assert predictor.revision == outside.commits[version]
    outside.folder.joinpath("here").mkdir()
    for name, content in outside.models[version].items():
        (outside.folder / "here" / name).write_bytes(content)
    here = Predictor.load("here")
    assert predictor(["A fine film.", "Dull."]) == here(["A fine film.", "Dull."])
