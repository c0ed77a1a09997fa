"""Load a tokenizer and a config; how many tokens a backbone can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sentiment.pipeline.artifacts import read_json_object
from sentiment.pipeline.errors import InputError, in_one_line, plain_name

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast


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
    for name in (settings.is_file() and read_json_object(settings).get("fast_tokenizer_files")) or ():
        plain_name(name, f"{settings}: fast_tokenizer_files")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each kind reads its files in its own way, and none promises a type of error
        raise InputError(f"{folder}: no tokenizer to load there: {in_one_line(error)}") from error
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


def plain_backend(tokenizer: PreTrainedTokenizerFast) -> Any:
    """Return the Rust tokenizer, set to neither pad nor cut, whatever its file or an earlier call has set."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    return backend


def first_position(config: PreTrainedConfig) -> int:
    """Return the number of a review's first position: 0, but RoBERTa counts from the pad token's number on."""
    return int(config.pad_token_id) + 1 if "roberta" in config.model_type else 0


def max_positions(config: PreTrainedConfig) -> int:
    """Return the greatest number of tokens a backbone can read, special tokens included; 512 of RoBERTa's 514."""
    return int(config.max_position_embeddings) - first_position(config)


def load_config(folder: Path) -> PreTrainedConfig:
    """Load a model's config, without running code that lies beside it."""
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return config
    except Exception as error:  # each family checks its config in its own way, and none promises a type of error
        raise InputError(f"{folder}: config.json cannot be used: {in_one_line(error)}") from error
