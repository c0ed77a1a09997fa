"""The options that say which model a command asks."""

from __future__ import annotations

import argparse

import pytest

from sentiment.cli.options import ModelOptions, add_model_options, add_scoring_options, load
from sentiment.pipeline.errors import InputError


def read(*words: str, scoring: bool = True) -> ModelOptions:
    """The options of a command line."""
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    if scoring:
        add_scoring_options(parser)
    return ModelOptions(**vars(parser.parse_args(words)))


def test_the_finetuned_model_is_asked_on_the_cpu_where_nothing_is_said() -> None:
    plain = ModelOptions(model="models/finetuned", rev=None, repo=None, remote=None, threads=None)
    assert read() == read(scoring=False) == plain
    assert (plain.device, plain.batch_size) == ("cpu", None)


def test_every_word_arrives() -> None:
    words = "--model m --rev v1 --repo r --remote s3 --threads 2 --device cuda --batch-size 7"
    found = read(*words.split())
    assert found == ModelOptions(
        model="m", rev="v1", repo="r", remote="s3", threads=2, device="cuda", batch_size=7
    )  # fmt: skip


@pytest.mark.parametrize("words", [("--threads", "0"), ("--batch-size", "-1")])
def test_numbers_below_one_are_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(*words)
    assert f"{words[0]}: found {words[1]}, must be at least 1" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="nowhere"):
        load(read("--model", "nowhere", "--threads", "1"))
