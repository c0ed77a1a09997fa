"""A pretrained model -> models/base, a Hugging Face folder with one safetensors file per block.

In: the model that `model.name` chooses in catalog.yaml: the built-in miniature GPT-2, pre-trained here on unlabelled
built-in reviews; a hub model by pinned revision (the hub's cache and offline mode are honoured, only safetensors are
read, no code that lies beside a model is run); a Hugging Face folder below models/local; or one that an installed
package carries.
Out: models/base, with model.sketches beside the weights, by which `python -m sentiment diff` compares models it
does not load; metrics/base.json.
"""

from __future__ import annotations

if __package__ != "stages":  # the other stages, run by path, import tokenize.py in place of the standard library's
    raise SystemExit("error: run stages as modules, from the repository's root, such as python -m stages.base")

from pathlib import Path
from typing import Any

from sentiment.backbones import checks, loading
from sentiment.backbones.torch_setup import set_up_torch
from sentiment.builtin import gpt2_mini
from sentiment.checkpoints.blocks import save_blocks
from sentiment.checkpoints.sketches import write_sketches
from sentiment.checkpoints.tensors import stored_types
from sentiment.hub import fetch
from sentiment.packages import installed_model
from sentiment.pipeline.artifacts import write_json
from sentiment.pipeline.catalog import catalog_entry
from sentiment.pipeline.errors import InputError, exit_on_input_error
from sentiment.pipeline.labels import LABELS
from sentiment.pipeline.params import BaseParams, load_params
from sentiment.pipeline.paths import BASE, BASE_METRICS, CATALOG
from sentiment.pipeline.progress import say, timed
from sentiment.tokens.tokenizer import load_config, load_tokenizer

FILES = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens*",
]


def build(entry: dict[str, Any], params: BaseParams, device: str, seed: int, folder: Path) -> dict[str, Any]:
    """Pre-train the built-in model and write it.

    Args:
        entry: the catalog entry, with the model's size.
        params: the stage's params.
        device: cpu, cuda or mps.
        seed: the seed of params.yaml.
        folder: where to.

    Returns:
        The numbers for metrics/base.json.

    Raises:
        InputError: a block of tokens is longer than the model can read.
    """
    if params.pretraining_block_size > entry["positions"]:
        raise InputError(
            f"params.yaml: base.pretraining_block_size: found {params.pretraining_block_size}, must be at most "
            f"{entry['positions']}, the positions of the model in {CATALOG}"
        )
    texts = gpt2_mini.unlabelled_reviews(entry, params.pretraining_rows, seed)
    with timed("training the tokenizer"):
        tokenizer = gpt2_mini.train_tokenizer(texts, entry["vocabulary"], entry["positions"])
        blocks = gpt2_mini.blocks_of_tokens(tokenizer, texts, params.pretraining_block_size)
    model = gpt2_mini.random_model(entry, tokenizer)
    with timed(f"pre-training {model.num_parameters()} parameters on {blocks.numel()} tokens"):
        loss = gpt2_mini.pretrain(
            model, blocks, params.pretraining_learning_rate, params.pretraining_batch_size, device, seed
        )
    weights = loading.stored_weights(model)
    save_blocks(weights, model.base_model_prefix, folder)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"pretraining": {"tokens": blocks.numel(), "log_loss": loss}, "parameters": parameters(weights)}


def find(entry: dict[str, Any], where: str) -> Path:
    """Find the folder of a model that was pretrained elsewhere; from the hub, it is fetched."""
    if entry["source"] == "local":
        return Path(entry["path"])
    return installed_model(entry, where) if entry["source"] == "package" else fetch(entry, where, "model", FILES)


def adopt(source: Path, folder: Path) -> dict[str, Any]:
    """Rewrite a Hugging Face folder with one file per block; its weights stay what they are.

    Args:
        source: the folder to read.
        folder: where to.

    Returns:
        The numbers for metrics/base.json.
    """
    checks.check_folder(source)
    checks.check_config(source, stored_types(source))
    tokenizer = load_tokenizer(source)
    weights, prefix = loading.pretrained_weights(source, tokenizer)
    save_blocks(weights, prefix, folder)
    config = load_config(source)
    if (config.architectures or [""])[0].endswith("ForSequenceClassification"):
        config.id2label = dict(enumerate(LABELS))  # the order that the head's rows now have
        config.label2id = {label: number for number, label in enumerate(LABELS)}
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"parameters": parameters(weights)}


def parameters(weights: dict[str, Any]) -> int:
    """Count the numbers in all tensors."""
    return sum(tensor.numel() for tensor in weights.values())


def main() -> None:
    """Bring the model that params.yaml chooses."""
    all_params = load_params()
    name = all_params.model.name
    where, entry = f"{CATALOG}: models.{name}", catalog_entry("models", name)
    seed = all_params.seed
    device = set_up_torch(seed, all_params.threads, all_params.device)
    with timed(f"bringing {name}"):
        if entry["source"] == "builtin":
            metrics = build(entry, all_params.base, device, seed, BASE)
        else:
            metrics = adopt(find(entry, where), BASE)
        write_sketches(BASE)
        write_json(BASE_METRICS, metrics)
    say(f"{metrics['parameters']} parameters in {BASE}")


if __name__ == "__main__":
    exit_on_input_error(main)
