"""The rules of the house: what dvc.yaml declares is what the code does."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sentiment.pipeline import paths
from sentiment.pipeline.catalog import read_yaml
from tests.conftest import ROOT

STAGES = ("prepare", "base", "tokenize", "train", "evaluate", "plot")
PIPELINE: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")
PROJECT = ("stages", "sentiment")
SOURCES = sorted(file for folder in PROJECT for file in (ROOT / folder).rglob("*.py"))
PACKAGES = sorted(file.parent for file in (ROOT / "sentiment").glob("*/__init__.py"))
TOOLS = ("registry", "comparison", "inference", "serving", "export", "cli")  # no stage depends on them
COVERED_ELSEWHERE = {
    *(f"pipeline/{name}" for name in ("labels", "paths", "progress", "errors", "catalog")),
    "backbones/layers", "backbones/checks", "backbones/families", "builtin/gpt2_mini", "builtin/lexicon",
    "training/arguments", "training/trainer", "training/saving", "engine/private_ops", "registry/revisions",
    "registry/repository", "cli/show", "cli/diff", "cli/release", "reviews/splitting",
    "export/folder", "evaluation/untuned",
}  # fmt: skip
UNUSED = {  # files of a folder that a stage depends on without importing them: `pipeline` is what stages share
    "base": {"sentiment/pipeline/scratch.py"},
    "evaluate": {"sentiment/pipeline/scratch.py"},
    "plot": {"sentiment/pipeline/scratch.py"},
}


def imported_names(file: Path) -> set[str]:
    """Every module that a file imports anywhere, absolute; `from a import b` counts as a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def project_files(names: set[str]) -> set[Path]:
    """The files of those of the modules that belong to the project."""
    found = {ROOT / (name.replace(".", "/") + ".py") for name in names if name.split(".")[0] in PROJECT}
    return {file for file in found if file.is_file()}


def closure(file: Path) -> set[Path]:
    """A file and every project file that it imports, directly or not."""
    seen: set[Path] = set()
    waiting = {file}
    while waiting:
        seen |= waiting
        waiting = set().union(*(project_files(imported_names(f)) for f in waiting)) - seen
    return seen


def declared(stage: str, kind: str) -> list[str]:
    """The paths that a stage declares."""
    entries = PIPELINE["stages"][stage].get(kind, [])
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def files_of(dep: str) -> set[Path]:
    """The Python files of a code dep, a package's own `__init__.py` left out: it holds a docstring alone."""
    path = ROOT / dep
    return {path} if path.is_file() else {file for file in path.rglob("*.py") if file.name != "__init__.py"}


def test_the_six_stages_stand_in_walking_order_with_file_section_and_tests() -> None:
    assert tuple(PIPELINE["stages"]) == STAGES
    assert {file.stem for file in (ROOT / "stages").glob("*.py")} == {*STAGES, "__init__"}
    params = read_yaml(ROOT / "params.yaml")
    assert [key for key in params if key in STAGES] == list(STAGES)
    for stage in STAGES:
        assert PIPELINE["stages"][stage]["cmd"] == f"python -m stages.{stage}"
        assert PIPELINE["stages"][stage]["desc"]
        assert (ROOT / "tests" / "stages" / f"test_{stage}.py").is_file()


def test_the_sources_are_seen_in_every_package() -> None:
    assert len(SOURCES) > 70
    assert len(PACKAGES) == 16
    assert {file.parent for file in SOURCES} == {ROOT / "stages", ROOT / "sentiment", *PACKAGES}


def test_every_module_has_a_test_file_in_the_folder_of_its_package() -> None:
    modules = {
        file.relative_to(ROOT / "sentiment").with_suffix("")
        for file in SOURCES
        if file.is_relative_to(ROOT / "sentiment")
    }
    modules = {module for module in modules if module.name not in ("__init__", "__main__")}
    tests = {
        file.relative_to(ROOT / "tests").with_name(file.stem.removeprefix("test_"))
        for file in (ROOT / "tests").rglob("test_*.py")
    }
    assert {str(module) for module in modules - tests} <= COVERED_ELSEWHERE


@pytest.mark.parametrize("stage", STAGES)
def test_deps_cover_the_import_closure_and_nothing_else(stage: str) -> None:
    code = closure(ROOT / "stages" / f"{stage}.py")
    deps = declared(stage, "deps")
    assert len(deps) == len(set(deps))
    held = {dep: files_of(dep) for dep in deps if dep.split("/")[0] in PROJECT}
    assert set().union(*held.values()) - code == {ROOT / name for name in UNUSED.get(stage, ())}
    assert code - set().union(*held.values()) == set()
    for dep in set(deps) - set(held):  # what is no code is an earlier stage's out, or kept in the repository
        earlier = [out for other in STAGES[: STAGES.index(stage)] for out in declared(other, "outs")]
        assert any(Path(dep).is_relative_to(out) for out in earlier) or (ROOT / dep).is_dir()


def test_no_stage_depends_on_a_tool_and_no_package_of_the_pipeline_imports_one() -> None:
    """So an edit of a command, the service, the export or the registry reruns nothing."""
    tools = tuple(f"sentiment.{name}" for name in TOOLS)
    for file in SOURCES:
        if file.parent.name not in TOOLS and file.name != "__main__.py":
            assert not [name for name in imported_names(file) if name.startswith(tools)], file
    deps = {dep for stage in STAGES for dep in declared(stage, "deps")}
    assert not [dep for dep in deps if dep.startswith(tuple(f"sentiment/{name}" for name in TOOLS))]


def test_packages_import_in_the_order_of_the_table_in_the_docs() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.split("| package |")[1].split("\n\n")[0]
    named = [re.findall(r"`(?:sentiment/)?(\w+)(?:\.py)?`", line.split("|")[1]) for line in table.splitlines()[2:]]
    order = [name for row in named for name in row]
    assert sorted(order) == sorted([*(package.name for package in PACKAGES), "hub"])
    exceptions = {("checkpoints/blocks.py", "backbones")}
    for file in SOURCES:
        path = file.relative_to(ROOT / "sentiment") if file.is_relative_to(ROOT / "sentiment") else file
        package = path.parts[0].removesuffix(".py")
        if package in order:
            imported = {name.split(".")[1] for name in imported_names(file) if name.startswith("sentiment.")}
            above = order[: order.index(package) + 1]
            wrong = {(path.as_posix(), other) for other in imported & {*order} - {*above}}
            assert wrong <= exceptions, wrong


def test_the_table_of_what_reruns_is_what_the_deps_say() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(sentiment/\S+\.py)` \| ([\w ]+) \|$", page, re.MULTILINE)
    assert len(rows) >= 10
    for file, stages in rows:
        assert (ROOT / file).is_file()
        depending = [
            stage for stage in STAGES if any(Path(file).is_relative_to(dep) for dep in declared(stage, "deps"))
        ]
        assert depending == ([] if stages == "none" else stages.split()), file


def test_a_package_imports_nothing_on_its_own() -> None:
    """`import sentiment.pipeline` must not load torch for the stages that need none."""
    for package in PACKAGES:
        assert imported_names(package / "__init__.py") == set()


def test_stages_import_no_stage_and_the_library_imports_none() -> None:
    for file in SOURCES:
        assert not [name for name in imported_names(file) if name.split(".")[0] == "stages"], file


def test_only_the_leaf_writes_what_git_tracks() -> None:
    for stage in STAGES:
        for kind in ("outs", "metrics", "plots"):
            for entry in PIPELINE["stages"][stage].get(kind, []):
                if isinstance(entry, dict):
                    assert (stage, entry) == ("plot", {"metrics.json": {"cache": False}})


def test_paths_live_in_dvc_yaml_and_in_paths_py_alone() -> None:
    outs = {out for stage in STAGES for kind in ("outs", "metrics") for out in declared(stage, kind)}
    constants = {str(value) for value in vars(paths).values() if isinstance(value, Path)}
    given = {str(p) for p in (paths.PARAMS, paths.PARAMS_SCHEMA, paths.CATALOG, paths.RECIPES, paths.CHOICES)}
    assert constants - given - {str(paths.SCRATCH)} == outs
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert not [out for out in outs if out in text]


def test_a_stage_reads_only_the_params_it_declares() -> None:
    """Every param that a stage takes from the whole is among those it declares."""
    looked_at = 0
    for stage in STAGES:
        source = (ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8")
        keys = set(re.findall(r"\ball_params\.(?!model_dump)(\w+)", source))
        simple = {p.split(".")[0] for p in PIPELINE["stages"][stage]["params"] if isinstance(p, str)}
        assert keys <= simple, stage
        looked_at += len(keys)
        catalog = [p for p in PIPELINE["stages"][stage]["params"] if isinstance(p, dict)]
        assert bool(catalog) == ("catalog_entry(" in source)
    assert looked_at > 12


def test_the_test_split_is_read_by_evaluate_alone() -> None:
    for stage in ("base", "tokenize", "train"):
        deps = declared(stage, "deps")
        assert "data/prepared" not in deps
        assert not [dep for dep in deps if "test" in Path(dep).name]
    assert "data/prepared" in declared("evaluate", "deps")


def test_the_lock_knows_the_stages_of_dvc_yaml_and_no_other() -> None:
    lock = read_yaml(ROOT / "dvc.lock")
    assert set(lock["stages"]) == set(STAGES)


def test_plots_are_defined_at_top_level_on_declared_outs() -> None:
    outs = [out for stage in STAGES for out in declared(stage, "outs")]
    files = []
    for plot in PIPELINE["plots"]:
        if isinstance(plot, str):
            files.append(plot)
        else:
            files += [file for settings in plot.values() for file in settings["y"]]
    assert len(files) >= 8
    for file in files:
        assert any(Path(file).is_relative_to(out) for out in outs)


def test_nothing_is_left_that_only_works_on_this_machine() -> None:
    for file in SOURCES:
        text = file.read_text(encoding="utf-8")
        assert "sys.path" not in text, file
        assert "PYTHONPATH" not in text, file
    for name in (
        "requirements.txt",
        "requirements-serve.txt",
        "requirements-onnx.txt",
        "requirements-dev.txt",
        "constraints.txt",
    ):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and line[0] not in "#-"]
        assert lines
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), name


def test_the_metrics_in_git_are_what_people_and_dvc_can_read() -> None:
    text = (ROOT / "metrics.json").read_text(encoding="utf-8")
    metrics = json.loads(text)
    names, gains = {"before", "best_baseline"}, {"gain", "gain_over_baseline"}
    assert {"test", "base", "baselines", "validation", "slices", "data", "train", "builtin"} | names | gains == set(
        metrics
    )

    def leaves(value: Any) -> list[Any]:
        return [x for item in value.values() for x in leaves(item)] if isinstance(value, dict) else [value]

    assert {metrics[name] for name in names} <= set(metrics["baselines"])
    words = [leaf for leaf in leaves(metrics) if not isinstance(leaf, (int, float))]
    assert sorted(words) == sorted([metrics[name] for name in names] + [metrics["train"]["device"]])
    assert text == json.dumps(metrics, indent=2, sort_keys=True) + "\n"
    assert metrics["test"]["accuracy"] >= 0.95
    assert 0.70 <= metrics["baselines"]["tfidf_lr"]["accuracy"] <= 0.88
    assert 0.40 <= metrics["baselines"]["untrained_head"]["accuracy"] <= 0.60
