"""README, tree and commands agree."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for line in README.splitlines() if line.startswith("python3 -m venv")]


def test_two_commands_set_up_everything_and_ci_runs_the_second() -> None:
    run, test = COMMANDS
    start = "python3 -m venv .venv && . .venv/bin/activate && pip install -r "
    assert run == start + "requirements.txt && dvc repro"
    assert test.startswith(start + "requirements-dev.txt && ")
    assert test.endswith("python -m pytest -n auto --dist loadfile")
    assert all(tool in test for tool in ("ruff check", "ruff format --check", "mypy"))
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    pattern = re.search(r"grep '(.+)' README\.md", ci)
    assert pattern
    found = subprocess.run(
        ["grep", pattern.group(1), "README.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == test
    assert ".ci/run" in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")


def test_the_tree_names_every_file_and_no_other() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    named = set(re.findall(r"[\w./-]+", tree))
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    files = [Path(name) for name in listing if (ROOT / name).exists()]
    packages = {f.parts[1] for f in files if f.parts[0] == "sentiment" and len(f.parts) == 3}
    assert len(packages) == 16
    assert packages <= {name.rstrip("/") for name in named}
    top = {
        f.parts[0] for f in files if len(f.parts) == 1 or f.parts[0] in ("stages", "sentiment", "tests", "benchmarks")
    }
    hidden_or_said = {name for name in top if name.startswith(".")} | {"README.md", "LICENSE"}
    assert {name for name in top - hidden_or_said if name not in named and f"{name}/" not in named} == set()
    listed = {name for name in named if re.fullmatch(r"[\w-]+\.(py|ya?ml|json|txt|toml|lock)", name)}
    assert listed - {f.name for f in files} == set()


def test_the_numbers_shown_are_those_of_the_last_run() -> None:
    metrics = json.loads((ROOT / "metrics.json").read_text(encoding="utf-8"))
    row = next(line for line in README.splitlines() if line.startswith("| accuracy"))
    shown = [float(cell) for cell in row.strip("| ").split("|")[1:]]
    parts = (metrics["base"], metrics["test"], metrics["baselines"]["tfidf_lr"])
    assert shown == [round(part["accuracy"], 4) for part in parts]
    assert f"{metrics['test']['n']:,} built-in reviews" in README


def test_every_choice_that_the_readme_names_exists() -> None:
    from sentiment.pipeline.catalog import read_yaml
    from sentiment.pipeline.params import flatten

    keys = {key for key, _ in flatten(read_yaml(ROOT / "params.yaml"))}
    named = set(re.findall(r"-S ([\w.]+)=", README))
    assert len(named) >= 3
    assert named <= keys
    assert set(re.findall(r"recipe (?:use|flags|show) ([\w-]+)", README)) <= set(read_yaml(ROOT / "recipes.yaml"))
    catalog = read_yaml(ROOT / "catalog.yaml")
    for kind, entries in (("data", "datasets"), ("model", "models")):
        assert set(re.findall(rf"{kind}\.name=(\w+)", README)) <= set(catalog[entries])


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 180
    assert len(README.split("```")[0].split()) < 120
