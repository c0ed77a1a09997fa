"""The command `check`: what would stop a stage is listed at once, in the stage's own words, before any work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sentiment.cli import check
from sentiment.cli.options import Options
from sentiment.pipeline.errors import InputError

Change = Callable[..., None]


def problems() -> list[str]:
    """The lines that the command ends with."""
    with pytest.raises(InputError) as caught:
        check.run(Options())
    return str(caught.value).splitlines()


def test_check_says_all_well_or_everything_that_is_wrong(workspace: Path, change: Callable[..., None]) -> None:
    check.run(Options())
    change("params.yaml", **{"seed": "x", "train.epochs": 0})
    with pytest.raises(InputError, match=r"2 problem\(s\)") as caught:
        check.run(Options())
    assert "seed" in str(caught.value)
    assert "train.epochs" in str(caught.value)


def test_everything_that_is_not_there_is_listed_at_once(
    workspace: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    change("params.yaml", **{"data.name": "reviews", "model.name": "local", "device": "cuda"})
    first, data, model, device = problems()
    assert first == "3 choice(s) of params.yaml cannot work here:"
    assert data.startswith("  data/raw/reviews.csv: no such file or folder; catalog.yaml: datasets.reviews.path says")
    assert model == "  models/local: no config.json; a Hugging Face model folder must lie there"
    assert device.startswith("  params.yaml: device: found cuda, but torch")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("reviews.xlsx", "PK", ".xlsx"),
        ("reviews.csv", "text,Label\nFine.,pos\n", "no column Review, which catalog.yaml: datasets.reviews.text names"),
        ("reviews.csv", "Review,stars\nFine.,5\n", "no column Label, which catalog.yaml: datasets.reviews.label names"),
        ("reviews.jsonl", '{"text": "Fine."}\n', "no column Review, which"),
        ("reviews.json", "{", "not JSON"),
        ("reviews.parquet", "PK", "not readable as parquet"),
        ("train.csv", "text,Label\n", "no column Review"),
    ],
)
def test_a_local_dataset_that_cannot_be_read_is_reported(
    name: str, content: str, words: str, workspace: Path, change: Change
) -> None:
    folder = workspace / "data/raw"
    folder.mkdir(parents=True)
    (folder / name).write_text(content, encoding="utf-8")
    path = "data/raw" if name.startswith("train") else f"data/raw/{name}"
    change("params.yaml", **{"data.name": "reviews"})
    change("catalog.yaml", **{"datasets.reviews.path": path})
    first, problem = problems()
    assert first.startswith("1 choice(s)")
    assert problem.startswith(f"  data/raw/{name}: ")
    assert words in problem


def test_a_dataset_that_can_be_read_is_well_and_only_its_beginning_is_read(
    workspace: Path, change: Change, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workspace / "data/raw/reviews.csv"
    file.parent.mkdir(parents=True)
    file.write_text("Review,Label\nFine.,pos\n" + '"never closed', encoding="utf-8")
    change("params.yaml", **{"data.name": "reviews"})
    check.run(Options())
    assert "all well; gpt2-mini on reviews" in capsys.readouterr().err


def test_pickled_weights_and_an_index_that_leads_elsewhere_are_reported(workspace: Path, change: Change) -> None:
    folder = workspace / "models/local"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "pytorch_model.bin").touch()
    change("params.yaml", **{"model.name": "local"})
    assert "pytorch_model.bin" in problems()[1]
    (folder / "model.safetensors").touch()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b"}}', encoding="utf-8")
    assert "'../b'" in problems()[1]


def test_torch_is_not_loaded_for_the_cpu(workspace: Path, change: Change) -> None:
    change("params.yaml", **{"data.name": "reviews", "model.name": "local"})
    code = (
        "import sys; from sentiment.cli import check\ntry: check.run(None)\n"
        "except Exception as error: print(error, sorted({name.split('.')[0] for name in sys.modules}))"
    )
    root = str(Path(check.__file__).parents[2])
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "2 choice(s)" in result.stdout
    assert "'sentiment'" in result.stdout
    assert "'torch'" not in result.stdout
    assert "'transformers'" not in result.stdout
