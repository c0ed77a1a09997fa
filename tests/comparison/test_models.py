"""Comparing models in real git and DVC repositories: what is found, and what is read for it.

What is read is proved by what is left: objects that must not be read are deleted from cache and remote before.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from sentiment.backbones.adapters import CONFIG, WEIGHTS
from sentiment.checkpoints.blocks import round_changed
from sentiment.checkpoints.sketches import FILE as SKETCHES
from sentiment.checkpoints.sketches import RELATIVE_ERROR
from sentiment.checkpoints.tensors import PIECE
from sentiment.comparison.models import Difference, compare_models
from sentiment.pipeline.errors import InputError
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

MODEL = "models/finetuned"
BLOCKS = ["transformer.wte", "transformer.h.0", "transformer.h.1", "score"]
CHANGED = {"transformer.h.1", "score"}

MAKE = """
import json, sys
from pathlib import Path
import numpy as np
from ruamel.yaml import YAML
from safetensors.numpy import save_file
from sentiment.checkpoints.sketches import write_sketches

rate = YAML(typ="safe").load(Path("params.yaml"))["train"]["rate"]
random = np.random.default_rng(0)
folder = Path("models/finetuned")
folder.mkdir(parents=True)
shapes = {"transformer.wte.weight": (300, 20), "transformer.h.0.w.weight": (40, 30), "score.weight": (2, 20),
          "transformer.h.1.w.weight": (60, 50), "transformer.h.1.w.bias": (50,)}
files = {}
for name, shape in shapes.items():
    tensor = random.standard_normal(shape, dtype=np.float32)
    if name.startswith(("transformer.h.1", "score")):
        tensor += np.float32(rate) * random.standard_normal(shape, dtype=np.float32)
    block = name.rsplit(".", 1)[0].removesuffix(".w")
    files.setdefault(f"model-{block}.safetensors", {})[name] = tensor
for file, tensors in files.items():
    save_file(tensors, folder / file)
write_sketches(folder)
Path("metrics.json").write_text(json.dumps({"test": {"accuracy": 0.5 + rate}}))
"""
PIPELINE = """
stages:
  train:
    cmd: python make.py
    deps: [data/raw.csv]
    params: [train]
    outs: [models/finetuned]
    metrics: [metrics.json: {cache: false}]
"""


def run(folder: Path, *words: str) -> str:
    """Run a command in a folder; give what it printed."""
    result = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert result.returncode == 0, f"{words}: {result.stdout}"
    return result.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep DVC and git to folders of their own."""
    home = tmp_path_factory.mktemp("home")
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    settings = {
        **{f"DVC_{name}_DIR": str(home / name) for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")},
        **{f"GIT_{name}": "t@t" for name in names},
        "DVC_NO_ANALYTICS": "1",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield home


@pytest.fixture(scope="module")
def made(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose model was trained at two rates in two commits and a third in an experiment; all pushed."""
    folder = tmp_path_factory.mktemp("made") / "project"
    (folder / "data").mkdir(parents=True)
    run(folder, "git", "init", "-qb", "main")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "remote", "add", "-q", "-d", "store", str(folder.parent / "store"))
    (folder / "make.py").write_text(MAKE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / ".gitignore").write_text("/models/finetuned\n")
    for number, (tag, rate) in enumerate((("before", 0.0), ("after", 0.25))):
        (folder / "params.yaml").write_text(f"train:\n  rate: {rate}\n  epochs: 3\n")
        (folder / "data/raw.csv").write_text("Review,Label\n" * (number + 1))
        run(folder, "dvc", "repro", "-q")
        run(folder, "git", "add", "-A")
        run(folder, "git", "commit", "-qm", tag)
        run(folder, "git", "tag", tag)
    run(folder, "dvc", "exp", "run", "-q", "-n", "faster", "-S", "train.rate=0.4")
    run(folder, "dvc", "push", "-q")
    run(folder, "git", "checkout", "-q", ".")
    run(folder, "dvc", "push", "-q", "--all-commits")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it with a remote of its own and nothing in the cache; the working directory of the test."""
    shutil.copytree(made.parent, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "project"
    shutil.rmtree(folder / ".dvc/cache")
    run(folder, "dvc", "remote", "modify", "-q", "store", "url", str(tmp_path / "store"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))  # where DVC remembers the lists of files it saw
    monkeypatch.chdir(folder)
    return folder


def weights(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of a model folder, read by the safetensors library."""
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


@pytest.fixture(scope="module")
def models(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three models as folders, brought by `dvc get`."""
    where = tmp_path_factory.mktemp("models")
    for name in ("before", "after", "faster"):
        run(where, "dvc", "get", "-q", str(made), MODEL, "--rev", name, "-o", name)
    return {name: where / name for name in ("before", "after", "faster")}


def keep(store: Path, kept: Callable[[bytes], bool]) -> int:
    """Delete from a remote all objects but those kept, and say how many were deleted."""
    gone = [file for file in store.rglob("*") if file.is_file() and not kept(file.read_bytes())]
    for file in gone:
        file.unlink()
    return len(gone)


def is_list(content: bytes) -> bool:
    """Whether an object is DVC's list of the files of a folder."""
    return content.startswith(b"[{")


def objects(project: Path) -> list[Path]:
    """The files in the cache of a project."""
    return [file for file in (project / ".dvc/cache").rglob("*") if file.is_file()]


def at(first: str, second: str, how: str, **where: Any) -> Difference:
    return compare_models(first, second, where.get("repo", "."), where.get("remote"), how)


def states(difference: Difference) -> dict[str, str]:
    return {block.name: block.state for block in difference.blocks}


def check_exact(difference: Difference, before: Path, after: Path) -> None:
    """Hold every tensor of a difference against NumPy on the whole tensors."""
    olds, news = weights(before), weights(after)
    seen = set()
    for block in difference.blocks:
        for name, change in block.tensors.items():
            added = news[name].astype(np.float64) - olds[name]
            assert change.norm == pytest.approx(np.linalg.norm(added), rel=1e-9)
            assert change.relative == pytest.approx(np.linalg.norm(added) / np.linalg.norm(olds[name]), rel=1e-6)
            assert change.largest == np.abs(added).max()
            assert change.share == np.count_nonzero(added) / added.size
            seen.add(name)
    assert seen == {name for name in olds if not np.array_equal(olds[name], news[name])}


def test_hashes_alone_say_which_blocks_changed_and_nothing_is_downloaded(project: Path) -> None:
    assert keep(project.parent / "store", is_list) >= 10
    difference = at("before", "after", "hashes")
    assert [block.name for block in difference.blocks] == BLOCKS
    assert {name for name, state in states(difference).items() if state == "changed"} == CHANGED
    assert set(states(difference).values()) == {"changed", "unchanged"}
    assert objects(project) == []


@pytest.mark.parametrize(("first", "second"), [("before", "after"), ("after", "faster")])
def test_sketches_estimate_the_change_and_nothing_else_is_read(
    first: str, second: str, project: Path, models: dict[str, Path]
) -> None:
    """The second pair holds a DVC experiment."""
    assert keep(project.parent / "store", lambda content: is_list(content) or b'"tensors"' in content[:200]) >= 6
    difference = at(first, second, "sketches")
    olds, news = weights(models[first]), weights(models[second])
    for block in difference.blocks:
        if block.name not in CHANGED:
            assert (block.state, block.change) == ("unchanged", None)
            continue
        assert block.state == "changed"
        for name, change in block.tensors.items():
            norm = np.linalg.norm(news[name].astype(np.float64) - olds[name])
            small = olds[name].size <= 256
            assert change.norm == pytest.approx(norm, rel=1e-6 if small else 5 * RELATIVE_ERROR)
            assert change.square_before == pytest.approx(np.square(olds[name].astype(np.float64)).sum())
    assert any("estimates from sketches" in note for note in difference.notes)
    assert objects(project) == []


def test_exact_changes_are_numpys_and_only_changed_shards_are_read(project: Path, models: dict[str, Path]) -> None:
    unchanged = [models["before"] / f"model-transformer.{block}.safetensors" for block in ("wte", "h.0")]
    needless = {file.read_bytes() for file in (*unchanged, *(models[n] / SKETCHES for n in models))}
    assert keep(project.parent / "store", lambda content: content not in needless) == 5
    difference = at("before", "after", "exact")
    check_exact(difference, models["before"], models["after"])
    assert {name for name, state in states(difference).items() if state == "changed"} == CHANGED
    assert objects(project) == []


def test_the_cache_is_read_where_there_is_no_remote(project: Path, models: dict[str, Path]) -> None:
    run(project, "dvc", "fetch", "-q", "--all-commits")
    run(project, "dvc", "remote", "remove", "-q", "store")
    shutil.rmtree(project.parent / "store")
    check_exact(at("before", "after", "exact"), models["before"], models["after"])


def test_another_remote_can_be_named(project: Path, models: dict[str, Path]) -> None:
    (project.parent / "store").rename(project.parent / "other")
    run(project, "dvc", "remote", "add", "-q", "other", str(project.parent / "other"))
    check_exact(at("before", "after", "exact", remote="other"), models["before"], models["after"])
    with pytest.raises(InputError, match=r"neither in the cache nor in the default remote; `dvc fetch --all-commits`"):
        at("before", "after", "exact")
    with pytest.raises(InputError, match=r"--remote: found othr, allowed: store, other \(did you mean other\?\)"):
        at("before", "after", "exact", remote="othr")


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_another_repository_is_read_by_path_or_address(
    address: str, project: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, "git", "commit", "-qam", "where the remote is")
    run(project, "git", "branch", "older", "after")
    monkeypatch.chdir(project.parent)
    difference = at("before", "faster", "exact", repo=address.format(project))
    check_exact(difference, models["before"], models["faster"])


def test_params_metrics_and_data_stand_beside_the_weights(project: Path) -> None:
    difference = at("before", "after", "sketches")
    assert difference.params == [("train.rate", 0.0, 0.25)]
    assert difference.metrics == [("test.accuracy", 0.5, 0.75)]
    [(path, old, new)] = difference.data
    assert path == "data/raw.csv"
    assert old.size * 2 == new.size
    assert old.md5 != new.md5


def test_a_metrics_file_that_cannot_be_read_is_said(project: Path) -> None:
    (project / "metrics.json").write_text("{broken")
    run(project, "git", "commit", "-qam", "broken")
    difference = at("before", "main", "hashes")
    assert any(note.startswith("main: metrics.json cannot be read") for note in difference.notes)


def test_a_revision_and_a_folder(project: Path, models: dict[str, Path]) -> None:
    """The folder has no sketches; they are made from its weights, for the changed blocks."""
    folder = project / "mine"
    shutil.copytree(models["faster"], folder)
    (folder / SKETCHES).unlink()
    store = project.parent / "store"
    keep(store, lambda content: is_list(content) or b'"tensors"' in content[:200])
    difference = at("before", "mine", "sketches")
    assert {name for name, state in states(difference).items() if state == "changed"} == CHANGED
    [change] = [block.change for block in difference.blocks if block.name == "transformer.h.1"]
    olds, news = weights(models["before"]), weights(folder)
    names = [name for name in olds if name.startswith("transformer.h.1")]
    norm = np.sqrt(sum(np.square(news[n].astype(np.float64) - olds[n]).sum() for n in names))
    assert change is not None
    assert change.norm == pytest.approx(norm, rel=5 * RELATIVE_ERROR)
    assert any("mine: a folder alone" in note for note in difference.notes)


def test_two_folders_are_measured_exactly_unasked(models: dict[str, Path]) -> None:
    difference = at(str(models["after"]), str(models["faster"]), "sketches")
    assert difference.how == "exact"
    check_exact(difference, models["after"], models["faster"])


@pytest.mark.parametrize("how", ["sketches", "exact"])
def test_weights_rounded_to_bf16_are_compared_with_those_in_fp32(
    how: str, project: Path, models: dict[str, Path]
) -> None:
    """The reference is torch's own rounding; the blocks that round_changed leaves to the base are unchanged."""
    folder = project / "rounded"
    shutil.copytree(models["faster"], folder)
    (folder / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 0}, "weight_map": {}}')
    round_changed(folder, models["before"])
    difference = at("before", "rounded", how)
    assert {name for name, state in states(difference).items() if state == "changed"} == CHANGED
    assert set(states(difference).values()) == {"changed", "unchanged"}
    olds, news = weights(models["before"]), weights(models["faster"])
    for change, name in ((c, name) for block in difference.blocks for name, c in block.tensors.items()):
        after = torch.from_numpy(news[name]).to(torch.bfloat16).double().numpy()
        norm = np.linalg.norm(after - olds[name])
        exact = how == "exact" or after.size <= 256
        assert change.norm == pytest.approx(norm, rel=1e-6 if exact else 5 * RELATIVE_ERROR)
        assert change.square_after == pytest.approx(np.square(after).sum(), rel=1e-6)


def test_blocks_and_one_single_file_are_compared_tensor_by_tensor(models: dict[str, Path], tmp_path: Path) -> None:
    """A folder as `save_pretrained` writes it holds no files of blocks."""
    save_file(weights(models["after"]), tmp_path / "model.safetensors")
    for first, second in ((models["before"], tmp_path), (tmp_path, models["before"])):
        difference = at(str(first), str(second), "exact")
        assert [block.name for block in difference.blocks] == BLOCKS
        assert {name for name, state in states(difference).items() if state == "changed"} == CHANGED
        check_exact_names = {name for block in difference.blocks for name in block.tensors}
        assert check_exact_names == set(weights(models["before"]))


def test_blocks_and_tensors_of_one_side_alone_are_named(models: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(models["after"], tmp_path / "m")
    (tmp_path / "m/model-score.safetensors").rename(tmp_path / "m/model-lm_head.safetensors")
    tensors = load_file(tmp_path / "m/model-lm_head.safetensors")
    save_file({"lm_head.weight": tensors["score.weight"]}, tmp_path / "m/model-lm_head.safetensors")
    block = tmp_path / "m/model-transformer.h.1.safetensors"
    save_file({**load_file(block), "transformer.h.1.w.extra": np.ones(3)}, block)
    difference = at(str(models["before"]), str(tmp_path / "m"), "exact")
    found = states(difference)
    assert found["score"] == "only in A"
    assert found["lm_head"] == "only in B"
    assert found["transformer.h.1"] == "changed, 1 tensor(s) only in B"
    assert states(at(str(models["before"]), str(tmp_path / "m"), "hashes"))["score"] == "only in A"


@pytest.mark.parametrize("how", ["hashes", "sketches", "exact"])
def test_an_adapter_is_a_block_of_its_own_beside_unchanged_ones(how: str, project: Path) -> None:
    run(project, "dvc", "pull", "-q", "-f")
    folder = project / "adapted"
    shutil.copytree(project / MODEL, folder)
    save_file({"base_model.model.transformer.h.1.w.lora_A.weight": np.ones((2, 50))}, folder / WEIGHTS)
    (folder / CONFIG).write_text("{}")
    difference = at("after", "adapted", how)
    assert states(difference) == {**dict.fromkeys(BLOCKS, "unchanged"), "adapter": "only in B"}
    assert any(note.startswith("adapted holds an adapter") and WEIGHTS in note for note in difference.notes)


def test_a_revision_without_sketches_still_says_which_blocks_changed(project: Path, models: dict[str, Path]) -> None:
    run(project, "git", "rm", "-q", "--cached", "dvc.yaml", "dvc.lock")
    for file in ("dvc.yaml", "dvc.lock"):
        (project / file).unlink()
    shutil.rmtree(project / MODEL, ignore_errors=True)
    shutil.copytree(models["faster"], project / MODEL)
    (project / MODEL / SKETCHES).unlink()
    run(project, "dvc", "add", "-q", MODEL)
    run(project, "git", "add", "-Af", "models/finetuned.dvc")
    run(project, "git", "commit", "-qm", "plain")
    difference = at("after", "main", "sketches")
    assert {name for name, state in states(difference).items() if state == "changed"} == CHANGED
    assert f"no estimate: main without {SKETCHES}; --exact reads the weights" in difference.notes
    check_exact(at("after", "main", "exact"), models["after"], models["faster"])


def test_a_model_that_git_holds_itself_is_compared_too(project: Path, models: dict[str, Path]) -> None:
    shutil.copytree(models["faster"], project / "held")
    run(project, "git", "add", "-f", "held")
    run(project, "git", "commit", "-qm", "held by git")
    difference = at("after", "HEAD:held", "sketches")
    assert {name for name, state in states(difference).items() if state == "changed"} == CHANGED
    check_exact(at("after", "HEAD:held", "exact"), models["after"], models["faster"])


def test_nothing_changed_says_so(project: Path) -> None:
    run(project, "git", "commit", "-q", "--allow-empty", "-m", "nothing new")
    for how in ("hashes", "sketches", "exact"):
        difference = at("after", "main", how)
        assert set(states(difference).values()) == {"unchanged"}
        assert (difference.params, difference.metrics, difference.data) == ([], [], [])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            "after",
            "nosuch",
            r"nosuch: not a folder with a model on this machine, nor a revision or experiment of the repository here",
        ),
        ("after", "main", r"after and main are one and the same"),
        ("before", "after:models/base", r"after:models/base: no models/base in that revision"),
        ("before", "after:data", r"after:data: no \*\.safetensors in data of that revision"),
    ],
)
def test_what_cannot_be_compared_is_said(first: str, second: str, message: str, project: Path) -> None:
    with pytest.raises(InputError, match=message):
        at(first, second, "hashes")


def test_a_folder_is_not_compared_with_itself(models: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"are one and the same"):
        at(str(models["after"]), f"{models['before']}/../after", "exact")


def test_lost_weights_are_said_with_what_brings_them(project: Path, models: dict[str, Path]) -> None:
    lost = (models["after"] / "model-score.safetensors").read_bytes()
    assert keep(project.parent / "store", lambda content: content != lost) == 1
    with pytest.raises(InputError, match=r"after: models/finetuned/model-score\.safetensors is neither in .*dvc fetch"):
        at("before", "after", "exact")


def test_a_lost_list_of_files_is_said(project: Path) -> None:
    keep(project.parent / "store", lambda content: not is_list(content))
    with pytest.raises(InputError, match=r"before: the list of the files of models/finetuned is neither in the cache"):
        at("before", "after", "hashes")


@pytest.mark.parametrize("lists", [False, True])
def test_a_remote_whose_package_is_not_installed_is_said(lists: bool, project: Path) -> None:
    """Whether it is asked for the list of the files or, where the cache has that, for a file."""
    run(project, "dvc", "remote", "add", "cloud", "gs://bucket/models")
    if lists:
        run(project, "dvc", "fetch", "-q", "--all-commits")
        keep(project / ".dvc/cache", is_list)
    with pytest.raises(InputError, match=r"here: gs is supported, but requires 'dvc-gs' to be installed"):
        at("before", "after", "exact", remote="cloud")


def test_a_place_without_a_repository_is_said(models: dict[str, Path], home: Path, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=f"{place}: cannot be opened as a DVC repository"):
            at("main", str(models["after"]), "hashes", repo=str(place))


@pytest.mark.parametrize("how", ["sketches", "exact"])
def test_tensors_of_another_shape_are_refused_by_name(how: str, project: Path, models: dict[str, Path]) -> None:
    shutil.copytree(models["after"], project / "other")
    save_file({"score.weight": np.ones((3, 20), np.float32)}, project / "other/model-score.safetensors")
    with pytest.raises(InputError, match=r"score\.weight: shapes \[2, 20\] and \[3, 20\]; .* with --hashes"):
        at("before", "other", how)
    assert states(at("before", "other", "hashes"))["score"] == "changed"


@pytest.mark.parametrize("how", ["sketches", "exact"])
def test_weights_that_are_not_finite_are_refused_by_name(how: str, project: Path, models: dict[str, Path]) -> None:
    shutil.copytree(models["after"], project / "other")
    for shape, name in (((2, 20), "score.weight"), ((300, 20), "transformer.wte.weight")):
        file = project / "other" / f"model-{name.removesuffix('.weight')}.safetensors"
        kept = file.read_bytes()
        save_file({name: np.full(shape, np.nan, np.float32)}, file)
        with pytest.raises(InputError, match=f"{name}: holds numbers that are not finite"):
            at("before", "other", how)
        file.write_bytes(kept)


def test_large_models_are_compared_in_little_memory(tmp_path: Path) -> None:
    """200 MB each, of four tensors."""
    random = np.random.default_rng(0)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for block in (f"m.h.{number}" for number in range(4)):
            tensors = {f"{block}.w": random.random((12_500, 1000), np.float32)}
            save_file(tensors, tmp_path / folder / f"model-{block}.safetensors")
    tracemalloc.start()
    difference = at(str(tmp_path / "a"), str(tmp_path / "b"), "exact")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [block.change.size for block in difference.blocks if block.change] == [12_500_000] * 4
    assert peak < 40 * 8 * PIECE < 50_000_000 / 8
