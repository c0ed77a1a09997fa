"""The command `check`: what would stop a stage is listed at once, in the stage's own words, before any work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sentiment.cli import check, forecast
from sentiment.cli.options import Options
from sentiment.pipeline.errors import InputError
from tests.conftest import ROOT

Change = Callable[..., None]


@pytest.fixture(autouse=True)
def pipeline(workspace: Path) -> None:
    """The pipeline's stages, in no DVC repository."""
    shutil.copy(ROOT / "dvc.yaml", workspace)


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
    file.write_text("Review,Label\n" + "Fine.,pos\n" * 5000 + '"never closed', encoding="utf-8")
    change("params.yaml", **{"data.name": "reviews"})
    check.run(Options())
    said = capsys.readouterr().err
    assert "all well; gpt2-mini on reviews" in said
    assert said.count("warning: gpt2-mini knows little English") == said.count("model.name: minilm") == 1
    file.write_text("Review,Label\nFine.,pos\nSo so.,3\n,neg\n", encoding="utf-8")
    found = "\n".join(problems())
    assert "unknown label in row 2 (found '3'; allowed negative: 0, negative, neg;" in found
    assert "empty text in row 3" in found
    change("params.yaml", **{"prepare.on_bad_rows": "drop"})
    check.run(Options())


def test_the_miniature_on_built_in_reviews_needs_no_warning(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check.run(Options())
    assert "warning" not in capsys.readouterr().err


def test_pickled_weights_and_an_index_that_leads_elsewhere_are_reported(workspace: Path, change: Change) -> None:
    folder = workspace / "models/local"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "pytorch_model.bin").touch()
    change("params.yaml", **{"model.name": "local"})
    assert "pytorch_model.bin" in problems()[1]
    (folder / "model.safetensors").touch()
    assert "no tokenizer" in problems()[1]
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
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


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"tokenize.max_length": 257}, "tokenize.max_length: found 257, must be at most 256, the positions"),
        ({"train.frozen_blocks": 5}, "train.frozen_blocks: found 5, must be at most 2, the model's blocks"),
        ({"train.lora.rank": 2, "train.lora.modules": ["c_atn"]},
         "lora.modules: found c_atn, allowed: c_attn, c_fc, c_proj (did you mean c_attn?)"),
        ({"train.lora.rank": 2, "train.frozen_blocks": "all"}, "all leaves no block for the adapters"),
    ],
)  # fmt: skip
def test_choices_that_the_built_in_model_cannot_follow_are_reported(
    choices: dict[str, object], words: str, workspace: Path, change: Change
) -> None:
    change("params.yaml", **choices)
    [first, problem] = problems()
    assert first.startswith("1 choice(s)")
    assert words in problem


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"tokenize.max_length": 65}, "tokenize.max_length: found 65, must be at most 64"),
        ({"train.frozen_blocks": 3}, "train.frozen_blocks: found 3, must be at most 2"),
        ({"model.formulation": "label_words"}, "tokens for this tokenizer"),  # the tiny tokenizer lacks the word
    ],
)
def test_choices_that_a_local_model_cannot_follow_are_reported(
    choices: dict[str, object], words: str, small: Change
) -> None:
    small("gpt2", **{"tokenize.max_length": 64})
    check.run(Options())
    small("gpt2", **choices)
    assert words in "\n".join(problems())


def test_a_model_in_the_hubs_cache_is_looked_at(
    workspace: Path, change: Change, tiny_models: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda name, file, revision: str(tiny_models("gpt2") / file) if name == "openai-community/gpt2" else None,
    )
    change("params.yaml", **{"model.name": "gpt2", "tokenize.max_length": 65})
    assert "must be at most 64" in problems()[1]
    change("params.yaml", **{"model.name": "bert", "train.frozen_blocks": 1})
    check.run(Options())  # nothing of it is at hand


def test_a_disk_that_is_too_full_is_reported(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2e9, 2e9, 1e6))
    assert "a run takes about 0.01 GB on disk, but 0.00 GB are free" in problems()[1]


def test_it_says_what_each_stage_would_do_and_about_how_long(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forecast, "changed_stages", lambda: {"train"})
    check.run(Options())
    shown = capsys.readouterr()
    lines = [line.split("│")[1:4] for line in shown.out.splitlines() if line.startswith("│")]
    what = {stage.strip(): (would.strip(), about.strip()) for stage, would, about in lines}
    assert what["prepare"] == what["base"] == what["tokenize"] == ("up to date", "")
    assert [what[stage][0] for stage in ("train", "evaluate", "plot")] == ["run"] * 3
    assert what["train"][1].endswith((" s", " min"))
    assert "GB free on disk" in shown.err
