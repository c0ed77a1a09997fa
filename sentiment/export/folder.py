"""The folder that an export writes, and how far its answers are from the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.errors import InputError, first_few
from sentiment.pipeline.labels import MANIFEST
from sentiment.report.tables import print_table

if TYPE_CHECKING:
    from sentiment.inference.predictor import Predictor

FP32, INT8, REPORT = "model.onnx", "model.int8.onnx", "parity.json"


KEY = "onnx"  # of sentiment.json, by which a folder of this command is known


BOUNDS = {  # of the differences of probabilities
    "fp32": ("max_difference", 1e-3),  # sums in another order make 1e-6, a wrong mask or position far more
    "int8": ("mean_difference", 0.02),  # rounding makes 5e-4; of a text near the threshold alone it may make much
}


def check_output(output: Path) -> None:
    """Raise if the export would write over what this command has not made.

    Raises:
        InputError: names what lies there, or the folder that is missing.
    """
    if not output.parent.is_dir():
        raise InputError(f"--output: {output}: there is no folder {output.parent}; make it first")
    if output.exists() and not output.is_dir():
        raise InputError(f"--output: {output} is a file; name a folder")
    names = {file.name for file in output.iterdir()} if output.is_dir() else set()
    foreign = names - _own_files(output)
    if foreign:
        raise InputError(
            f"--output: {output} holds what no export has written ({first_few(foreign)}); name another folder"
        )


def _own_files(folder: Path) -> set[str]:
    """Name the files that an earlier export has written into a folder; none where it was no export."""
    if not (folder / MANIFEST).is_file():
        return set()
    manifest = Manifest.read(folder)
    return {*manifest.sha256, MANIFEST, REPORT} if KEY in (manifest.model_extra or ()) else set()


def write_export(predictor: Predictor, folder: Path, int8: bool) -> None:
    """Write the self-contained folder of an exported model, all but its report.

    Args:
        predictor: the model, not yet used.
        folder: a new folder.
        int8: whether int8 weights are wanted too.
    """
    from sentiment.export.graph import OPSET, write_fp32, write_int8

    folder.mkdir()
    write_fp32(predictor.model, predictor.formulation, folder / FP32)
    if int8:
        write_int8(folder / FP32, folder / INT8)
    predictor.tokenizer.save_pretrained(folder)
    source = {"opset": OPSET, "source": predictor.revision}
    predictor.manifest.model_copy(update={KEY: source}).write(folder)


def compare_export(
    predictor: Predictor, folder: Path, texts: Sequence[str], labels: Sequence[int] | None
) -> dict[str, Any]:
    """Compare the answers of an exported folder with the model's own, and take both's times.

    Returns:
        texts (their number), threads, batch, and models: torch, fp32 and int8 to the measures of
        `sentiment.export.parity.measure_parity` and megabytes.
    """
    import torch

    from sentiment.engine.scoring import score
    from sentiment.export.parity import BATCH, Scorer, measure_parity, open_onnx

    files = {name: folder / file for name, file in {"fp32": FP32, "int8": INT8}.items() if (folder / file).is_file()}
    threads = torch.get_num_threads()
    own = partial(score, predictor.model, predictor.formulation, device=predictor.device)
    scorers: dict[str, Scorer] = {"torch": own, **{name: open_onnx(file, threads) for name, file in files.items()}}
    models = measure_parity(scorers, predictor.encode(texts), labels, predictor.manifest)
    models["torch"]["megabytes"] = 4 * predictor.model.num_parameters() / 1e6
    for name, file in files.items():
        models[name]["megabytes"] = file.stat().st_size / 1e6
    return {"texts": len(texts), "threads": threads, "batch": BATCH, "models": models}


PARITY_COLUMNS = {  # measure -> heading and form
    "max_difference": ("max |Δp|", "{:.1e}"),
    "mean_difference": ("mean |Δp|", "{:.1e}"),
    "label_agreement": ("agree", "{:.4f}"),
    "accuracy": ("accuracy", "{:.4f}"),
    "milliseconds_alone": ("ms/text alone", "{:.2f}"),
    "texts_per_second": ("texts/s in batches", "{:.0f}"),
    "megabytes": ("MB", "{:.1f}"),
}


def print_parity(report: Mapping[str, Any]) -> None:
    """Print the parity report as a table."""
    title = f"{report['texts']:,} texts, {report['threads']} thread(s), batches of {report['batch']}"
    rows = [
        [name, *(form.format(measures[key]) if key in measures else "" for key, (_, form) in PARITY_COLUMNS.items())]
        for name, measures in report["models"].items()
    ]
    print_table(["model", *(heading for heading, _ in PARITY_COLUMNS.values())], rows, title=title)


def check_parity(report: Mapping[str, Any]) -> None:
    """Raise if an export's answers are not the model's own; int8 may round, within its bound.

    Raises:
        InputError: says how far they are apart.
    """
    for name, (measure, bound) in BOUNDS.items():
        found = report["models"].get(name, {measure: 0.0})[measure]
        if not found <= bound:  # so that NaN is refused too
            raise InputError(
                f"{name}: {measure.replace('_', ' ')} of the probabilities from the model's own: found {found:.1e}, "
                f"allowed: {bound}; the export was not kept" + ("; leave out --int8" if name == "int8" else "")
            )
