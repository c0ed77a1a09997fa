"""One optimizer step of every recipe at GPT-2's size: the seconds and the peak memory of the stage train.

`python -m benchmarks.recipes --texts name=file.csv --model folder`. A recipe's own choices go through prepare, tokenize
and train on the CPU, with a model of GPT-2's shape in the place of its own; one batch is all there is to train on. The
seconds hold the start, two evaluations of four reviews, and writing the model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from benchmarks import material
from benchmarks.harness import named_files, parser, publish, run_child, run_here
from benchmarks.workspaces import lay_out, stage
from sentiment.cli import recipes
from sentiment.pipeline.artifacts import read_json
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.paths import PARAMS

COLUMNS = ("recipe", "reviews", "tokens", "seconds", "memory_gb")


def main() -> None:
    """Measure every recipe."""
    arguments = parser(__doc__ or "", rounds=1).parse_args()
    run = run_here if arguments.small else run_child
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = named_files(arguments.texts)
        texts = [text for some in material.read_texts(files, 100).values() for text in some]
        reviews = pd.DataFrame({"text": texts, "label": [n % 2 for n in range(len(texts))]})
        reviews.to_csv(folder / "reviews.csv", index=False)
        request = {"files": files, "model": arguments.model, "work": scratch, "classifier": False}
        made = run(material.make, {**request, "small": arguments.small})
        lay_out(folder, folder / "reviews.csv", Path(made["model"]))
        for name in recipes.read_recipes():
            chosen = recipes.resolve(name)
            batch = chosen["train.batch_size"]
            few = {"prepare.train_rows": batch, "prepare.validation_rows": 4, "prepare.test_rows": 4}
            words = {f"tokenize.label_words.{n}": list(w) for n, w in material.WORDS.items()}
            small = {"tokenize.max_length": 64, "train.frozen_blocks": 0} if arguments.small else {}
            here = {"train.epochs": 1, "train.evaluations_per_epoch": 1, "device": "cpu", "threads": arguments.threads}
            recipes.write_choices({**chosen, **few, **words, **here, **small}, folder / PARAMS)
            needed = ("prepare", "tokenize") if (folder / "models/base").is_dir() else ("prepare", "base", "tokenize")
            for earlier in needed:
                run(stage, {"folder": scratch, "stage": earlier})
            measured = run(stage, {"folder": scratch, "stage": "train"})
            tokens = read_json(folder / "metrics/tokenize.json")["train"]["tokens"]
            rows.append({"recipe": name, "reviews": batch, "tokens": tokens, **measured})
    publish("recipes", arguments, rows, COLUMNS)


if __name__ == "__main__":
    exit_on_input_error(main)
