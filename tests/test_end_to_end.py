"""The real commands in a clone: repro, its no-ops, equal bytes, experiments, diffs, and what a slip gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

STAGES = ("prepare", "base", "tokenize", "train", "evaluate", "plot")
SMALL_PARAMS = {
    "base": {"pretraining_rows": 200, "pretraining_block_size": 32},
    "tokenize": {"max_length": 64},
    "train": {"epochs": 1, "learning_rate": 0.003},
}


class Project:
    """A copy of this project in a git repository of its own, and the commands run in it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT_", "PYTHON"))},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(home / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(home / "system"),
            "DVC_SITE_CACHE_DIR": str(home / "site"),
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
            "HF_HUB_OFFLINE": "1",
        }  # fmt: skip

    def run(self, *command: str, fails: bool = False, **environment: str) -> str:
        """Run a command; give what it printed on both streams."""
        result = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (result.returncode != 0) == fails, f"{command}: status {result.returncode}\n{result.stdout}"
        return result.stdout

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def change(self, file: str, section: str, key: str, value: object) -> None:
        yaml = YAML()
        content = yaml.load(self.folder / file)
        content[section][key] = value
        yaml.dump(content, self.folder / file)

    def dirty(self) -> str:
        return self.run("git", "status", "--porcelain")


def copy_of_the_project(folder: Path, home: Path) -> Project:
    """Copy what git tracks or would track, as it is in the working tree; make the run small; commit."""
    listing = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    project = Project(folder, home)
    project.run("git", "init", "-qb", "main")
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project that has been run once and committed."""
    project = copy_of_the_project(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home"))
    for section, values in SMALL_PARAMS.items():
        for key, value in values.items():
            project.change("params.yaml", section, key, value)
    project.change(
        "catalog.yaml", "datasets", "builtin", builtin_of(project, rows={"train": 300, "validation": 60, "test": 80})
    )
    yaml = YAML(typ="safe")
    mini = yaml.load(project.folder / "catalog.yaml")["models"]["gpt2-mini"]
    project.change(
        "catalog.yaml", "models", "gpt2-mini", {**mini, "layers": 2, "width": 32, "heads": 2, "positions": 64}
    )
    (project.folder / "dvc.lock").unlink()
    project.output = project.run("dvc", "repro")  # type: ignore[attr-defined]
    project.commit("first")
    return project


def builtin_of(project: Project, **changes: object) -> dict[str, object]:
    entry = YAML(typ="safe").load(project.folder / "catalog.yaml")["datasets"]["builtin"]
    return {**entry, **changes}


def ran(output: str) -> list[str]:
    """The stages that a repro really ran."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def test_the_committed_lock_is_current(tmp_path: Path) -> None:
    """In a clone without any data, DVC finds every stage unchanged."""
    project = copy_of_the_project(tmp_path / "clone", tmp_path / "home")
    project.commit("as committed")
    output = project.run("dvc", "repro", "--allow-missing", "--dry")
    assert ran(output) == []
    for stage in STAGES:
        assert f"Stage '{stage}' didn't change, skipping" in output


def test_repro_runs_all_stages_and_shows_the_table_and_the_report(project: Project) -> None:
    output = project.output  # type: ignore[attr-defined]
    assert ran(output) == list(STAGES)
    assert "before" in output
    assert "Report: reports/report.html" in output
    assert (project.folder / "reports/report.html").is_file()


def test_a_second_repro_runs_nothing_and_git_is_clean(project: Project) -> None:
    assert ran(project.run("dvc", "repro")) == []
    assert "up to date" in project.run("dvc", "status")
    assert project.dirty() == ""


def test_a_plot_setting_reruns_plot_alone(project: Project) -> None:
    project.change("params.yaml", "plot", "dpi", 80)
    assert ran(project.run("dvc", "repro")) == ["plot"]
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout")


def test_another_catalog_entry_reruns_nothing(project: Project) -> None:
    project.change("catalog.yaml", "datasets", "mine", {"source": "local", "path": "data/raw/mine.csv"})
    assert "up to date" in project.run("dvc", "status")
    project.run("git", "checkout", "-q", ".")


def test_the_same_choices_give_the_same_bytes(project: Project, tmp_path: Path) -> None:
    """From nothing in another folder, under another hash seed, time zone and locale."""
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "elsewhere"))
    elsewhere = Project(tmp_path / "elsewhere", tmp_path / "home")
    (elsewhere.folder / "dvc.lock").unlink()
    output = elsewhere.run("dvc", "repro", PYTHONHASHSEED="11", TZ="America/Lima", LC_ALL="C")
    assert ran(output) == list(STAGES)
    assert elsewhere.dirty() == ""


def test_another_seed_changes_the_weights(project: Project) -> None:
    lock = YAML(typ="safe").load(project.folder / "dvc.lock")["stages"]
    project.run("dvc", "exp", "run", "--temp", "-n", "seeded", "-S", "seed=1", "train")
    [reference] = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/seeded").split()
    other = YAML(typ="safe").load(project.run("git", "show", f"{reference}:dvc.lock"))["stages"]
    for stage, out in (("base", "models/base"), ("train", "models/finetuned")):
        first, second = ({o["path"]: o["md5"] for o in stages[stage]["outs"]} for stages in (lock, other))
        assert first[out] != second[out]


def test_experiments_and_diffs_say_something(project: Project) -> None:
    project.run("dvc", "exp", "run", "-n", "slow", "-S", "train.learning_rate=1e-5", "-S", "plot.worst_rows=3")
    assert "train.learning_rate" in project.run("dvc", "params", "diff")
    assert "1e-05" in project.run("dvc", "params", "diff")
    changed = json.loads(project.run("dvc", "metrics", "diff", "--json"))["metrics.json"]
    assert "diff" in changed["test.log_loss"]
    project.run("dvc", "plots", "diff", "HEAD", "-o", "compared")
    page = (project.folder / "compared/index.html").read_text(encoding="utf-8")
    assert "<script src" not in page
    assert '"rev": "workspace"' in page or '"rev":"workspace"' in page
    shutil.rmtree(project.folder / "compared")
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout")
    project.run("dvc", "exp", "run", "--queue", "-n", "sweep", "-S", "train.weight_decay=0.1,0.2")
    project.run("dvc", "exp", "run", "--run-all", "--jobs", "2")
    table = project.run("dvc", "exp", "show", "--csv", "--only-changed")
    assert "sweep-1" in table
    assert "sweep-2" in table
    assert "Failed" not in table
    assert project.dirty() == ""


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "learnin_rate", 1, r"train.learnin_rate: no such key, allowed: epochs, batch_size"),
        ("train", "schedule", "liner", r"train.schedule: found \"liner\", allowed: linear, cosine, constant"),
        ("prepare", "test_fraction", 2, r"prepare.test_fraction: found 2, must be less than 1"),
    ],
)
def test_a_slip_in_any_section_stops_the_first_stage_that_runs(
    project: Project, section: str, key: str, value: object, message: str
) -> None:
    project.change("params.yaml", section, key, value)
    output = project.run("dvc", "repro", "-f", "prepare", fails=True)
    assert message.replace("\\", "") in output
    assert "Traceback" not in output
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout")


def test_an_unknown_name_stops_before_anything_runs(project: Project) -> None:
    project.change("params.yaml", "model", "name", "gpt3")
    output = project.run("dvc", "repro", fails=True)
    assert "Parameters 'models.gpt3' are missing from 'catalog.yaml'" in output
    assert ran(output) in ([], ["base"])
    told = project.run("python", "-m", "sentiment", "check", fails=True)
    assert (
        "model.name: found gpt3, allowed: gpt2-mini, gpt2, minilm, minilm-package, distilbert, bert, roberta, local"
        in told
    )
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout")


def test_every_recipe_starts_under_dvc(project: Project) -> None:
    names = list(YAML(typ="safe").load(project.folder / "recipes.yaml"))
    assert len(names) >= 8
    for name in names:
        project.run("python", "-m", "sentiment", "recipe", "use", name)
        assert "train" in ran(project.run("dvc", "repro", "--dry"))
    project.run("git", "checkout", "-q", ".")
    queue = "python -m sentiment recipe flags rotten-tomatoes-gpt2-label-words | xargs dvc exp run --queue -n words"
    assert "words" in project.run("bash", "-c", queue)
    assert "{review} Sentiment:" in project.run("dvc", "exp", "show", "--csv")
    project.run("dvc", "queue", "remove", "--queued")
    assert project.dirty() == ""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium, which .ci/run installs where it can")
def test_the_plots_are_drawn_in_a_browser_without_a_network(project: Project, tmp_path: Path) -> None:
    project.run("dvc", "plots", "diff", "HEAD", "-o", str(tmp_path / "shown"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    cut_off = "--host-resolver-rules=MAP * ~NOTFOUND"
    page = (tmp_path / "shown/index.html").as_uri()
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    drawn = subprocess.run(
        ["chromium", *flags, cut_off, profile, "--virtual-time-budget=10000", "--dump-dom", page],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    plots = YAML(typ="safe").load(project.folder / "dvc.yaml")["plots"]
    assert drawn.count('class="marks"') == sum(isinstance(plot, dict) for plot in plots) >= 7
