"""Token ids + base -> fine-tuned model, training history.

In: data/tokenized/{train,validation} and models/base. Out: models/finetuned, a self-contained Hugging Face folder with
one safetensors file per block, their sketches and sentiment.json beside it; metrics/train.json;
plots/training/{train,validation}.csv.

AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101) under the Hugging Face Trainer. Batches are sampled
by the seed; padded ones, as families need them that cannot be packed, hold reviews of near-equal length. The
validation split alone decides which checkpoint is kept and when to stop, the model before the first step among them;
the test split is not read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from datasets import load_from_disk
from transformers import PreTrainedModel, Trainer

from sentiment.backbones import adapters, layers, loading
from sentiment.backbones.torch_setup import check_compiler, check_precision, set_up_torch
from sentiment.checkpoints.blocks import held_tensors
from sentiment.checkpoints.manifest import Manifest
from sentiment.engine import heads
from sentiment.pipeline.artifacts import write_csv, write_json
from sentiment.pipeline.catalog import catalog_entry, warn_if_too_small
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.params import TrainParams, load_params
from sentiment.pipeline.paths import BASE, FINETUNED, TOKENIZED, TRAIN_METRICS, TRAINING_CURVES
from sentiment.pipeline.progress import say, timed
from sentiment.pipeline.scratch import scratch
from sentiment.tokens.tokenizer import load_tokenizer
from sentiment.training.compact_vocabulary import compact_vocabulary
from sentiment.training.saving import cost_of_rounding, write_model
from sentiment.training.trainer import check_best, prepared_trainer


def curves(history: list[dict[str, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the Trainer's log into the training and the validation curve.

    Returns:
        Columns step, epoch, log_loss, learning_rate; and step, epoch, log_loss, accuracy, predicted_positive_rate.
    """
    measures = ["eval_log_loss", "eval_accuracy", "eval_predicted_positive_rate"]
    train = pd.DataFrame([e for e in history if "loss" in e], columns=["step", "epoch", "loss", "learning_rate"])
    validation = pd.DataFrame([e for e in history if measures[0] in e], columns=["step", "epoch", *measures])
    validation = validation.drop_duplicates("step", keep="last")  # of two evaluations after one step the later counts
    return train.rename(columns={"loss": "log_loss"}), validation.rename(columns=lambda n: n.removeprefix("eval_"))


def summarise(trainer: Trainer, validation: pd.DataFrame) -> dict[str, Any]:
    """Sum a training run up, for metrics/train.json."""
    best_step = trainer.state.best_global_step
    train: Any = trainer.train_dataset  # the rows after resampling
    best = validation[validation["step"] == best_step].iloc[0]
    return {
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "tokens": round(sum(train["length"]) * trainer.state.epoch),
        "best_step": best_step,
        "positive_rate": float(np.mean(train["label"])),
        "validation": {"accuracy": best["accuracy"], "log_loss": best["log_loss"]},
    }


def report_head(model: PreTrainedModel, seed: int) -> bool:
    """Report whether the classification head is the base model's or randomly initialised; return the latter."""
    initialised = loading.new_head(model, held_tensors(BASE))
    if initialised:
        say(f"  the classification head is new ({', '.join(initialised)}): randomly initialised from seed {seed}")
    else:
        say("  the classification head is the one that the base model brings")
    return bool(initialised)


def choose_what_learns(model: PreTrainedModel, params: TrainParams) -> None:
    """Freeze what stays as it is, and put adapters in where they are to learn."""
    if params.lora.rank:
        adapters.inject(model, params.lora, params.frozen_blocks)
    else:
        layers.freeze(model, params.frozen_blocks)
    if params.compile:
        model.base_model.compile(dynamic=True)


def main() -> None:
    """Fine-tune the base model on the train split."""
    all_params = load_params()
    params = all_params.train
    seed = all_params.seed
    device = set_up_torch(seed, all_params.threads, all_params.device)
    warn_if_too_small(all_params)
    check_precision(params.precision, device)
    check_compiler(params.compile, device)
    train, validation = (load_from_disk(TOKENIZED / split) for split in ("train", "validation"))
    tokenizer = load_tokenizer(BASE)
    manifest = Manifest.from_params(all_params.model.formulation, all_params.text, all_params.tokenize)
    generated = catalog_entry("datasets", all_params.data.name)["source"] == "builtin"
    manifest = manifest.model_copy(update={"generated_texts": generated})
    model, formulation = heads.load(BASE, tokenizer, manifest, seed, params.dropout)
    new_head = manifest.has_head and report_head(model, seed)
    choose_what_learns(model, params)
    learning, parameters = model.num_parameters(only_trainable=True), model.num_parameters()
    with scratch() as folder:
        with (
            compact_vocabulary(model, formulation, train, validation) as compact,
            prepared_trainer(model, compact, train, validation, params, device, seed, folder, new_head) as trainer,
        ):
            with timed(f"fine-tuning {learning} of {parameters} parameters on {len(train)} reviews"):
                trainer.train()
            check_best(trainer)
        if trainer.state.best_global_step == 0:
            model, formulation = heads.load(BASE, tokenizer, manifest, seed, params.dropout)
            choose_what_learns(model, params)
        write_model(model, tokenizer, params.lora, params.save_precision, manifest, FINETUNED)
    train_curve, validation_curve = curves(trainer.state.log_history)
    write_csv(TRAINING_CURVES / "train.csv", train_curve)
    write_csv(TRAINING_CURVES / "validation.csv", validation_curve)
    metrics = {**summarise(trainer, validation_curve), "device": device}
    untouched = "" if metrics["best_step"] else " (the model before training: no step was better on validation)"
    say(f"kept step {metrics['best_step']}{untouched}, validation accuracy {metrics['validation']['accuracy']:.4f}")
    if params.save_precision == "bf16":
        saved = heads.load(FINETUNED, tokenizer, manifest, seed)
        metrics["rounding"] = cost_of_rounding((model, formulation), saved, validation, params, device)
    write_json(TRAIN_METRICS, metrics)


if __name__ == "__main__":
    exit_on_input_error(main)
