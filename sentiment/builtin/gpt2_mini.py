"""The built-in miniature GPT-2: its tokenizer trained and its weights pre-trained on unlabelled built-in reviews.

Architecture: GPT-2 (Radford et al. 2019, https://github.com/openai/gpt-2), with byte-level BPE. The activation is the
fused form of GPT-2's tanh-approximated GELU: the same function in one kernel instead of six.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, Trainer
from transformers.trainer_callback import PrinterCallback

from sentiment.builtin import grammar
from sentiment.pipeline.paths import SCRATCH
from sentiment.training.arguments import ProgressLines, training_arguments

END_OF_TEXT = "<|endoftext|>"
WARMUP_FRACTION = 0.06
WEIGHT_DECAY = 0.01
# Standard deviations of the initial weights. A narrow model learns faster from larger layers and smaller embeddings
# than GPT-2's 0.02: 0.92 instead of 0.83 of the test reviews right after one pass over 48,000, without pre-training.
LAYER_STD, TOKEN_STD, POSITION_STD = 0.05, 0.02, 0.005


def unlabelled_reviews(entry: Mapping[str, Any], count: int, seed: int) -> list[str]:
    """Generate the texts to pre-train on; from another stream of the seed than the labelled ones."""
    reviews = grammar.generate(f"unlabelled-{seed}", grammar.Mix(**entry["mix"]))
    return [review.text for review in islice(reviews, count)]


def train_tokenizer(texts: Sequence[str], vocabulary: int, positions: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer as GPT-2 has it, but blind to case, the form of apostrophes and final marks.

    Args:
        texts: what to learn the merges from.
        vocabulary: number of tokens, the 256 bytes and the end-of-text token included.
        positions: the model's limit, written into the tokenizer.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Replace("\u2019", "'"),
            normalizers.Replace(Regex(r"(?<=\w)[\s.!]+\z"), ""),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrap: Any = PreTrainedTokenizerFast  # its constructor is untyped
    wrapped: PreTrainedTokenizerFast = wrap(
        tokenizer_object=tokenizer,
        **dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END_OF_TEXT),
        model_max_length=positions,
    )
    return wrapped


def blocks_of_tokens(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], size: int) -> torch.Tensor:
    """Join texts, an end-of-text token after each, and cut the stream into blocks without padding.

    Returns:
        int64 [blocks, size]; the rest of the stream is left out.
    """
    ids = chain.from_iterable([*e.ids, tokenizer.eos_token_id] for e in tokenizer.backend_tokenizer.encode_batch(texts))
    stream = torch.tensor(list(ids))
    return stream[: len(stream) // size * size].view(-1, size)


def random_model(entry: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """Make a randomly initialised GPT-2 of the catalog entry's size, from torch's current seed."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=entry["positions"],
        n_embd=entry["width"],
        n_layer=entry["layers"],
        n_head=entry["heads"],
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=LAYER_STD,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = GPT2LMHeadModel(config)
    torch.nn.init.normal_(model.transformer.wte.weight, std=TOKEN_STD)
    torch.nn.init.normal_(model.transformer.wpe.weight, std=POSITION_STD)
    return model


def pretrain(
    model: GPT2LMHeadModel, blocks: torch.Tensor, learning_rate: float, batch_size: int, device: str, seed: int
) -> float:
    """Train a model to predict the next token, one pass over the blocks; the model is changed in place.

    Args:
        model: the language model.
        blocks: int64 [blocks, tokens].
        learning_rate: the highest one, after the warm-up.
        batch_size: blocks per step.
        device: cpu, cuda or mps.
        seed: decides the order of the blocks.

    Returns:
        Mean cross-entropy over the last steps logged, nats per token.
    """
    steps = -(-len(blocks) // batch_size)
    trainer = Trainer(
        model=model,
        args=training_arguments(
            device,
            seed,
            steps,
            SCRATCH,  # nothing is saved there
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=learning_rate,
            warmup_steps=math.ceil(WARMUP_FRACTION * steps),
            weight_decay=WEIGHT_DECAY,
            save_strategy="no",
        ),
        train_dataset=[{"input_ids": block, "labels": block} for block in blocks],
        callbacks=[ProgressLines()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return float([entry["loss"] for entry in trainer.state.log_history if "loss" in entry][-1])
