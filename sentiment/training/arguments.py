"""What every training run shares: the Trainer's arguments, the count of its steps, and progress as plain lines."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, TrainerCallback, TrainingArguments

from sentiment.backbones.layers import height
from sentiment.pipeline.progress import say

if TYPE_CHECKING:
    from sentiment.pipeline.params import TrainParams

LOGS_PER_RUN = 20


def training_arguments(device: str, seed: int, total_steps: int, folder: Path, **settings: Any) -> TrainingArguments:
    """Make the Trainer's arguments, with everything off that would write, report or vary.

    Args:
        device: cpu, cuda or mps.
        seed: the seed of params.yaml.
        total_steps: optimizer steps of the whole run.
        folder: for checkpoints.
        settings: what this run sets beyond that.
    """
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=device == "cpu",
        seed=seed,
        data_seed=seed,
        optim="adamw_torch_fused" if device != "mps" else "adamw_torch",
        logging_steps=max(1, total_steps // LOGS_PER_RUN),
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=device == "cuda",
        accelerator_config={"non_blocking": device == "cuda"},  # else each batch waits for the step before it
        logging_nan_inf_filter=False,  # it would wait for every step's loss, and hide a loss that is no number
        **settings,
    )


def steps_per_epoch(rows: int, params: TrainParams) -> int:
    """Count the optimizer steps of an epoch; the last one may hold fewer reviews."""
    return math.ceil(math.ceil(rows / params.batch_size) / params.gradient_accumulation_steps)


def parameter_groups(
    model: PreTrainedModel, decayed: Collection[str], learning_rate: float, weight_decay: float, layerwise_decay: float
) -> list[dict[str, Any]]:
    """Part the parameters that learn by the rate they learn at.

    Howard and Ruder 2018, https://arxiv.org/abs/1801.06146, section 3.2 (discriminative fine-tuning).

    Args:
        model: the model.
        decayed: names of the parameters that weight decay applies to.
        learning_rate: of the head.
        weight_decay: of those parameters.
        layerwise_decay: each block, and the embeddings below the lowest, learn at that share of the rate above them.

    Returns:
        Groups as torch's optimizers take them, the highest rate first.
    """
    groups: dict[tuple[float, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = learning_rate * layerwise_decay ** height(model, name)
            groups.setdefault((rate, name in decayed), []).append(parameter)
    return [
        {"params": groups[rate, decays], "lr": rate, "weight_decay": weight_decay if decays else 0.0}
        for rate, decays in sorted(groups, reverse=True)
    ]


class ProgressLines(TrainerCallback):
    """Reports a line of progress whenever the Trainer logs; in place of its bars, which fill a log file."""

    def __init__(self) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report step, loss, and the time that is left."""
        logs = kwargs["logs"]
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
