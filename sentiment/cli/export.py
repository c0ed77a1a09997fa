"""The command `export`: a model folder in, a folder with the model as ONNX graph and a parity report out.

The folder is made aside and put in place once its answers are the model's own: a broken export leaves nothing behind.
It holds model.onnx, with --int8 model.int8.onnx too, the tokenizer, sentiment.json and parity.json. All but the last,
which holds times, are the same bytes whenever the same model is exported.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.cli.options import Commands, Options, add_command, add_model_options, count, load_predictor
from sentiment.export.folder import INT8, REPORT, check_output, check_parity, compare_export, print_parity, write_export
from sentiment.pipeline.errors import InputError, require
from sentiment.pipeline.labels import LABELS
from sentiment.pipeline.paths import PREPARED
from sentiment.pipeline.progress import say, timed

if TYPE_CHECKING:
    from sentiment.reviews.files import Chunk

OUTPUT = Path("models/onnx")  # git-ignored, and no DVC out: made again at any time
PACKAGES, REQUIREMENTS = ("onnx", "onnxruntime", "onnxscript"), "requirements-onnx.txt"
TRUTH = {word: number for number, label in enumerate(LABELS) for word in (str(number), label)}


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    about = "Write a model as ONNX, with a report of how far its answers are from the model's own."
    parser = add_command(commands, "export", run, about, __doc__)
    add_model_options(parser, scoring=False)
    add, texts = parser.add_argument, PREPARED / "test.parquet"
    add("--output", type=Path, default=OUTPUT, metavar="FOLDER", help=f"where to (default: {OUTPUT})")
    add("--int8", action="store_true", help=f"write {INT8} too: int8 weights, a quarter of the size, other rounding")
    add("--texts", type=Path, default=texts, metavar="FILE", help=f"texts to compare answers on (default: {texts})")
    add("--column", default="text", help="the column that holds them (default: text); labels stand in `label`")
    add("--limit", type=count, metavar="N", help="compare on the first N texts alone")


def run(options: Options) -> None:
    """Export a model and compare.

    Raises:
        InputError: a package, the model, the texts or the output cannot be used, or the answers differ.
    """
    require(PACKAGES, REQUIREMENTS)
    check_output(options.output)
    texts, labels = read_texts(options.texts, options.column, options.limit)
    predictor = load_predictor(options)
    with tempfile.TemporaryDirectory(prefix=f".{options.output.name}-", dir=options.output.parent) as aside:
        folder = Path(aside) / options.output.name
        with timed(f"exporting {options.model}"):
            write_export(predictor, folder, options.int8)
        with timed(f"comparing answers on {len(texts)} texts"):
            report = compare_export(predictor, folder, texts, labels)
        print_parity(report)
        check_parity(report)
        (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if options.output.is_dir():
            shutil.rmtree(options.output)
        folder.replace(options.output)
    say(f"{options.output}: {', '.join(sorted(file.name for file in options.output.iterdir()))}")


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
    from sentiment.reviews.files import CHUNK_ROWS, Column, Problems, file_source

    if not path.is_file():
        raise InputError(f"{path}: no such file; run `dvc repro`, or name texts of yours with --texts FILE")
    texts: list[str] = []
    labels: list[Any] = []
    problems = Problems()
    for chunk in file_source(path, [Column(column)]).chunks(CHUNK_ROWS):
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
    """Return what stands in the column `label` of each row; None where there is none."""
    if not isinstance(chunk.rows, list):
        columns = chunk.rows.schema.names
        return chunk.rows["label"].to_pylist() if "label" in columns else [None] * len(chunk.texts)
    records = (row if isinstance(row, dict) else dict(zip(chunk.columns, row, strict=True)) for row in chunk.rows)
    return [record.get("label") for record in records]
