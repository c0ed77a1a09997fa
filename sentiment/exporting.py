"""The command `export`: a model folder in, a folder with the model as ONNX graph and a parity report out.

The folder is made aside and put in place once its answers are the model's own: a broken export leaves nothing behind.
It holds model.onnx, with --int8 model.int8.onnx too, the tokenizer, sentiment.json and parity.json. All but the last,
which holds times, are the same bytes whenever the same model is exported.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.errors import InputError
from sentiment.model_options import ModelOptions, add_model_options, count, load
from sentiment.names import FACTS, LABELS
from sentiment.paths import PREPARED
from sentiment.predict import file_source
from sentiment.progress import say, timed

if TYPE_CHECKING:
    from sentiment.predictor import Predictor
    from sentiment.rows import Chunk

OUTPUT = Path("models/onnx")  # git-ignored, and no DVC out: made again at any time
FP32, INT8, REPORT = "model.onnx", "model.int8.onnx", "parity.json"
KEY = "onnx"  # of sentiment.json, by which a folder of this command is known
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
LARGEST_DIFFERENCE = 1e-3  # of a probability; sums in another order make 1e-6, a wrong mask or position far more
TRUTH = {word: number for number, label in enumerate(LABELS) for word in (str(number), label)}


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """What was asked for on the command line; `add_options` says what each word means."""

    output: Path
    int8: bool
    texts: Path
    column: str
    limit: int | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of `export`."""
    add_model_options(parser)
    add, texts = parser.add_argument, PREPARED / "test.parquet"
    add("--output", type=Path, default=OUTPUT, metavar="FOLDER", help=f"where to (default: {OUTPUT})")
    add("--int8", action="store_true", help=f"write {INT8} too: int8 weights, a quarter of the size, other rounding")
    add("--texts", type=Path, default=texts, metavar="FILE", help=f"texts to compare answers on (default: {texts})")
    add("--column", default="text", help="the column that holds them (default: text); labels stand in `label`")
    add("--limit", type=count, metavar="N", help="compare on the first N texts alone")


def export(**choices: object) -> None:
    """Write a model as ONNX, with a report of how far its answers are from the model's own."""
    run(Options(**choices))  # type: ignore[arg-type]  # argparse has given each its type


def run(options: Options) -> None:
    """Export a model and compare.

    Raises:
        InputError: a package, the model, the texts or the output cannot be used, or the answers differ.
    """
    check_installed()
    check_output(options.output)
    texts, labels = read_texts(options.texts, options.column, options.limit)
    predictor = load(options)
    with tempfile.TemporaryDirectory(prefix=f".{options.output.name}-", dir=options.output.parent) as aside:
        folder = Path(aside) / options.output.name
        with timed(f"exporting {options.model}"):
            write(predictor, folder, options.int8)
        with timed(f"comparing answers on {len(texts)} texts"):
            report = compare(predictor, folder, texts, labels)
        show(report)
        check_parity(report)
        (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if options.output.is_dir():
            shutil.rmtree(options.output)
        folder.replace(options.output)
    say(f"{options.output}: {', '.join(sorted(file.name for file in options.output.iterdir()))}")


def check_installed() -> None:
    """Refuse to begin without the packages of the export.

    Raises:
        InputError: says how to install them.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"not installed: {', '.join(missing)}; run `pip install -r requirements-onnx.txt`")


def check_output(output: Path) -> None:
    """Refuse to write over what this command has not made.

    Raises:
        InputError: names what lies there, or the folder that is missing.
    """
    if not output.parent.is_dir():
        raise InputError(f"--output: {output}: there is no folder {output.parent}; make it first")
    if output.exists() and not output.is_dir():
        raise InputError(f"--output: {output} is a file; name a folder")
    names = {file.name for file in output.iterdir()} if output.is_dir() else set()
    foreign = sorted(names - _own_files(output))
    if foreign:
        raise InputError(
            f"--output: {output} holds what no export has written ({', '.join(foreign[:3])}); name another folder"
        )


def _own_files(folder: Path) -> set[str]:
    """Name the files that an earlier export has written into a folder; none where it was no export."""
    from sentiment.facts import read_facts

    if not (folder / FACTS).is_file():
        return set()
    facts = read_facts(folder)
    return {*facts["sha256"], FACTS, REPORT} if KEY in facts else set()


def read_texts(path: Path, column: str, limit: int | None) -> tuple[list[str], list[int] | None]:
    """Read the texts that answers are compared on.

    Args:
        path: csv, tsv, jsonl or parquet.
        column: the column of texts.
        limit: how many of the first are read; None reads all.

    Returns:
        The texts, and the numbers of their labels; None unless each has one in the column `label`.

    Raises:
        InputError: there are none, or a row without a text.
    """
    from sentiment.rows import CHUNK_ROWS, Problems

    if not path.is_file():
        raise InputError(f"{path}: no such file; run `dvc repro`, or name texts of yours with --texts FILE")
    texts: list[str] = []
    labels: list[Any] = []
    problems = Problems(str(path))
    for chunk in file_source(path, column).chunks(CHUNK_ROWS):
        problems.add(chunk)
        good = chunk.usable()
        texts += good.texts
        labels += [TRUTH.get(str(label)) for label in _labels(good)]
        if limit and len(texts) >= limit:
            break
    if problems.total or not texts:
        raise InputError(problems.describe() or f"{path}: no texts in it")
    return texts[:limit], None if None in labels[:limit] else labels[:limit]


def _labels(chunk: Chunk) -> list[Any]:
    """Give what stands in the column `label` of each row; None where there is none."""
    if not isinstance(chunk.rows, list):
        columns = chunk.rows.schema.names
        return chunk.rows["label"].to_pylist() if "label" in columns else [None] * len(chunk.texts)
    if "label" in chunk.columns:
        place = chunk.columns.index("label")
        return [row[place] for row in chunk.rows]
    return [row.get("label") if isinstance(row, dict) else None for row in chunk.rows]


def write(predictor: Predictor, folder: Path, int8: bool) -> None:
    """Write the self-contained folder of an exported model, all but its report.

    Args:
        predictor: the model, not yet asked.
        folder: a new folder.
        int8: whether int8 weights are wanted too.
    """
    from sentiment.checkpoints import digests
    from sentiment.onnx_graph import OPSET, write_fp32, write_int8
    from sentiment.tables import write_json

    folder.mkdir()
    write_fp32(predictor.model, predictor.formulation, folder / FP32)
    if int8:
        write_int8(folder / FP32, folder / INT8)
    predictor.tokenizer.save_pretrained(folder)
    made = {KEY: {"opset": OPSET, "source": predictor.revision}, "sha256": digests(folder, leave_out=FACTS)}
    write_json(folder / FACTS, {**predictor.facts, **made})


def compare(predictor: Predictor, folder: Path, texts: Sequence[str], labels: Sequence[int] | None) -> dict[str, Any]:
    """Compare the answers of an exported folder with the model's own, and take both's times.

    Returns:
        texts (their number), threads, batch, and models: torch, fp32 and int8 to the measures of
        `sentiment.parity.measure` and megabytes.
    """
    import torch

    from sentiment.parity import BATCH, measure, open_onnx, own_scorer

    files = {name: folder / file for name, file in {"fp32": FP32, "int8": INT8}.items() if (folder / file).is_file()}
    threads = torch.get_num_threads()
    scorers = {"torch": own_scorer(predictor), **{name: open_onnx(file, threads) for name, file in files.items()}}
    models = measure(scorers, predictor.encode(texts), labels, predictor.facts)
    bytes_of = {name: file.stat().st_size for name, file in files.items()}
    sizes = {"torch": 4 * predictor.model.num_parameters(), **bytes_of}
    measured = {name: {**measures, "megabytes": sizes[name] / 1e6} for name, measures in models.items()}
    return {"texts": len(texts), "threads": threads, "batch": BATCH, "models": measured}


COLUMNS = {  # measure -> heading and form
    "max_difference": ("max |Δp|", "{:.1e}"),
    "mean_difference": ("mean |Δp|", "{:.1e}"),
    "label_agreement": ("agree", "{:.4f}"),
    "accuracy": ("accuracy", "{:.4f}"),
    "milliseconds_alone": ("ms/text", "{:.2f}"),
    "texts_per_second": ("texts/s", "{:.0f}"),
    "megabytes": ("MB", "{:.1f}"),
}


def show(report: Mapping[str, Any]) -> None:
    """Print the parity report as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "model", title=f"{report['texts']:,} texts, {report['threads']} thread(s), batches of {report['batch']}"
    )
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right")
    for name, measures in report["models"].items():
        table.add_row(
            name, *(form.format(measures[key]) if key in measures else "" for key, (_, form) in COLUMNS.items())
        )
    Console().print(table)


def check_parity(report: Mapping[str, Any]) -> None:
    """Refuse an export whose fp32 answers are not the model's own; int8 may round as it does.

    Raises:
        InputError: says how far they are apart.
    """
    found = report["models"]["fp32"]["max_difference"]
    if not found <= LARGEST_DIFFERENCE:  # so that NaN is refused too
        raise InputError(
            f"{FP32}: a probability differs from the model's own by {found:.1e}, allowed: {LARGEST_DIFFERENCE}; the "
            "export is broken and was not kept"
        )
