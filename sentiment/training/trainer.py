"""The Hugging Face Trainer for a formulation: its loss, what is evaluated when, and what it watches for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.metrics import log_loss
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from sentiment.engine.batches import Collator
from sentiment.engine.packed import packed
from sentiment.engine.packing import Packer
from sentiment.engine.probability import probabilities
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS, decide
from sentiment.pipeline.progress import say
from sentiment.training.arguments import ProgressLines, parameter_groups, steps_per_epoch, training_arguments
from sentiment.training.frozen_prefix import computed_once
from sentiment.training.losses import ClassificationLoss, class_weights, resample

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, TrainingArguments

    from sentiment.engine.batches import States
    from sentiment.engine.heads import Formulation
    from sentiment.pipeline.params import TrainParams

START_LOSS_MARGIN = 0.35  # nats; a new head on a sane backbone starts within about 0.1 of ln 2
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}  # ours -> transformers'


class EvaluateOnSchedule(TrainerCallback):
    """Lets the Trainer evaluate after equal shares of each epoch, the epoch's end always among them."""

    def __init__(self, per_epoch: int, evaluations_per_epoch: int) -> None:
        """Compute the steps of one epoch, of which there are `per_epoch`, after which to evaluate."""
        count = min(evaluations_per_epoch, per_epoch)
        self.due = {round(per_epoch * k / count) for k in range(1, count + 1)}
        self.per_epoch = per_epoch

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate when it is due."""
        if (state.global_step - 1) % self.per_epoch + 1 in self.due:
            control.should_evaluate = True


class StartCounts(TrainerCallback):
    """Makes the model before the first step the best one so far: a later step is kept only where it is better."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the evaluation before the first step, after the callback that stops early has seen it."""
        if state.global_step == 0:
            state.best_metric, state.best_global_step = kwargs["metrics"][f"eval_{args.metric_for_best_model}"], 0


class CollapseGuard(TrainerCallback):
    """Watches for a model that calls every validation review alike, and for a new head that starts far from ln 2."""

    def __init__(self, on_collapse: str, new_head: bool) -> None:
        """Remember whether to warn or to stop, and whether the head is randomly initialised."""
        self.on_collapse, self.new_head = on_collapse, new_head

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at an evaluation.

        Raises:
            InputError: all predictions are alike after training has begun, and the choice is to stop then.
        """
        metrics = kwargs["metrics"]
        share, loss = metrics["eval_predicted_positive_rate"], metrics["eval_log_loss"]
        if self.new_head and state.global_step == 0 and abs(loss - math.log(2)) > START_LOSS_MARGIN:
            say(f"  warning: log loss {loss:.3f} before any step, far from ln 2 = 0.693, where a new head starts")
        if state.global_step > 0 and share in (0.0, 1.0):
            problem = (
                f"after step {state.global_step} every validation review is called {LABELS[int(share)]}; lower "
                "train.learning_rate, raise train.warmup_fraction, or set train.class_weights: balanced in params.yaml"
            )
            if self.on_collapse == "stop":
                raise InputError(f"{problem}; train.on_collapse: warn goes on all the same")
            say(f"  warning: {problem}")


def measure_predictions(prediction: EvalPrediction) -> dict[str, float]:
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
    """The Trainer, with the logits of a formulation, and a learning rate for each block."""

    def __init__(self, formulation: Formulation, params: TrainParams, **settings: Any) -> None:
        """Remember how logits are computed, and the stage's params; the Trainer takes the other settings."""
        self.formulation, self.params = formulation, params
        super().__init__(**settings)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute the loss of a batch by `compute_loss_func`, and return the logits too where they are wanted."""
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
    """Return whether frozen blocks would compute the same numbers again, in fp32 and outside compiled code."""
    return params.epochs > 1 and params.frozen_blocks != 0 and params.precision == "fp32" and not params.compile


@contextmanager
def prepared_trainer(
    model: PreTrainedModel,
    formulation: Formulation,
    train: Dataset,
    validation: Dataset,
    params: TrainParams,
    device: str,
    seed: int,
    folder: Path,
    new_head: bool,
) -> Iterator[Trainer]:
    """Set the Trainer up, with a model that computes packed rows as long as the context lasts.

    Args:
        model: the model, changed in place by the training.
        formulation: how its logits are computed.
        train: rows with input_ids, length and label.
        validation: likewise.
        params: the stage's params.
        device: cpu, cuda or mps.
        seed: decides the order of the batches and the dropout.
        folder: for the best checkpoint, and for the states of frozen blocks.
        new_head: whether the classification head is randomly initialised.
    """
    labels = np.asarray(train["label"])
    rows = resample(labels, params.sampling, seed)
    weights = class_weights(params.class_weights, labels[rows]).to(device)
    with packed(model, device) as batcher, ExitStack() as stack:
        states: States | None = None
        if device == "cpu" and isinstance(batcher, Packer) and reads_prefix_again(params):
            once = computed_once(model, formulation, batcher, [train, validation], folder / "prefix")
            states, [train, validation] = stack.enter_context(once)
        train = train.select(rows)
        per_epoch = steps_per_epoch(len(train), params)
        by_length = not isinstance(batcher, Packer)
        trainer = FormulationTrainer(
            formulation,
            params,
            model=model,
            args=_trainer_arguments(params, per_epoch * params.epochs, device, seed, folder, by_length),
            train_dataset=train,
            eval_dataset=validation.select(np.argsort(validation["length"], kind="stable")),
            data_collator=Collator(batcher, states),
            compute_loss_func=ClassificationLoss(weights, params.label_smoothing, params.focal_gamma),
            compute_metrics=measure_predictions,
            callbacks=[
                ProgressLines(),
                EvaluateOnSchedule(per_epoch, params.evaluations_per_epoch),
                CollapseGuard(params.on_collapse, new_head),
                EarlyStoppingCallback(params.early_stopping_patience),
                StartCounts(),
            ],
        )
        trainer.remove_callback(PrinterCallback)
        yield trainer


def _trainer_arguments(
    params: TrainParams, steps: int, device: str, seed: int, folder: Path, by_length: bool
) -> TrainingArguments:
    return training_arguments(
        device,
        seed,
        steps,
        folder,
        per_device_train_batch_size=params.batch_size,
        per_device_eval_batch_size=params.batch_size * 4,
        gradient_accumulation_steps=params.gradient_accumulation_steps,
        num_train_epochs=params.epochs,
        learning_rate=params.learning_rate,
        lr_scheduler_type=SCHEDULES[params.schedule],
        warmup_steps=math.ceil(params.warmup_fraction * steps),
        weight_decay=params.weight_decay,
        adam_beta1=params.adam_beta1,
        adam_beta2=params.adam_beta2,
        adam_epsilon=params.adam_epsilon,
        max_grad_norm=params.max_gradient_norm,
        activation_checkpointing=params.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        train_sampling_strategy="group_by_length" if by_length else "random",
        length_column_name="length",
        remove_unused_columns=False,
        label_names=["labels"],
        eval_on_start=True,
        eval_strategy="steps",
        eval_steps=steps,
        save_strategy="best",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=params.best_by,
        greater_is_better=params.best_by == "accuracy",
    )


def check_best(trainer: Trainer) -> None:
    """Raise if the trained model is not the one of the best step.

    Where the checkpoint is gone, the Trainer keeps the weights of the last step, and its warning is not shown. Step 0
    has none: its model can be loaded again.

    Raises:
        InputError: the checkpoint that the Trainer was to read at the end is not there.
    """
    checkpoint = trainer.state.best_model_checkpoint
    if trainer.state.best_global_step and (checkpoint is None or not any(Path(checkpoint).glob("*.safetensors"))):
        raise InputError(
            f"{checkpoint}: the checkpoint of the best step {trainer.state.best_global_step} is gone, and nothing is "
            "saved: something else removes files below .dvc/tmp; stop that and run `dvc repro` again"
        )
