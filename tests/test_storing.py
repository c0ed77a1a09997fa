"""What DVC stores of several runs, and what it sends after a kill; in real repositories with a folder as remote.

A command is killed for certain: the process that runs DVC sends itself SIGKILL as it gives the third object its name.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.repositories import Repository, objects
from sentiment.backbones.adapters import WEIGHTS
from sentiment.checkpoints.blocks import file_of
from tests.backbones.test_adapters import LORA
from tests.conftest import run_stages

pytestmark = pytest.mark.slow

Change = Callable[..., None]
BASE, FINETUNED = Path("models/base"), Path("models/finetuned")
TRACKED = f"{FINETUNED}.dvc"
KILLED = """
import os, signal, sys
from dvc.cli import main

where, named, replace = sys.argv[1], [], os.replace

def replace_or_die(source, target):
    if str(target).startswith(where):
        named.append(target)
        if len(named) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = replace_or_die
sys.exit(main(sys.argv[2:]))
"""
RUNS = {
    "full": {},
    "top block": {"train.frozen_blocks": 1},
    "head": {"train.frozen_blocks": "all"},
    "adapter": {"train.lora": {**LORA, "save": "adapter"}},
    "adapter, another seed": {"train.lora": {**LORA, "save": "adapter"}, "seed": 1},
    "adapter in bf16": {"train.lora": {**LORA, "save": "adapter"}, "train.save_precision": "bf16"},
}


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def md5s(folder: Path) -> dict[str, str]:
    """The md5 of each file of a folder, by name."""
    return {file.name: md5(file) for file in folder.iterdir()}


def files_of(where: Path) -> set[str]:
    """The objects of a cache or remote that are files, each checked to be what its name says."""
    names = {name for name in objects(where) if not name.endswith(".dir")}
    assert names == {md5(where / "files/md5" / name[:2] / name[2:]) for name in names}
    return names


@pytest.fixture
def repository(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(workspace, tmp_path_factory.mktemp("beside"))


def test_what_runs_share_with_the_base_and_each_other_is_one_object(
    small: Change, change: Change, repository: Repository, trained: None
) -> None:
    small("gpt2", **{"train.learning_rate": 0.01})
    run_stages("prepare", "base", "tokenize")
    base = md5s(BASE)
    seen, versions = set(base.values()), {}
    blocks = {part: file_of(f"transformer.{part}") for part in ("wte", "wpe", "h.0", "h.1", "ln_f")}
    for name, choices in RUNS.items():
        change("params.yaml", **{"train.frozen_blocks": 0, "train.lora": {**LORA, "rank": 0}, "seed": 0, **choices})
        shutil.rmtree(FINETUNED, ignore_errors=True)
        run_stages("train")
        versions[name] = md5s(FINETUNED)
        repository.dvc("add", "-q", str(BASE), str(FINETUNED))
        repository.dvc("push", "-q")
        seen |= set(versions[name].values())
        assert files_of(repository.cache) == files_of(repository.remote) == seen  # one object per content, no more
    for name, kept in (
        ("top block", 3),
        ("head", 5),
        ("adapter", 5),
        ("adapter, another seed", 5),
        ("adapter in bf16", 5),
    ):
        shared = [part for part, file in blocks.items() if versions[name][file] == base[file]]
        assert shared == list(blocks)[:kept], name
    assert not [file for file in blocks.values() if versions["full"][file] == base[file]]
    assert len({versions[name][WEIGHTS] for name in versions if WEIGHTS in versions[name]}) == 3


@pytest.fixture
def pushed(small: Change, repository: Repository) -> Repository:
    """A repository whose model is added and pushed."""
    small("gpt2")
    run_stages("prepare", "base", "tokenize", "train")
    repository.dvc("add", "-q", str(FINETUNED))
    repository.dvc("push", "-q")
    return repository


@pytest.mark.parametrize("command", ["push", "pull"])
def test_a_killed_push_or_pull_goes_on_with_the_missing_shards_alone(command: str, pushed: Repository) -> None:
    where = pushed.remote if command == "push" else pushed.cache
    expected, model = files_of(where), md5s(FINETUNED)
    shutil.rmtree(where)
    if command == "pull":
        shutil.rmtree(FINETUNED)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(where), command, "-q", TRACKED], env=pushed.environment, check=False
    )
    assert killed.returncode == -9
    arrived = objects(where)
    assert len(files_of(where)) == 2
    assert list((where / "files/md5").glob("*/.*.tmp"))  # the third, which was on its way
    pushed.dvc(command, "-q", TRACKED)
    after = objects(where)
    assert {name: after[name] for name in arrived} == arrived  # by inode and time: not written again
    assert files_of(where) == expected
    assert len(expected) > 10
    pushed.dvc("status", "-q", "-c")
    assert md5s(FINETUNED) == model
