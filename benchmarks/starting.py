"""How long the stages and `predict` take to start, beside DVC, which starts the stages, and the import of torch.

`python -m benchmarks.starting`, where the pipeline is up to date; a stage is started as far as its imports go, and
`predict` answers for one text. The last row is `dvc repro` with nothing to do: one process, and no stage at all.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Any

from benchmarks.harness import interleave, medians, meter, parser, publish
from sentiment.pipeline.errors import exit_on_input_error

STAGES = ("prepare", "base", "tokenize", "train", "evaluate", "plot")
DVC, TORCH = "dvc status", "import torch, transformers"  # what the others are compared with
COMMANDS = {
    "python alone": [sys.executable, "-c", ""],
    TORCH: [sys.executable, "-c", TORCH],
    "predict, one text": [sys.executable, "-m", "sentiment", "predict", "I love it."],
    **{f"stage {name}": [sys.executable, "-c", f"import stages.{name}"] for name in STAGES},
    DVC: [sys.executable, "-m", "dvc", "status", "--quiet"],
    "dvc repro, nothing to do": [sys.executable, "-m", "dvc", "repro", "--dry", "--quiet"],
}
COLUMNS = ("command", "seconds", "cpu_seconds", "times_dvc", "times_torch")


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command once.

    Returns:
        seconds, and cpu_seconds of the command and its children.
    """
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    with meter(resource.RUSAGE_CHILDREN) as used:
        subprocess.run(request["command"], env=environment, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
    return dict(used)


def main() -> None:
    """Start everything in turn."""
    arguments = parser(__doc__ or "", rounds=9).parse_args()
    chosen = list(COMMANDS)
    if arguments.small:
        arguments.rounds, chosen = 1, ["stage prepare", DVC, TORCH]
    requests = {name: {"command": COMMANDS[name]} for name in chosen}
    results = interleave(measure, requests, arguments.rounds, small=True)  # the commands are processes of their own
    middle = {name: medians(some) for name, some in results.items()}
    rows = [
        {"command": name, **values}
        | {f"times_{what}": values["seconds"] / middle[by]["seconds"] for what, by in (("dvc", DVC), ("torch", TORCH))}
        for name, values in middle.items()
    ]
    publish("starting", arguments, rows, COLUMNS, rounds=results)


if __name__ == "__main__":
    exit_on_input_error(main)
