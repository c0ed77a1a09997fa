"""LoRA: small matrices beside the layers of a backbone learn, the layers themselves stay as they are.

Hu et al. 2021, https://arxiv.org/abs/2106.09685. The peft library puts them in place; the model keeps its own class,
so that it is scored, trained and saved like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.backbones.families import in_attention
from sentiment.backbones.layers import block_number, linear_layers, parameters_outside
from sentiment.pipeline.artifacts import write_json
from sentiment.pipeline.errors import InputError, allowed
from sentiment.pipeline.params import LoraParams

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # the names that transformers looks for
NAME = "default"  # peft's, of the only adapter there is


def targets(model: PreTrainedModel, modules: str | list[str], frozen_blocks: int | str) -> list[str]:
    """Name the layers that get an adapter.

    Args:
        model: the model.
        modules: `attention`, `all` (attention and feed-forward), or last parts of layers' names, such as c_attn.
        frozen_blocks: how many of the lowest blocks get none.

    Returns:
        Full names of linear layers inside the backbone's blocks.

    Raises:
        InputError: a name fits no layer, or nothing is left.
    """
    if frozen_blocks == "all":
        raise InputError("params.yaml: train.frozen_blocks: all leaves no block for the adapters of train.lora")
    linear = [name for name in linear_layers(model) if block_number(name) >= int(frozen_blocks)]
    if modules == "all":
        chosen = linear
    elif modules == "attention":
        chosen = [name for name in linear if in_attention(name)]
    else:
        known = sorted({name.split(".")[-1] for name in linear})
        for word in modules:
            if not any(name.endswith(f".{word}") for name in linear):
                raise InputError(f"params.yaml: train.lora.modules: found {word}, {allowed(word, known)}")
        chosen = [name for name in linear if any(name.endswith(f".{word}") for word in modules)]
    if not chosen:
        raise InputError(
            f"params.yaml: train.frozen_blocks: found {frozen_blocks}, which leaves no block for the adapters of "
            "train.lora; freeze fewer, or set train.lora.rank: 0"
        )
    return chosen


def inject(model: PreTrainedModel, params: LoraParams, frozen_blocks: int | str) -> None:
    """Put adapters into a model; they and what stands outside the backbone, its head, learn, and nothing else.

    Args:
        model: the model, changed in place; its logits stay the same until the adapters have learnt.
        params: the choices.
        frozen_blocks: how many of the lowest blocks get no adapter.

    Raises:
        InputError: see `targets`.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    names = targets(model, params.modules, frozen_blocks)
    config = LoraConfig(
        r=params.rank,
        lora_alpha=params.alpha,  # type: ignore[arg-type]  # only ever divided by the rank
        lora_dropout=params.dropout,
        target_modules=names,
        fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in names),  # [in, out] weights
    )
    head = parameters_outside(model)
    inject_adapter_in_model(config, model, NAME)
    for name in head:
        model.get_parameter(name).requires_grad = True


def merge(model: PreTrainedModel) -> None:
    """Add what adapters have learnt to the layers' own weights, and take the adapters away."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in layers:
        module.merge()
        model.set_submodule(name, module.get_base_layer())


def without_adapters(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Select a model's own weights, under the names they have without adapters."""
    return {name.replace(".base_layer.", "."): tensor for name, tensor in weights.items() if ".lora_" not in name}


def save_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Write the adapters of a model as peft does, into the folder of the model itself; `from_pretrained` finds them."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors: dict[str, Any] = get_peft_model_state_dict(model, adapter_name=NAME)
    named = {f"base_model.model.{name}": tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(dict(sorted(named.items())), folder / WEIGHTS, metadata={"format": "pt"})
    configs: Any = model.peft_config
    config = configs[NAME].to_dict()
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    write_json(folder / CONFIG, {**plain, "inference_mode": True, "base_model_name_or_path": "."})
