"""Raise if the files, config or tensors of a model folder are not those of a model that can work here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.backbones.families import FAMILY_NAMES
from sentiment.checkpoints.tensors import weight_map
from sentiment.pipeline.errors import InputError, first_few
from sentiment.tokens.tokenizer import load_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

_BUFFERS = (  # not learnt but computed by every model; older versions of transformers wrote them into files
    ".attn.bias", ".masked_bias", ".position_ids", ".token_type_ids", ".inv_freq",
)  # fmt: skip
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt")
_FLOATING = ("F64", "F32", "F16", "BF16")  # as safetensors names its types
_SUPPORTED = (
    "supported are encoders and decoders with a limit of positions and a classifier in transformers, such as "
    + ", ".join(FAMILY_NAMES)
)


def check_folder(folder: Path) -> None:
    """Raise if a folder is no Hugging Face model with safetensors and a tokenizer.

    Raises:
        InputError: says which file is missing, or that the weights are pickled.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; a Hugging Face model folder must lie there")
    if not any(folder.glob("*.safetensors")):
        pickled = ", ".join(file.name for file in folder.glob("*.bin")) or "none"
        raise InputError(
            f"{folder}: no *.safetensors; other weights found: {pickled}. Pickled weights can run code when read "
            "and are refused; save the model with save_pretrained to get safetensors"
        )
    if not any((folder / name).is_file() for name in TOKENIZER_FILES) and not any(folder.glob("*.model")):
        raise InputError(
            f"{folder}: no tokenizer; {', '.join(TOKENIZER_FILES)} or *.model must lie there, as the tokenizer's "
            "save_pretrained writes them"
        )
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder}: holds an adapter beside its weights (adapter_config.json); merge it first, with peft's "
            "merge_and_unload or train.lora.save: merged"
        )


def check_shards(folder: Path) -> None:
    """Raise if an index says that weights lie outside the folder: transformers would read them without a word."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        weight_map(index)


def check_config(folder: Path, stored: Mapping[str, str]) -> None:
    """Raise if a model cannot work here, or its weights cannot fill it, before it takes memory and time to build.

    Args:
        folder: a Hugging Face folder.
        stored: tensor name to type of number, from `sentiment.checkpoints.tensors.stored_types`.

    Raises:
        InputError: says which key of config.json, or which tensors.
    """
    config, where = load_config(folder), f"{folder}/config.json"
    _check_family(config, where)
    blocks = getattr(config, "num_hidden_layers", 0)
    if blocks > len(stored):
        raise InputError(f"{where}: found {blocks} layers, but the weights hold {len(stored)} tensors in all")
    others = [f"{name} ({t})" for name, t in stored.items() if t not in _FLOATING and not name.endswith(_BUFFERS)]
    if others:
        raise InputError(
            f"{folder}: {first_few(others)}: whole numbers, or fewer than 16 bits, in place of weights; quantized "
            "models cannot be fine-tuned: put the model there in float32, float16 or bfloat16"
        )


def _check_family(config: PreTrainedConfig, where: str) -> None:
    """Raise if the stages cannot read, score or limit a family."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

    positions = getattr(config, "max_position_embeddings", None)
    if config.is_encoder_decoder:
        problem = "is an encoder-decoder"
    elif not isinstance(positions, int) or positions < 1:
        problem = "has no limit of positions (max_position_embeddings)"
    elif config.model_type not in CLASSIFIERS:
        problem = "has no classifier in transformers"
    else:
        return
    raise InputError(f"{where}: found the model type {config.model_type}, which {problem}; {_SUPPORTED}")


def misshapen(info: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each tensor that does not fit, the shape it has and the one that the model needs."""
    return {
        name: f"found {list(found)}, config.json asks for {list(needed)}"
        for name, found, needed in info["mismatched_keys"]
    }


def listed(problems: Mapping[str, str]) -> str:
    """Name the first few tensors, each with what is wrong with it."""
    return first_few(f"{name}: {problem}" for name, problem in problems.items())


def refuse_lost(model: PreTrainedModel, info: Mapping[str, Any], folder: Path) -> None:
    """Raise if the tensors are not those of the backbone; transformers would fill in random numbers.

    What stands outside the backbone is a head's affair, and so is a pooler, which some checkpoints of BERT lack.

    Raises:
        InputError: names the tensors, and both shapes where they differ.
    """
    prefix = f"{model.base_model_prefix}."
    tops = {name.removeprefix(prefix).split(".")[0] for name in model.state_dict() if name.startswith(prefix)}

    def in_backbone(name: str) -> bool:
        inside = name.startswith(prefix) or name.split(".")[0] in tops  # a bare backbone's file has no prefix
        return inside and "pooler" not in name.split(".") and not name.endswith(_BUFFERS)

    problems = {
        **dict.fromkeys(info["missing_keys"], "missing"),
        **dict.fromkeys(info["unexpected_keys"], "not in the model that config.json describes"),
        **misshapen(info),
    }
    lost = {name: problem for name, problem in problems.items() if in_backbone(name)}
    if lost:
        strange = [name for name in info["unexpected_keys"] if not in_backbone(name)]
        other = strange and any(name in lost for name in info["missing_keys"])
        named = f"; the files hold names that the model does not have: {first_few(strange)}" if other else ""
        raise InputError(
            f"{folder}: the weights are not those of the {model.config.model_type} in config.json: {listed(lost)}"
            f"{named}; put a whole model there as save_pretrained writes it, with its own config.json"
        )


def check_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Raise if a tokenizer has more tokens than the model has embeddings.

    Raises:
        InputError: says both numbers.
    """
    embeddings: Any = model.get_input_embeddings()
    tokens = 1 + max(tokenizer.get_vocab().values(), default=0)
    if tokens > embeddings.num_embeddings:
        raise InputError(
            f"{folder}: the tokenizer numbers {tokens} tokens, but the model has embeddings for "
            f"{embeddings.num_embeddings}; put the model's own tokenizer there"
        )


def check_numbers(weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Raise if weights are no numbers, or their squares exceed what fp32 can hold, as a first step would.

    Raises:
        InputError: names the tensors.
    """
    wrong = [name for name, tensor in weights.items() if not tensor.float().square().sum().isfinite()]
    if wrong:
        raise InputError(
            f"{folder}: {first_few(wrong)}: weights that are NaN, infinite or too large to compute with; the model was "
            "damaged or its training diverged: put a sound one there"
        )
