"""Write a fine-tuned model as a self-contained folder, and measure what rounding its weights has cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import EvalPrediction

from sentiment.backbones import adapters, loading
from sentiment.checkpoints.blocks import round_changed, save_blocks
from sentiment.checkpoints.sketches import write_sketches
from sentiment.engine.scoring import score
from sentiment.pipeline.paths import BASE
from sentiment.pipeline.progress import say
from sentiment.training.trainer import measure_predictions

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from sentiment.checkpoints.manifest import Manifest
    from sentiment.engine.heads import Formulation
    from sentiment.pipeline.params import LoraParams, TrainParams


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
        adapters.save_adapters(model, folder)
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
        trained: the model as trained, and its formulation.
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
        measures = measure_predictions(EvalPrediction(logits, np.asarray(validation["label"])))
        found[name] = {key: measures[key] for key in ("accuracy", "log_loss")}
        model.cpu()  # a GPU need not hold both
    before, after = found["fp32"], found["bf16"]
    say(
        f"saved as bf16: validation accuracy {before['accuracy']:.4f} as trained, {after['accuracy']:.4f} as saved; "
        f"log loss {before['log_loss']:.4f} and {after['log_loss']:.4f}"
    )
    return found
