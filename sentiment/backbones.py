"""The only place where the model families differ: loading, padding, limits, dropout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sentiment.errors import InputError, plain_name
from sentiment.names import FACTS, LABELS
from sentiment.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

EMBEDDINGS = ("embed", "wte", "wpe")  # parts of the names that the families give their embeddings
_DROPOUTS = (  # the names that the families' configs give their dropout probabilities
    "resid_pdrop", "embd_pdrop", "attn_pdrop",  # GPT-2
    "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",  # BERT, RoBERTa
    "dropout", "attention_dropout", "seq_classif_dropout",  # DistilBERT, Llama
)  # fmt: skip
_BUFFERS = (  # not learnt but computed by every model; older versions of transformers wrote them into files
    ".attn.bias", ".masked_bias", ".position_ids", ".token_type_ids", ".inv_freq",
)  # fmt: skip
_FLOATING = ("F64", "F32", "F16", "BF16")  # as safetensors names its types
_LABEL_WORDS = {"0": 0, "negative": 0, "neg": 0, "1": 1, "positive": 1, "pos": 1}  # as in catalog.yaml: x-labels
_SHOWN = 3  # tensors named in a message; a file can hold thousands
_SUPPORTED = (
    "supported are encoders and decoders with a limit of positions and a classifier in transformers, such as gpt2, "
    "distilbert, bert, roberta, llama"
)


def check_folder(folder: Path) -> None:
    """Refuse a folder that is no Hugging Face model with safetensors.

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
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder}: holds an adapter beside its weights (adapter_config.json); merge it first, with peft's "
            "merge_and_unload or train.lora.save: merged"
        )


def check_shards(folder: Path) -> None:
    """Refuse a model folder whose weights are said to lie outside it: transformers would read them without a word.

    Raises:
        InputError: names the file, and what it says.
    """
    for path in sorted(folder.glob("*.safetensors.index.json")):
        index = _json_object(path)
        if not isinstance(index.get("weight_map"), dict):
            raise InputError(f"{path}: no weight_map, which must say for each tensor which file holds it")
        for tensor, name in index["weight_map"].items():
            plain_name(name, f"{path}: weight_map.{tensor}")


def _json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: it holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, must be a JSON object")
    return content


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a fast tokenizer that can pad on the right.

    GPT-2 and most of the Llama family bring no pad token; their end-of-text token then pads. Which token pads cannot
    change a prediction: attention never looks at padding, and the head reads the last token before it.

    Args:
        folder: a Hugging Face folder.

    Raises:
        InputError: there is no fast tokenizer, no token that could pad, or a file outside the folder is named.
    """
    from transformers import AutoTokenizer

    settings = folder / "tokenizer_config.json"
    for name in (settings.is_file() and _json_object(settings).get("fast_tokenizer_files")) or ():
        plain_name(name, f"{settings}: fast_tokenizer_files")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no tokenizer to load there: {error}") from error
    if not tokenizer.is_fast:
        raise InputError(
            f"{folder}: the tokenizer {type(tokenizer).__name__} has no fast version; a tokenizer.json is needed"
        )
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(
                f"{folder}: the tokenizer has neither a pad token nor an end-of-text token; name one of them"
            )
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return cast("PreTrainedTokenizerFast", tokenizer)


def first_position(config: PreTrainedConfig) -> int:
    """Give the number of a review's first position: 0, but RoBERTa counts from the pad token's number on."""
    return int(config.pad_token_id) + 1 if "roberta" in config.model_type else 0


def max_positions(config: PreTrainedConfig) -> int:
    """Give the greatest number of tokens a backbone can read, special tokens included; 512 of RoBERTa's 514."""
    return int(config.max_position_embeddings) - first_position(config)


def load_config(folder: Path) -> PreTrainedConfig:
    """Load a model's config, without running code that lies beside it."""
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return config
    except Exception as error:  # each family checks its config in its own way, and none promises a type of error
        raise InputError(f"{folder}: config.json cannot be used: {_in_one_line(error)}") from error


def check_config(folder: Path, stored: Mapping[str, str]) -> None:
    """Refuse a model that cannot work here, or that its weights cannot fill, before it takes memory and time to build.

    Args:
        folder: a Hugging Face folder.
        stored: tensor name to type of number, from `tensor_files.stored_types`.

    Raises:
        InputError: says which key of config.json, or which tensors.
    """
    config, where = load_config(folder), f"{folder}/config.json"
    _check_family(config, where)
    blocks = getattr(config, "num_hidden_layers", 0)
    if blocks > len(stored):
        raise InputError(f"{where}: found {blocks} layers, but the weights hold {len(stored)} tensors in all")
    whole = [f"{name} ({t})" for name, t in stored.items() if t not in _FLOATING and not name.endswith(_BUFFERS)]
    if whole:
        raise InputError(
            f"{folder}: {_some(whole)}: whole numbers in place of weights; quantized models cannot be fine-tuned: "
            "put the model there in float32, float16 or bfloat16"
        )


def _check_family(config: PreTrainedConfig, where: str) -> None:
    """Refuse a family that the stages cannot read, ask or limit.

    Raises:
        InputError: names the family and those that are supported.
    """
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


def _in_one_line(error: Exception) -> str:
    """Give an error's type and message without line breaks; a KeyError alone says no more than the key."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _some(names: Iterable[str]) -> str:
    """Name the first few, and how many there are beyond them."""
    names = sorted(names)
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def load_classifier(
    folder: Path, tokenizer: PreTrainedTokenizerFast, seed: int, dropout: float | None = None
) -> PreTrainedModel:
    """Load a backbone with a classification head for the two labels.

    A head that a pretrained folder does not hold is drawn from the seed, so that every stage that asks for it gets the
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
        _auto("AutoModelForSequenceClassification"), folder, seed, **_head_settings(folder, tokenizer, dropout)
    )
    lacking = dict.fromkeys(info["missing_keys"], "missing") | _misshapen(info)
    if lacking and (folder / FACTS).is_file():
        raise InputError(
            f"{folder}: no classification head for {' and '.join(LABELS)} ({_listed(lacking)}), though {FACTS} says "
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
    kind = _auto("AutoModelForCausalLM" if tokenizer.mask_token_id is None else "AutoModelForMaskedLM")
    settings = {"pad_token_id": tokenizer.pad_token_id, **_dropouts(load_config(folder), dropout)}
    model, info = _load(kind, folder, seed=0, **settings)
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise InputError(
            f"{folder}: holds no language-model head ({missing} missing), which label words need; set "
            "params.yaml: model.formulation: head, or choose another model"
        )
    return model


def freeze(model: PreTrainedModel, blocks: int | str) -> None:
    """Keep the lower part of a backbone as it is: its embeddings and its lowest blocks take no gradient.

    Args:
        model: the model, changed in place.
        blocks: how many blocks; 0 freezes nothing, `all` the whole backbone, so that the head alone learns.

    Raises:
        InputError: the model has fewer blocks, or nothing would be left to learn.
    """
    if blocks == 0:
        return
    names = [name for name, _ in model.named_parameters() if name.startswith(f"{model.base_model_prefix}.")]
    count = count_blocks(model)
    if isinstance(blocks, int) and blocks > count:
        raise InputError(
            f"params.yaml: train.frozen_blocks: found {blocks}, must be at most {count}, the model's blocks"
        )
    for name in names:
        embedding = any(part in name for part in EMBEDDINGS)
        if blocks == "all" or embedding or 0 <= block_number(name) < int(blocks):
            model.get_parameter(name).requires_grad = False
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("params.yaml: train.frozen_blocks: all leaves nothing to learn; freeze fewer blocks")


def blocks_of(model: PreTrainedModel) -> torch.nn.ModuleList:
    """Give the blocks of the backbone, from the lowest on."""
    import torch

    return next(module for module in model.base_model.modules() if isinstance(module, torch.nn.ModuleList))


def count_blocks(model: PreTrainedModel) -> int:
    """Count the blocks of the backbone."""
    return 1 + max(block_number(name) for name, _ in model.named_parameters())


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Name the linear layers inside the backbone's blocks, from the lowest on."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    kinds = (nn.Linear, Conv1D)
    return [n for n, module in model.named_modules() if isinstance(module, kinds) and block_number(f"{n}.") >= 0]


def parameters_outside(model: PreTrainedModel) -> list[str]:
    """Name the parameters outside the backbone: those of the head, or none where the head is tied to the embeddings."""
    return [name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")]


def height(model: PreTrainedModel, name: str) -> int:
    """Say how far below the top a parameter stands: 0 outside the blocks and above them, 1 in the highest block.

    The embeddings stand below the lowest block.
    """
    blocks = count_blocks(model)
    if any(part in name for part in EMBEDDINGS):
        return blocks + 1
    number = block_number(name)
    return blocks - number if number >= 0 else 0


def block_number(name: str) -> int:
    """Give the number of the block that a parameter belongs to; -1 outside the blocks."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found.group(1)) if found else -1


def shorten_last_block(model: PreTrainedModel) -> None:
    """Let a backbone's last block compute its feed-forward part for one token of each review alone.

    No later layer mixes tokens and nobody asks for the others, so their output is left at zero. On GPT-2's shape this
    saves one twentieth of a training step.

    Args:
        model: one of PACKABLE, changed in place; its backbone then heeds the argument `places`, from
            `packing.hidden_at`. Weights and their names stay as they are.
    """
    last: Any = blocks_of(model)[-1]
    last.forward = partial(_shortened, _LAST_BLOCKS[model.config.model_type], last)


def _shortened(
    compute: Callable[..., torch.Tensor], block: Any, hidden: torch.Tensor, *others: Any, **handed_down: Any
) -> torch.Tensor:
    """Compute a last block in place of its own `forward`; the mask and the cache among its arguments are none.

    Without the argument `places` all tokens are asked for, and the block computes as it always did.

    Returns:
        [1, tokens, width], as the rest of the model expects it.
    """
    if "places" not in handed_down:
        return cast("torch.Tensor", type(block).forward(block, hidden, *others, **handed_down))
    asked = compute(block, hidden, **handed_down)
    return asked.new_zeros(hidden.shape).index_copy(1, handed_down["places"], asked)


def _last_of_gpt2(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute GPT-2's block, from the states [1, tokens, width] to those asked for, [1, reviews, width]."""
    attended, _ = block.attn(block.ln_1(hidden), **handed_down)
    asked = (hidden + attended)[:, places]
    asked = asked + block.mlp(block.ln_2(asked))
    return cast("torch.Tensor", asked)


def _last_of_llama(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute Llama's block, likewise."""
    attended, _ = block.self_attn(block.input_layernorm(hidden), **handed_down)
    asked = (hidden + attended)[:, places]
    asked = asked + block.mlp(block.post_attention_layernorm(asked))
    return cast("torch.Tensor", asked)


def _last_of_bert(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute BERT's or RoBERTa's block, likewise."""
    attended, _ = block.attention(hidden, **handed_down)
    return cast("torch.Tensor", block.feed_forward_chunk(attended[:, places]))


def _last_of_distilbert(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute DistilBERT's block, likewise."""
    attended, _ = block.attention(hidden, **handed_down)
    asked = block.sa_layer_norm((attended + hidden)[:, places])
    return cast("torch.Tensor", block.output_layer_norm(block.ffn(asked) + asked))


_LAST_BLOCKS = {
    "gpt2": _last_of_gpt2,
    "llama": _last_of_llama,
    "bert": _last_of_bert,
    "roberta": _last_of_bert,
    "distilbert": _last_of_distilbert,
}
PACKABLE = tuple(_LAST_BLOCKS)  # the model types that sentiment/packing.py knows and is tested with


def head_reads_last(model: PreTrainedModel) -> bool:
    """Say whether a classification head reads a review's last token, as causal models do, or its first."""
    return model.config.model_type in ("gpt2", "llama")


def head_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Compute a classifier's logits from the backbone's output at the place that its head reads.

    Args:
        model: from `load_classifier`, one of PACKABLE.
        hidden: [reviews, width].

    Returns:
        [reviews, labels].
    """
    head: Any = model
    if model.config.model_type == "bert":
        hidden = head.dropout(head.bert.pooler(hidden[:, None]))  # the pooler picks the first of [reviews, 1, width]
    elif model.config.model_type == "distilbert":
        hidden = head.dropout(head.pre_classifier(hidden).relu())
    elif model.config.model_type == "roberta":
        hidden = hidden[:, None]  # the head picks the first itself
    logits: torch.Tensor = (head.score if head_reads_last(model) else head.classifier)(hidden)
    return logits


def word_logits(model: PreTrainedModel, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Compute a language model's logits for a few words, from the backbone's output at the place asked about.

    Args:
        model: from `load_language_model`.
        hidden: [reviews, width].
        ids: token ids of the words, int64 [words].

    Returns:
        [reviews, words]; what the model's full head would give for these tokens.
    """
    from torch.nn import functional

    head: Any = model
    if model.config.model_type == "bert":
        hidden = head.cls.predictions.transform(hidden)
    elif model.config.model_type == "distilbert":
        hidden = head.vocab_layer_norm(head.activation(head.vocab_transform(hidden)))
    elif model.config.model_type == "roberta":
        hidden = head.lm_head.layer_norm(functional.gelu(head.lm_head.dense(hidden)))
    decoder = head.get_output_embeddings()
    return functional.linear(hidden, decoder.weight[ids], None if decoder.bias is None else decoder.bias[ids])


def _dropouts(config: PreTrainedConfig, dropout: float | None) -> dict[str, float]:
    """Collect every dropout setting that a config has; none where the config's own are kept."""
    return {} if dropout is None else {name: dropout for name in _DROPOUTS if hasattr(config, name)}


def has_dropout(config: PreTrainedConfig) -> bool:
    """Say whether anything is dropped in training."""
    return any(getattr(config, name, None) for name in _DROPOUTS)


def _head_settings(folder: Path, tokenizer: PreTrainedTokenizerFast, dropout: float | None) -> dict[str, Any]:
    """Collect what the config of a classifier says beyond the backbone's own."""
    config = load_config(folder)
    return {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: number for number, label in enumerate(LABELS)},
        "pad_token_id": tokenizer.pad_token_id,
        "problem_type": "single_label_classification",
        **_dropouts(config, dropout),
    }


def _auto(name: str) -> Any:
    """Import one of transformers' Auto classes."""
    import transformers

    return getattr(transformers, name)


def _load(kind: Any, folder: Path, seed: int, **settings: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load a model as one class; what the folder lacks is drawn from the seed.

    Returns:
        The model, and transformers' account of missing and mismatched tensors.

    Raises:
        InputError: transformers cannot load it, or would read files outside the folder.
    """
    import torch

    check_shards(folder)
    torch.manual_seed(seed)
    try:
        model, info = kind.from_pretrained(
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
        raise InputError(f"{folder}: config.json and the weights give no model: {_in_one_line(error)}") from error
    _refuse_lost(model, info, folder)
    _fuse_gelu(model)
    return model.eval(), info


def _misshapen(info: Mapping[str, Any]) -> dict[str, str]:
    """Say of each tensor that does not fit which shape it has and which the model needs."""
    return {
        name: f"found {list(found)}, config.json asks for {list(needed)}"
        for name, found, needed in info["mismatched_keys"]
    }


def _listed(problems: Mapping[str, str]) -> str:
    """Name the first few tensors, each with what is wrong with it."""
    return _some(f"{name}: {problem}" for name, problem in problems.items())


def _refuse_lost(model: PreTrainedModel, info: Mapping[str, Any], folder: Path) -> None:
    """Refuse a folder whose tensors are not those of the backbone; transformers would fill in random numbers.

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
        **_misshapen(info),
    }
    lost = {name: problem for name, problem in problems.items() if in_backbone(name)}
    if lost:
        strange = [name for name in info["unexpected_keys"] if not in_backbone(name)]
        other = strange and any(name in lost for name in info["missing_keys"])
        named = f"; the files hold names that the model does not have: {_some(strange)}" if other else ""
        raise InputError(
            f"{folder}: the weights are not those of the {model.config.model_type} in config.json: {_listed(lost)}"
            f"{named}; put a whole model there as save_pretrained writes it, with its own config.json"
        )


def _fuse_gelu(model: PreTrainedModel) -> None:
    """Put torch's tanh GELU in place of transformers' `gelu_new`: the same function, in one kernel instead of six."""
    import torch
    from transformers.activations import NewGELUActivation

    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU(approximate="tanh"))


def pretrained_weights(folder: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[dict[str, torch.Tensor], str]:
    """Collect every weight that a pretrained folder really holds, under the names that a classifier uses.

    The backbone's tensors come through the classification class, so that a frozen block has the same name and bytes
    before and after fine-tuning; a language-model head comes through the class that the config names.

    Returns:
        Tensor name to tensor, without tied copies and without any newly drawn head; and the backbone's prefix. A
        classification head of two labels is among them, its rows in the order of LABELS.

    Raises:
        InputError: a tensor is missing, misshapen or not a number, or the tokenizer is of another model.
    """
    import transformers

    classifier, info = _load(
        _auto("AutoModelForSequenceClassification"), folder, seed=0, **_head_settings(folder, tokenizer, None)
    )
    _check_tokens(classifier, tokenizer, folder)
    weights = _with_ordered_head(_held(classifier, info), classifier, info, folder)
    architecture = (load_config(folder).architectures or [""])[0]
    if architecture.endswith(("LMHeadModel", "ForCausalLM", "ForMaskedLM", "ForPreTraining")):
        kind = getattr(transformers, architecture, None)
        if kind is None:
            raise InputError(f"{folder}/config.json: architectures: found {architecture}, which transformers lacks")
        language_model, language_info = _load(kind, folder, seed=0)
        if language_info["mismatched_keys"]:
            raise InputError(f"{folder}: the language-model head does not fit: {_listed(_misshapen(language_info))}")
        weights = {**_held(language_model, language_info), **weights}
    _check_numbers(weights, folder)
    return weights, classifier.base_model_prefix


def _check_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Refuse a tokenizer with more tokens than the model has embeddings.

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


def _check_numbers(weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Refuse weights that are no numbers, or whose squares exceed what fp32 can hold, as a first step would.

    Raises:
        InputError: names the tensors.
    """
    wrong = [name for name, tensor in weights.items() if not tensor.float().square().sum().isfinite()]
    if wrong:
        raise InputError(
            f"{folder}: {_some(wrong)}: weights that are NaN, infinite or too large to compute with; the model was "
            "damaged or its training diverged: put a sound one there"
        )


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
    drawn = {*info["missing_keys"], *_misshapen(info)}
    return {name: tensor for name, tensor in stored_weights(model).items() if name not in drawn}


def drawn_head(model: PreTrainedModel, held: Iterable[str]) -> list[str]:
    """Name the tensors of a classification head that were drawn anew, as they are not among those that a folder held.

    Args:
        model: from `load_classifier`.
        held: the tensors of its folder.
    """
    return sorted(stored_weights(model).keys() - set(held))


def stored_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Give the tensors that a checkpoint of the model holds: all but the tied copies."""
    tied = model.all_tied_weights_keys or {}
    return {name: tensor.detach().cpu() for name, tensor in model.state_dict().items() if name not in tied}
