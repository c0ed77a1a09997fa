"""README and docs: their commands are real, their links lead somewhere, their numbers are those of the last run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable

import pytest

from sentiment.__main__ import parse
from sentiment.pipeline.catalog import read_yaml
from sentiment.pipeline.params import fields
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(file.relative_to(ROOT)): file.read_text(encoding="utf-8")
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
PROGRAMS = ("python -m sentiment ", "python -m benchmarks.", "dvc ", "git ", "pip install ")


def commands_of(page: str) -> list[str]:
    """Every command of a page, of its blocks of shell and of its lines; what stands before and after a pipe apart."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    parts = [part.strip() for line in (*lines, *inline) for part in re.split(r"&&|\\?\|", line.split("  #")[0])]
    return [part.removeprefix("xargs ") for part in parts if part.removeprefix("xargs ").startswith(PROGRAMS)]


COMMANDS = sorted({command for page in PAGES.values() for command in commands_of(page)})


def check_sentiment(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sentiment", *words[3:]])
    parse()
    if words[3:5] in (["recipe", "use"], ["recipe", "flags"]):
        assert words[5] in read_yaml(ROOT / "recipes.yaml")


def check_dvc(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.cli.parser import get_main_parser

    monkeypatch.chdir(ROOT)
    options = get_main_parser().parse_args(words[1:])
    keys = {key for key, _ in fields()}
    catalog = read_yaml(ROOT / "catalog.yaml")
    for assignment in getattr(options, "set_param", None) or []:
        key, value = assignment.split("=")
        assert key in keys
        if key in ("data.name", "model.name") and value != "shop":  # the entry that docs/data.md adds
            assert value in catalog["datasets" if key == "data.name" else "models"]


def check_pip(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[2] == "-r":
        assert (ROOT / words[3]).is_file()
    else:
        pinned = "".join((ROOT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt"))
        packages = (ROOT / "catalog.yaml").read_text().replace("package: ", "").replace("\n    version: ", "==")
        assert words[-1] in packages if "--no-deps" in words else words[2] in pinned


def check_benchmark(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ROOT / (words[2].replace(".", "/") + ".py")).is_file()


def check_git(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert words[1] in ("add", "checkout", "commit", "pull")


CHECKS: dict[str, Callable[[list[str], pytest.MonkeyPatch], None]] = {
    "python -m sentiment": check_sentiment,
    "python -m benchmarks": check_benchmark,
    "dvc": check_dvc,
    "pip": check_pip,
    "git": check_git,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_that_its_program_takes(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command.split(" < ")[0])
    [check] = [check for start, check in CHECKS.items() if command.startswith(start)]
    check(words, monkeypatch)


def test_the_commands_are_found() -> None:
    assert len(COMMANDS) > 50
    assert {"dvc repro", "python -m sentiment check", "pip install -r requirements-serve.txt"} <= set(COMMANDS)


def test_two_commands_set_up_everything_and_ci_runs_the_second() -> None:
    run, test = (line for line in README.splitlines() if line.startswith("python3 -m venv"))
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


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGES[page]):
        assert (ROOT / page).parent.joinpath(target).is_file(), target


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`((?:sentiment|stages|tests|benchmarks|docs)/[\w./-]+)`", PAGES[page])
    missing = [name for name in named if not (ROOT / name).exists()]
    assert [name for name in missing if "NAME" not in name] == []


def test_the_readme_leads_to_every_page_and_names_every_package() -> None:
    for page in PAGES.keys() - {"README.md"}:
        assert f"]({page})" in README
    packages = [file.parent.name for file in (ROOT / "sentiment").glob("*/__init__.py")]
    assert len(packages) == 16
    for package in packages:
        assert f"`{package}`" in README
        assert package in PAGES["docs/architecture.md"]


def test_the_numbers_shown_are_those_of_the_last_run() -> None:
    metrics = json.loads((ROOT / "metrics.json").read_text(encoding="utf-8"))
    parts = (metrics["base"], metrics["test"], metrics["baselines"][metrics["best_baseline"]])
    for name, key in (("accuracy", "accuracy"), ("log loss", "log_loss")):
        row = next(line for line in README.splitlines() if line.startswith(f"| {name}"))
        shown = [float(cell) for cell in row.strip("| ").split("|")[1:] if cell.strip()]
        assert shown == [round(part[key], 4) for part, _ in zip(parts, shown, strict=False)]
    assert f"{metrics['test']['n']:,} built-in reviews" in README
    assert f"ceiling at {metrics['data']['label_noise_ceiling']:.3f}" in README


def test_an_error_that_the_docs_explain_is_one_that_the_code_raises() -> None:
    files = [file for folder in ("sentiment", "stages") for file in (ROOT / folder).rglob("*.py")]
    sources = " ".join(file.read_text(encoding="utf-8") for file in files)
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)
    rows = [line for line in PAGES["docs/troubleshooting.md"].splitlines() if line.startswith("| `")]
    assert len(rows) >= 10
    others = ("No module named", "dvc ", "Unable to acquire lock")  # Python's and DVC's own words
    for row in rows:
        message = row.split("`")[1]
        if not message.startswith(others):
            fragments = [
                part.strip(" ;")
                for part in re.split(r"\.\.\.|\bN\b|\bcuda\b|problem|params\.yaml|config\.json", message)
            ]
            for fragment in fragments:
                assert fragment in sources or len(fragment) < 6, (message, fragment)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 105
    assert len(README.split("```")[0].split()) < 120
