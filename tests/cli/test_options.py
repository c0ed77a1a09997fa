"""The options that say which model a command asks."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sentiment.checkpoints.manifest import Manifest
from sentiment.cli.options import Options, add_model_options, load_predictor
from sentiment.pipeline.errors import InputError
from tests.conftest import ROOT, manifest


def read(*words: str, scoring: bool = True) -> Options:
    """The options of a command line."""
    parser = argparse.ArgumentParser()
    add_model_options(parser, scoring)
    return parser.parse_args(words)


def test_the_finetuned_model_is_asked_on_the_cpu_where_nothing_is_said() -> None:
    plain = {"model": "models/finetuned", "rev": None, "repo": None, "remote": None, "threads": None}
    assert vars(read()) == vars(read(scoring=False)) == {**plain, "device": "cpu", "batch_size": None}


def test_every_word_arrives() -> None:
    words = "--model m --rev v1 --repo r --remote s3 --threads 2 --device cuda --batch-size 7"
    found = read(*words.split())
    stated = {"model": "m", "rev": "v1", "repo": "r", "remote": "s3", "threads": 2, "device": "cuda", "batch_size": 7}
    assert vars(found) == stated


@pytest.mark.parametrize("words", [("--threads", "0"), ("--batch-size", "-1")])
def test_numbers_below_one_are_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(*words)
    assert f"{words[0]}: found {words[1]}, must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "rev", "words"), [("nowhere", None, "nowhere: no such folder"), ("m", "nope", "nope: not a revision")]
)
def test_a_model_that_is_not_there_is_named_before_torch_is_loaded(model: str, rev: str | None, words: str) -> None:
    code = (
        "import sys; from sentiment.cli import options; from argparse import Namespace\n"
        f"try: options.load_predictor(Namespace(model={model!r}, rev={rev!r}, repo=None, remote=None))\n"
        "except Exception as error: print(error, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.startswith(words)
    assert result.stdout.endswith("False\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_device_that_is_not_here_is_named_with_its_option(tmp_path: Path) -> None:
    Manifest.model_validate({**vars(manifest()), "sha256": {}}).write(tmp_path)
    with pytest.raises(InputError, match=r"^--device: found cuda, but torch .* sees none here; allowed: auto, cpu"):
        load_predictor(read("--model", str(tmp_path), "--device", "cuda"))
