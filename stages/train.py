"""Token ids + base -> fine-tuned model, training history.

In: data/tokenized/{train,validation} and models/base. Out: models/finetuned, a self-contained Hugging Face folder with
one safetensors file per block, their sketches and sentiment.json beside it; metrics/train.json;
plots/training/{train,validation}.csv.

AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101) under the Hugging Face Trainer. Batches are drawn
from the seed; padded ones, as families need them that cannot be packed, hold reviews of near-equal length. The
validation split alone decides which checkpoint is kept and when to stop; the test split is not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, load_from_disk
from sklearn.metrics import log_loss
from transformers import EarlyStoppingCallback, EvalPrediction, PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from sentiment.backbones import adapters, layers, loading
from sentiment.backbones.torch_setup import check_compiler, check_precision, set_up_torch
from sentiment.checkpoints.blocks import held_tensors, round_changed, save_blocks
from sentiment.checkpoints.manifest import Manifest
from sentiment.checkpoints.sketches import write_sketches
from sentiment.engine import heads
from sentiment.engine.batches import Collator, Padder, States, prepare
from sentiment.engine.heads import Formulation
from sentiment.engine.packing import Packer
from sentiment.engine.probability import probabilities
from sentiment.engine.scoring import score
from sentiment.pipeline.artifacts import write_csv, write_json
from sentiment.pipeline.errors import InputError, exit_on_input_error
from sentiment.pipeline.labels import LABELS, decide
from sentiment.pipeline.params import LoraParams, TrainParams, load_params
from sentiment.pipeline.paths import BASE, FINETUNED, TOKENIZED, TRAIN_METRICS, TRAINING_CURVES
from sentiment.pipeline.progress import say, timed
from sentiment.pipeline.scratch import scratch
from sentiment.tokens.tokenizer import load_tokenizer
from sentiment.training import frozen_prefix
from sentiment.training.arguments import ProgressLines, parameter_groups, training_arguments, warmup_steps
from sentiment.training.compact_vocabulary import compact_vocabulary
from sentiment.training.losses import ClassificationLoss, class_weights, resample

START_LOSS_MARGIN = 0.35  # nats; an untrained head on a sane backbone starts within about 0.1 of ln 2
OWN_HEAD = "  the classification head is the one that the base model brings"
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}  # ours -> transformers'


@dataclass(frozen=True)
class Steps:
    """A run's optimizer steps: of one epoch, and of all."""

    per_epoch: int
    total: int


def count_steps(rows: int, params: TrainParams) -> Steps:
    """Count the optimizer steps; the last ones of an epoch may hold fewer reviews."""
    batches = math.ceil(rows / params.batch_size)
    per_epoch = math.ceil(batches / params.gradient_accumulation_steps)
    return Steps(per_epoch, per_epoch * params.epochs)


class EvaluateOnSchedule(TrainerCallback):
    """Asks for an evaluation after equal shares of each epoch, the epoch's end always among them."""

    def __init__(self, steps: Steps, evaluations_per_epoch: int) -> None:
        """Compute the steps of one epoch after which to evaluate."""
        count = min(evaluations_per_epoch, steps.per_epoch)
        self.due = {round(steps.per_epoch * k / count) for k in range(1, count + 1)}
        self.per_epoch = steps.per_epoch

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask when it is time."""
        if (state.global_step - 1) % self.per_epoch + 1 in self.due:
            control.should_evaluate = True


class CollapseGuard(TrainerCallback):
    """Watches for a model that answers every validation review alike, and for a start far from knowing nothing."""

    def __init__(self, on_collapse: str) -> None:
        """Remember whether to warn or to stop."""
        self.on_collapse = on_collapse

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at an evaluation.

        Raises:
            InputError: all predictions are alike after training has begun, and the choice is to stop then.
        """
        metrics = kwargs["metrics"]
        share, loss = metrics["eval_predicted_positive_rate"], metrics["eval_log_loss"]
        if state.global_step == 0 and abs(loss - math.log(2)) > START_LOSS_MARGIN:
            say(f"  warning: log loss {loss:.3f} before any step, far from ln 2 = 0.693, where a new head starts")
        if state.global_step > 0 and share in (0.0, 1.0):
            problem = (
                f"after step {state.global_step} every validation review is called {LABELS[int(share)]}; lower "
                "train.learning_rate, raise train.warmup_fraction, or set train.class_weights: balanced in params.yaml"
            )
            if self.on_collapse == "stop":
                raise InputError(f"{problem}; train.on_collapse: warn goes on all the same")
            say(f"  warning: {problem}")


def validation_measures(prediction: EvalPrediction) -> dict[str, float]:
    """Measure the validation predictions.

    Returns:
        accuracy and predicted_positive_rate in [0, 1], log_loss in nats per review.
    """
    logits, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    positive = probabilities(logits)
    predicted = decide(positive)
    return {
        "accuracy": float((predicted == (labels == 1)).mean()),
        "predicted_positive_rate": float(predicted.mean()),
        "log_loss": float(log_loss(labels, positive, labels=[0, 1])),
    }


class FormulationTrainer(Trainer):
    """The Trainer, asking the model as its formulation does, with a rate for each block."""

    def __init__(self, formulation: Formulation, params: TrainParams, **settings: Any) -> None:
        """Set up.

        Args:
            formulation: how the model is asked.
            params: the stage's params.
            settings: what the Trainer takes.
        """
        self.formulation, self.params = formulation, params
        super().__init__(**settings)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Compute the loss of a batch by `compute_loss_func`, and the logits where asked for."""
        labels = inputs.pop("labels")
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=self.params.precision == "bf16"):
            logits = self.formulation.logits(model, inputs).float()
        outputs = SimpleNamespace(logits=logits)
        measure: Any = self.compute_loss_func
        loss = measure(outputs, labels, num_items_in_batch=num_items_in_batch)
        return (loss, vars(outputs)) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the optimizer, once."""
        if self.optimizer is None:
            trained: Any = self.model
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, trained)
            decayed = self.get_decay_parameter_names(trained)
            rates = (self.params.learning_rate, self.params.weight_decay, self.params.layerwise_decay)
            self.optimizer = kind(parameter_groups(trained, decayed, *rates), **settings)
        return self.optimizer


def reads_prefix_again(params: TrainParams) -> bool:
    """Say whether frozen blocks would compute the same numbers again, in fp32 and outside compiled code."""
    return params.epochs > 1 and params.frozen_blocks != 0 and params.precision == "fp32" and not params.compile


def make_trainer(
    model: PreTrainedModel,
    formulation: Formulation,
    train: Dataset,
    validation: Dataset,
    params: TrainParams,
    device: str,
    seed: int,
    folder: Path,
) -> Trainer:
    """Set the Trainer up.

    Args:
        model: the model, changed in place by the training.
        formulation: how it is asked.
        train: rows with input_ids, length and label.
        validation: likewise.
        params: the stage's params.
        device: cpu, cuda or mps.
        seed: decides the order of the batches and the dropout.
        folder: for the best checkpoint, and for the states of frozen blocks.
    """
    labels = np.asarray(train["label"])
    weights = class_weights(params.class_weights, labels).to(device)
    loss = ClassificationLoss(weights, params.label_smoothing, params.focal_gamma)
    batcher = prepare(model, device)
    states: States | None = None
    if device == "cpu" and isinstance(batcher, Packer) and reads_prefix_again(params):
        file = folder / "prefix"
        states, [train, validation] = frozen_prefix.compute(model, formulation, batcher, [train, validation], file)
    train = train.select(resample(labels, params.sampling, seed))
    steps = count_steps(len(train), params)
    arguments = training_arguments(
        device,
        seed,
        steps.total,
        folder,
        per_device_train_batch_size=params.batch_size,
        per_device_eval_batch_size=params.batch_size * 4,
        gradient_accumulation_steps=params.gradient_accumulation_steps,
        num_train_epochs=params.epochs,
        learning_rate=params.learning_rate,
        lr_scheduler_type=SCHEDULES[params.schedule],
        warmup_steps=warmup_steps(params.warmup_fraction, steps.total),
        weight_decay=params.weight_decay,
        max_grad_norm=params.max_gradient_norm,
        activation_checkpointing=params.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        train_sampling_strategy="group_by_length" if isinstance(batcher, Padder) else "random",
        length_column_name="length",
        remove_unused_columns=False,
        label_names=["labels"],
        eval_on_start=True,
        eval_strategy="steps",
        eval_steps=steps.total,
        save_strategy="best",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=params.best_by,
        greater_is_better=params.best_by == "accuracy",
    )
    trainer = FormulationTrainer(
        formulation,
        params,
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation.select(np.argsort(validation["length"], kind="stable")),
        data_collator=Collator(batcher, states),
        compute_loss_func=loss,
        compute_metrics=validation_measures,
        callbacks=[
            ProgressLines(),
            EvaluateOnSchedule(steps, params.evaluations_per_epoch),
            CollapseGuard(params.on_collapse),
            EarlyStoppingCallback(params.early_stopping_patience),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def check_best(trainer: Trainer) -> None:
    """Refuse a trained model that is not the one of the best step.

    Where the checkpoint is gone, the Trainer keeps the weights of the last step, and its warning is not shown.

    Raises:
        InputError: the checkpoint that the Trainer was to read at the end is not there.
    """
    checkpoint = trainer.state.best_model_checkpoint
    if checkpoint is None or not any(Path(checkpoint).glob("*.safetensors")):
        raise InputError(
            f"{checkpoint}: the checkpoint of the best step {trainer.state.best_global_step} is gone, and nothing is "
            "saved: something else removes files below .dvc/tmp; stop that and run `dvc repro` again"
        )


def curves(history: list[dict[str, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the Trainer's log into the training and the validation curve.

    Returns:
        Columns step, epoch, log_loss, learning_rate; and step, epoch, log_loss, accuracy, predicted_positive_rate.
    """
    train = [e for e in history if "loss" in e]
    validation = {e["step"]: e for e in history if "eval_log_loss" in e}  # the last one of a step counts
    return (
        pd.DataFrame([(e["step"], e["epoch"], e["loss"], e["learning_rate"]) for e in train],
                     columns=["step", "epoch", "log_loss", "learning_rate"]),
        pd.DataFrame([(e["step"], e["epoch"], e["eval_log_loss"], e["eval_accuracy"], e["eval_predicted_positive_rate"])
             for e in validation.values()],
                     columns=["step", "epoch", "log_loss", "accuracy", "predicted_positive_rate"]),
    )  # fmt: skip


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


def choose_what_learns(model: PreTrainedModel, params: TrainParams) -> None:
    """Freeze what stays as it is, and put adapters in where they are to learn."""
    if params.lora.rank:
        adapters.inject(model, params.lora, params.frozen_blocks)
    else:
        layers.freeze(model, params.frozen_blocks)
    if params.compile:
        model.base_model.compile(dynamic=True)


def write_model(
    model: PreTrainedModel, tokenizer: Any, lora: LoraParams, precision: str, manifest: Manifest, folder: Path
) -> None:
    """Write the self-contained model folder, with what `sentiment.inference.predictor` needs to know in sentiment.json.

    `abstain_below` may be set by hand: a label whose own probability is less is then left empty. null abstains never.

    Args:
        model: the fine-tuned model.
        tokenizer: the backbone's, with its pad token set.
        lora: whether there are adapters, and what becomes of them.
        precision: fp32, or bf16 for rounded weights.
        manifest: what sentiment.json will say.
        folder: where to.
    """
    if lora.rank and lora.save == "merged":
        adapters.merge(model)
    save_blocks(adapters.without_adapters(loading.stored_weights(model)), model.base_model_prefix, folder)
    if lora.rank and lora.save == "adapter":
        adapters.save(model, folder)
    if precision == "bf16":
        round_changed(folder, BASE)
    write_sketches(folder)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    manifest.write(folder)


def cost_of_rounding(
    trained: tuple[PreTrainedModel, Formulation],
    saved: tuple[PreTrainedModel, Formulation],
    validation: Dataset,
    params: TrainParams,
    device: str,
) -> dict[str, Any]:
    """Measure on validation what rounding the saved weights has cost; both models compute in fp32.

    Args:
        trained: the model as trained, and how it is asked.
        saved: likewise, as read back from its folder.
        validation: rows with input_ids and label.
        params: the stage's params.
        device: cpu, cuda or mps.

    Returns:
        fp32 and bf16: accuracy in [0, 1], and log_loss in nats per review.
    """
    found = {}
    for name, (model, formulation) in (("fp32", trained), ("bf16", saved)):
        logits = score(model, formulation, validation["input_ids"][:], params.batch_size * 4, device)
        measures = validation_measures(EvalPrediction(logits, np.asarray(validation["label"])))
        found[name] = {key: measures[key] for key in ("accuracy", "log_loss")}
        model.cpu()  # a GPU need not hold both
    before, after = found["fp32"], found["bf16"]
    say(
        f"saved as bf16: validation accuracy {before['accuracy']:.4f} as trained, {after['accuracy']:.4f} as saved; "
        f"log loss {before['log_loss']:.4f} and {after['log_loss']:.4f}"
    )
    return found


def main() -> None:
    """Fine-tune the base model on the train split."""
    all_params = load_params()
    params = all_params.train
    seed, device = all_params.seed, all_params.device
    set_up_torch(seed, all_params.threads, device)
    check_precision(params.precision, device)
    check_compiler(params.compile, device)
    train, validation = (load_from_disk(TOKENIZED / split) for split in ("train", "validation"))
    tokenizer = load_tokenizer(BASE)
    manifest = Manifest.from_params(all_params.model.formulation, all_params.tokenize)
    model, formulation = heads.load(BASE, tokenizer, manifest, seed, params.dropout)
    if manifest.has_head:
        drawn = loading.drawn_head(model, held_tensors(BASE))
        say(f"  the classification head is new ({', '.join(drawn)}): drawn from seed {seed}" if drawn else OWN_HEAD)
    choose_what_learns(model, params)
    learning, parameters = model.num_parameters(only_trainable=True), model.num_parameters()
    with scratch() as folder:
        with compact_vocabulary(model, formulation, train, validation) as compact:
            trainer = make_trainer(model, compact, train, validation, params, device, seed, folder)
            with timed(f"fine-tuning {learning} of {parameters} parameters on {len(train)} reviews"):
                trainer.train()
            check_best(trainer)
        write_model(model, tokenizer, params.lora, params.save_precision, manifest, FINETUNED)
    train_curve, validation_curve = curves(trainer.state.log_history)
    write_csv(TRAINING_CURVES / "train.csv", train_curve)
    write_csv(TRAINING_CURVES / "validation.csv", validation_curve)
    metrics = summarise(trainer, validation_curve)
    say(f"kept step {metrics['best_step']}, validation accuracy {metrics['validation']['accuracy']:.4f}")
    if params.save_precision == "bf16":
        saved = heads.load(FINETUNED, tokenizer, manifest, seed)
        metrics["rounding"] = cost_of_rounding((model, formulation), saved, validation, params, device)
    write_json(TRAIN_METRICS, metrics)


if __name__ == "__main__":
    exit_on_input_error(main)
