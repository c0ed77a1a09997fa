"""Load a model folder as a classifier or a language model, and select the weights that it really holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.backbones.checks import check_numbers, check_shards, check_tokens, listed, misshapen, refuse_lost
from sentiment.backbones.families import dropout_settings
from sentiment.backbones.layers import parameters_outside
from sentiment.pipeline.errors import InputError, in_one_line
from sentiment.pipeline.labels import LABELS, MANIFEST
from sentiment.pipeline.progress import say
from sentiment.tokens.tokenizer import load_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_LABEL_WORDS = {"0": 0, "negative": 0, "neg": 0, "1": 1, "positive": 1, "pos": 1}  # as in catalog.yaml: x-labels


def load_classifier(
    folder: Path, tokenizer: PreTrainedTokenizerFast, seed: int, dropout: float | None = None
) -> PreTrainedModel:
    """Load a backbone with a classification head for the two labels.

    A head that a pretrained folder does not hold is randomly initialised from the seed, so that every stage gets the
    same one. A folder that the stage train wrote must hold its own.

    Args:
        folder: a Hugging Face folder.
        tokenizer: from `load_tokenizer`; its pad token becomes the model's.
        seed: the seed of params.yaml.
        dropout: every dropout probability of the backbone; None keeps the config's.

    Returns:
        The model in evaluation mode, fp32, on the CPU.

    Raises:
        InputError: a tensor of the backbone, or of a fine-tuned head, is missing or misshapen.
    """
    model, info = _load(
        "AutoModelForSequenceClassification", folder, seed, **_head_settings(folder, tokenizer, dropout)
    )
    lacking = dict.fromkeys(info["missing_keys"], "missing") | misshapen(info)
    if lacking and (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder}: no classification head for {' and '.join(LABELS)} ({listed(lacking)}), though {MANIFEST} says "
            "that the model answers by its head; restore the folder with `dvc checkout`, or train again"
        )
    return model


def load_language_model(
    folder: Path, tokenizer: PreTrainedTokenizerFast, dropout: float | None = None
) -> PreTrainedModel:
    """Load a language model: a masked one where the tokenizer has a mask token, a causal one otherwise.

    Args:
        folder: a Hugging Face folder.
        tokenizer: from `load_tokenizer`; its pad token becomes the model's.
        dropout: every dropout probability of the backbone; None keeps the config's.

    Returns:
        The model in evaluation mode, fp32, on the CPU.

    Raises:
        InputError: the folder holds no language-model head.
    """
    kind = "AutoModelForCausalLM" if tokenizer.mask_token_id is None else "AutoModelForMaskedLM"
    settings = {"pad_token_id": tokenizer.pad_token_id, **dropout_settings(load_config(folder), dropout)}
    model, info = _load(kind, folder, seed=0, **settings)
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise InputError(
            f"{folder}: holds no language-model head ({missing} missing), which label words need; set "
            "params.yaml: model.formulation: head, or choose another model"
        )
    return model


def _head_settings(folder: Path, tokenizer: PreTrainedTokenizerFast, dropout: float | None) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: number for number, label in enumerate(LABELS)},
        "pad_token_id": tokenizer.pad_token_id,
        "problem_type": "single_label_classification",
        **dropout_settings(load_config(folder), dropout),
    }


def _load(kind: str, folder: Path, seed: int, **settings: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load a model as one of transformers' classes; what the folder lacks is randomly initialised from the seed.

    Returns:
        The model, and transformers' account of missing and mismatched tensors.

    Raises:
        InputError: transformers cannot load it, or would read files outside the folder.
    """
    import torch
    import transformers

    check_shards(folder)
    torch.manual_seed(seed)
    try:
        model, info = getattr(transformers, kind).from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported, and refused below
            **settings,
        )
    except Exception as error:  # whatever a damaged file, or a config with impossible values, makes the families raise
        raise InputError(f"{folder}: config.json and the weights give no model: {in_one_line(error)}") from error
    refuse_lost(model, info, folder)
    _fuse_gelu(model)
    return model.eval(), info


def _fuse_gelu(model: PreTrainedModel) -> None:
    """Put torch's tanh GELU in place of transformers' `gelu_new`: the same function, in one kernel instead of six."""
    import torch
    from transformers.activations import NewGELUActivation

    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, NewGELUActivation):
            model.set_submodule(name, torch.nn.GELU(approximate="tanh"))


def pretrained_weights(folder: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[dict[str, torch.Tensor], str]:
    """Collect every weight that a pretrained folder really holds, under the names that a classifier uses.

    The backbone's tensors come through the classification class, so that a frozen block has the same name and bytes
    before and after fine-tuning; a language-model head comes through the class that the config names.

    Returns:
        Tensor name to tensor, without tied copies and without any new head; and the backbone's prefix. A
        classification head of two labels is among them, its rows in the order of LABELS.

    Raises:
        InputError: a tensor is missing, misshapen or not a number, or the tokenizer is of another model.
    """
    import transformers

    classifier, info = _load(
        "AutoModelForSequenceClassification", folder, seed=0, **_head_settings(folder, tokenizer, None)
    )
    check_tokens(classifier, tokenizer, folder)
    weights = _with_ordered_head(_held(classifier, info), classifier, info, folder)
    architecture = (load_config(folder).architectures or [""])[0]
    if architecture.endswith(("LMHeadModel", "ForCausalLM", "ForMaskedLM", "ForPreTraining")):
        if not hasattr(transformers, architecture):
            raise InputError(f"{folder}/config.json: architectures: found {architecture}, which transformers lacks")
        language_model, language_info = _load(architecture, folder, seed=0)
        if language_info["mismatched_keys"]:
            raise InputError(f"{folder}: the language-model head does not fit: {listed(misshapen(language_info))}")
        weights = {**_held(language_model, language_info), **weights}
    check_numbers(weights, folder)
    return weights, classifier.base_model_prefix


def _with_ordered_head(
    weights: dict[str, torch.Tensor], model: PreTrainedModel, info: Mapping[str, Any], folder: Path
) -> dict[str, torch.Tensor]:
    """Bring the rows of a folder's own classification head into the order of LABELS, or leave the head out.

    A head is kept whole or not at all, and which row answers for which label is read from the names in config.json's
    id2label alone. LABEL_0 and LABEL_1, transformers' names for what nobody named, are taken in order.

    Returns:
        The weights, with a head that fits or with none.
    """
    head = parameters_outside(model)
    stated: dict[Any, str] = load_config(folder).id2label or {}
    names = [str(stated.get(number)) for number in range(len(stated))]
    shown = ", ".join(names)
    if all(name in weights for name in head):
        order = [_LABEL_WORDS.get(name.strip().casefold()) for name in names]
        if names == ["LABEL_0", "LABEL_1"]:
            say(f"  {folder}: the classification head does not name its labels ({shown}); taken as {', '.join(LABELS)}")
            order = [0, 1]
        if sorted(order, key=str) == [0, 1]:
            rows = [order.index(number) for number in range(len(LABELS))]
            last = {name: weights[name][rows] for name in head if weights[name].shape[0] == len(LABELS)}
            return {**weights, **last}
    if any(name in weights for name in head) or info["mismatched_keys"]:
        say(
            f"  {folder}: its classification head is left out and a new one will be trained: its labels ({shown}) "
            f"are not {', '.join(LABELS)}, or a part of it is missing; name them in config.json: id2label to keep it"
        )
    return {name: tensor for name, tensor in weights.items() if name not in head}


def _held(model: PreTrainedModel, info: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Select the stored weights of a model that its folder held."""
    initialised = {*info["missing_keys"], *misshapen(info)}
    return {name: tensor for name, tensor in stored_weights(model).items() if name not in initialised}


def new_head(model: PreTrainedModel, held: Iterable[str]) -> list[str]:
    """Return the names of the randomly initialised tensors of a classifier: those that its folder did not hold."""
    return sorted(stored_weights(model).keys() - set(held))


def stored_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the tensors that a checkpoint of the model holds: all but the tied copies."""
    tied = model.all_tied_weights_keys or {}
    return {name: tensor.detach().cpu() for name, tensor in model.state_dict().items() if name not in tied}
