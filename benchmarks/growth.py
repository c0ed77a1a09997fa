"""Time and peak memory of the stages as the reviews become more: near a straight line, and flat.

`python -m benchmarks.growth` draws the picture beside the result file. The stages prepare and tokenize read up to a
million reviews of Rotten Tomatoes' length, train and evaluate up to 32,000, with a model small enough not to matter.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import material
from benchmarks.harness import parser, publish, run_child, run_here
from benchmarks.workspaces import lay_out, stage
from sentiment.cli.recipes import write_choices
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.paths import PARAMS
from sentiment.report.figures import save_figure

COLUMNS = ("stage", "reviews", "seconds", "reviews_per_second", "memory_gb")
READING, LEARNING = (1_000, 10_000, 100_000, 1_000_000), (1_000, 4_000, 16_000, 32_000)
WORDS = 22  # of a review, as in Rotten Tomatoes


def write_reviews(path: Path, count: int) -> None:
    """Write that many reviews of random words, no two alike, labels in turn."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{n:x}" for n in range(20_000)])
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for start in range(0, count, 10_000):
            drawn = words[(rng.random((min(10_000, count - start), WORDS)) ** 3 * len(words)).astype(int)]
            file.writelines(f"{' '.join(row)},{n % 2}\n" for n, row in enumerate(drawn))


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds and memory over the reviews, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for number, (key, title) in enumerate((("seconds", "seconds"), ("memory_gb", "peak memory, GB"))):
        axes = figure.add_subplot(1, 2, number + 1)
        for name in ("prepare", "tokenize", "train", "evaluate"):
            own = [row for row in rows if row["stage"] == name]
            axes.plot([row["reviews"] for row in own], [row[key] for row in own], marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="reviews", title=title)
        axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_figure(figure, path, 110)


def main() -> None:
    """Measure all sizes."""
    arguments = parser(__doc__ or "", rounds=1).parse_args()
    run = run_here if arguments.small else run_child
    reading, learning = ((100, 200), (100, 200)) if arguments.small else (READING, LEARNING)
    rows = []
    for count in sorted({*reading, *learning}):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_reviews(folder / "reviews.csv", count)
            request = {"files": {"w": str(folder / "reviews.csv")} if count < 2000 else {}, "model": arguments.model}
            made = run(material.make, {**request, "work": scratch, "classifier": False, "small": True})
            lay_out(folder, folder / "reviews.csv", Path(made["model"]))
            write_choices({"threads": arguments.threads, "tokenize.max_length": 64, "train.epochs": 1}, folder / PARAMS)
            wanted = {"prepare": reading, "base": (), "tokenize": reading, "train": learning, "evaluate": learning}
            for name, sizes in wanted.items():
                if count in sizes or (count in learning and name in ("prepare", "base", "tokenize")) or name == "base":
                    measured = run(stage, {"folder": scratch, "stage": name})
                    if count in sizes:
                        speed = count / measured["seconds"]
                        rows.append({"stage": name, "reviews": count, "reviews_per_second": speed, **measured})
    rows.sort(key=lambda row: (str(row["stage"]), row["reviews"]))
    publish("growth", arguments, rows, COLUMNS)
    draw(rows, arguments.out / f"growth-{'small' if arguments.small else arguments.name}.png")


if __name__ == "__main__":
    exit_on_input_error(main)
