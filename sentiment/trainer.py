"""What every training run shares: the Trainer's arguments, and progress as plain lines."""

from __future__ import annotations

import math
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sentiment.paths import SCRATCH
from sentiment.progress import say

LOGS_PER_RUN = 20


def training_arguments(device: str, seed: int, total_steps: int, **settings: Any) -> TrainingArguments:
    """Make the Trainer's arguments, with everything off that would write, report or vary.

    Args:
        device: cpu, cuda or mps.
        seed: the seed of params.yaml.
        total_steps: optimizer steps of the whole run.
        settings: what this run sets beyond that.
    """
    return TrainingArguments(
        output_dir=str(SCRATCH),
        use_cpu=device == "cpu",
        seed=seed,
        data_seed=seed,
        optim="adamw_torch_fused" if device != "mps" else "adamw_torch",
        logging_steps=max(1, total_steps // LOGS_PER_RUN),
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=device == "cuda",
        **settings,
    )


def warmup_steps(fraction: float, total_steps: int) -> int:
    """Turn the warm-up's share of all steps into steps."""
    return math.ceil(fraction * total_steps)


class ProgressLines(TrainerCallback):
    """Says a line of progress whenever the Trainer logs; in place of its bars, which fill a log file."""

    def __init__(self) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say step, loss, and the time that is left."""
        logs = logs or {}
        if "loss" in logs:
            left = (time.perf_counter() - self.start) * (state.max_steps / state.global_step - 1)
            say(
                f"  step {state.global_step} of {state.max_steps}: train loss {logs['loss']:.3f}, "
                f"about {left:.0f} s left"
            )
        if "eval_accuracy" in logs:
            say(
                f"  step {state.global_step}, epoch {logs['epoch']:.2f}: "
                f"validation accuracy {logs['eval_accuracy']:.4f}, log loss {logs['eval_log_loss']:.4f}"
            )
