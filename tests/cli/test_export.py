"""The command export: what it writes and reports, what it refuses, and what it leaves as it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sentiment.checkpoints.manifest import Manifest
from sentiment.cli import export as export_module
from sentiment.cli.export import PACKAGES, read_texts
from sentiment.engine.probability import probabilities
from sentiment.export import graph
from sentiment.export.folder import FP32, INT8, REPORT
from sentiment.export.parity import open_onnx
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import MANIFEST
from sentiment.tokens.encoding import encode
from sentiment.tokens.tokenizer import load_tokenizer
from tests.cli.test_main import command
from tests.conftest import ROOT, TEXTS, parsed_by
from tests.inference.test_predictor import finetuned

Export = Callable[..., Path]
STATED = {"temperature": 3.0, "threshold": 0.45}


@pytest.fixture(scope="module")
def folder(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned folder that no test changes."""
    return finetuned(tiny_models("gpt2"), tmp_path_factory.mktemp("finetuned") / "gpt2", **STATED)


def run(folder: Path, output: Path, *words: str) -> Path:
    """Run the command on six labelled texts; gives its output folder."""
    texts = output.parent.parent / "texts.csv"
    pd.DataFrame({"text": TEXTS, "label": ["positive", "negative"] * 3}).to_csv(texts, index=False)
    given = ("export", "--model", str(folder), "--texts", str(texts), "--threads", "1", "--output", str(output), *words)
    export_module.run(parsed_by(export_module, *given))
    return output


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder that no test changes."""
    output = tmp_path_factory.mktemp("exported") / "out" / "onnx"
    output.parent.mkdir()
    return run(folder, output, "--int8")


@pytest.fixture
def export(folder: Path, exported: Path, tmp_path: Path) -> Export:
    """Run the command where an exported folder lies already, or elsewhere."""
    output = tmp_path / "out" / "onnx"
    shutil.copytree(exported, output)
    return lambda *words, output=output: run(folder, output, *words)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_folder_is_self_contained_and_its_report_is_right(folder: Path, exported: Path) -> None:
    """It is asked as sentiment/export/parity.py says; the reference is transformers, one text at a time."""
    output = exported
    assert set(content(output)) == {FP32, INT8, REPORT, MANIFEST, "tokenizer.json", "tokenizer_config.json"}
    assert (output / INT8).stat().st_size < (output / FP32).stat().st_size
    tokenizer, stated = load_tokenizer(output), Manifest.read(output)
    encoded = encode(tokenizer, TEXTS, stated)
    found = {
        name: probabilities(open_onnx(output / file, threads=1)(encoded.ids, 32), stated.temperature)
        for name, file in {"fp32": FP32, "int8": INT8}.items()
    }
    own = []
    plain, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    for text in TEXTS:
        with torch.no_grad():
            logits = model.eval()(**plain(text, return_tensors="pt", truncation=True, max_length=48)).logits[0] / 3.0
        own.append(float(logits.softmax(-1)[1]))
    report = json.loads((output / REPORT).read_text())
    assert (report["texts"], report["threads"], list(report["models"])) == (6, 1, ["torch", "fp32", "int8"])
    truth = np.array([True, False] * 3)
    for name, stated in found.items():
        measures = report["models"][name]
        assert measures["max_difference"] == pytest.approx(np.abs(stated - own).max(), abs=1e-5)
        assert measures["mean_difference"] == pytest.approx(np.abs(stated - own).mean(), abs=1e-5)
        assert measures["label_agreement"] == ((stated > 0.45) == (np.array(own) > 0.45)).mean()
        assert measures["accuracy"] == ((stated > 0.45) == truth).mean()
        assert measures["megabytes"] == (output / {"fp32": FP32, "int8": INT8}[name]).stat().st_size / 1e6
    assert report["models"]["fp32"]["max_difference"] < 1e-5
    assert 1e-4 < report["models"]["int8"]["max_difference"] < 0.2
    assert report["models"]["torch"]["megabytes"] == 4 * sum(p.numel() for p in model.parameters()) / 1e6
    assert np.abs(found["fp32"] - own).max() < 1e-5


def test_the_manifest_goes_along_with_hashes_and_source(folder: Path, exported: Path) -> None:
    output = exported
    written, before = json.loads((output / MANIFEST).read_text()), Manifest.read(folder)
    files = content(output)
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in files if name not in (MANIFEST, REPORT)}
    [opset] = onnx.load(output / FP32).opset_import
    source = f"sha256:{hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()}"
    assert written == {**before.model_dump(), "sha256": hashes, "onnx": {"opset": opset.version, "source": source}}
    assert files["tokenizer.json"] == (folder / "tokenizer.json").read_bytes()


def test_the_same_export_gives_the_same_bytes_and_takes_the_place_of_the_last(
    exported: Path, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    first = content(exported)
    output = export("--limit", "2")
    second = content(output)
    assert set(first) - set(second) == {INT8}
    assert {name for name in second if second[name] != first[name]} == {REPORT, MANIFEST}
    assert json.loads(second[REPORT])["texts"] == 2
    shown = capsys.readouterr()
    assert "│ fp32 " in shown.out
    assert f"{output}: {FP32}, {REPORT}, {MANIFEST}, tokenizer.json" in shown.err


def test_a_broken_export_is_refused_and_leaves_what_was_there(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(tmp_path / "out" / "onnx")
    write = graph.write_fp32

    def broken(model: Any, formulation: Any, path: Path) -> None:
        with torch.no_grad():
            model.score.weight *= 1.1  # a shift would change nothing: what LayerNorm gives has mean 0
            write(model, formulation, path)
            model.score.weight /= 1.1

    monkeypatch.setattr(graph, "write_fp32", broken)
    capsys.readouterr()
    with pytest.raises(InputError, match=r"fp32: .* the model's own: found .*e-\d+, allowed: 0\.001; .* not kept"):
        export()
    assert "│ fp32 " in capsys.readouterr().out
    assert content(tmp_path / "out" / "onnx") == before
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["onnx"]


def test_what_no_export_has_written_is_not_written_over(folder: Path, export: Export, tmp_path: Path) -> None:
    model = content(folder)
    with pytest.raises(InputError, match=r"holds what no export has written \(config\.json, "):
        export(output=folder)
    assert content(folder) == model
    output = tmp_path / "out" / "onnx"
    (output / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"no export has written \(notes\.txt\)"):
        export()
    with pytest.raises(InputError, match="is a file; name a folder"):
        export(output=output / "notes.txt")
    with pytest.raises(InputError, match=r"there is no folder .*nowhere; make it first"):
        export(output=tmp_path / "nowhere" / "onnx")


def test_a_package_that_is_not_installed_is_named(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(
        InputError, match=r"not installed .*: no_such_package; .*`pip install -r requirements-onnx\.txt`"
    ):
        export()


def test_the_packages_checked_are_those_of_the_requirements_and_pinned() -> None:
    pins = [line.split("==")[0] for line in (ROOT / "requirements-onnx.txt").read_text().splitlines() if "==" in line]
    assert tuple(pins) == PACKAGES
    assert "-r requirements-onnx.txt" in (ROOT / "requirements-dev.txt").read_text().splitlines()


def test_the_command_line_ends_with_status_1(folder: Path, tmp_path: Path) -> None:
    given = ("--model", str(folder), "--texts", str(tmp_path / "none.parquet"), "--output", str(tmp_path / "onnx"))
    result = command("export", *given)
    assert (result.returncode, result.stdout) == (1, "")
    assert "none.parquet: no such file; run `dvc repro`, or name texts of yours with --texts" in result.stderr
    assert command("export", "--limit", "0").returncode == 2
    assert not (tmp_path / "onnx").exists()


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 1, 1], [0, 1, 1]), (["negative", "positive", "negative"], [0, 1, 0]), ([0, 1, 5], None), (None, None)],
)
def test_labels_are_taken_where_each_text_has_one(
    form: str, labels: list[Any] | None, expected: list[int] | None, tmp_path: Path
) -> None:
    table = pd.DataFrame({"id": [7, 8, 9], "review": ["Fine.", "Bad.", "So so."]})
    if labels:
        table["label"] = labels
    path = tmp_path / f"rows.{form}"
    match form:
        case "parquet":
            table.to_parquet(path)
        case "jsonl":
            table.to_json(path, orient="records", lines=True)
        case _:
            table.to_csv(path, sep="\t" if form == "tsv" else ",", index=False)
    assert read_texts(path, "review", None) == (["Fine.", "Bad.", "So so."], expected)
    two = expected[:2] if expected else [0, 1] if labels else None  # the third row's label is no longer asked for
    assert read_texts(path, "review", 2) == (["Fine.", "Bad."], two)


def test_rows_without_a_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nFine.,1\n ,0\nshort\n")
    with pytest.raises(InputError, match=r"empty text in row 2\n.*fields unlike the header's 2 in row 3"):
        read_texts(path, "text", None)
    path.write_text("text,label\n")
    with pytest.raises(InputError, match="no texts in it"):
        read_texts(path, "text", None)
    with pytest.raises(InputError, match="no column review"):
        read_texts(path, "review", None)
