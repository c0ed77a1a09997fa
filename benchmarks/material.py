"""What the benchmarks measure with: texts, a tokenizer, a model of GPT-2's shape; all can be made without a network."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.harness import named_files, run_child, run_here
from sentiment.builtin import grammar
from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.artifacts import read_json, write_json
from sentiment.pipeline.catalog import catalog_entry
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS
from sentiment.reviews.normalization import EVERYTHING, normalize
from sentiment.tokens.encoding import encode

PROMPT, WORDS = "{review} Overall it was", {"negative": ["bad"], "positive": ["good"]}
SHORT, LONG = 128, 512  # tokens: the lengths that recipes pad to
TINY = {"n_embd": 32, "n_layer": 2, "n_head": 2}


def manifest(max_length: int, formulation: str = "head") -> Manifest:
    """Return how texts are read, cut on the right and answered by a head or by one label word each."""
    reading = {"max_length": max_length, "truncation_side": "right", "text": EVERYTHING.model_dump()}
    stated = {"prompt": PROMPT, "label_words": WORDS, "formulation": formulation}
    return Manifest.model_validate({**reading, **stated, "temperature": 1.0, "threshold": 0.5, "sha256": {}})


def generated(count: int) -> list[str]:
    """Generate texts by the project's own grammar, about 24 words each: the built-in reviews without one-liners."""
    mix = grammar.Mix(**{**catalog_entry("datasets", "builtin")["mix"], "plain": 0.0})
    return [review.text for review in islice(grammar.generate("benchmarks", mix), count)]


def read_texts(files: Mapping[str, str], count: int) -> dict[str, list[str]]:
    """Read texts from csv files; without any, take generated ones, and long ones of ten generated ones each.

    Raises:
        InputError: a file has no column of texts.
    """
    if not files:
        texts = generated(10 * count)
        return {"short": texts[::10], "long": [" ".join(texts[i : i + 10]) for i in range(0, len(texts), 10)]}
    found = {}
    for name, file in files.items():
        table = pd.read_csv(file)
        column = next((c for c in table if str(c).lower() in ("text", "review")), None)
        if column is None:
            raise InputError(f"{file}: no column text or Review; found {', '.join(map(str, table))}")
        found[name] = [normalize(text, EVERYTHING) for text in table[column].astype(str)]
    return found


def made(arguments: argparse.Namespace, work: str, classifier: bool) -> dict[str, Any]:
    """Call `make` in a process of its own, unless all is small, with what the command line says of texts and model."""
    request = {"work": work, "files": named_files(arguments.texts), "model": arguments.model}
    run = run_here if arguments.small else run_child
    return run(make, {**request, "small": arguments.small, "classifier": classifier})


def make(request: dict[str, Any]) -> dict[str, Any]:
    """Make the model folder and the token ids of the texts, in a child: what it needs in memory counts for nobody.

    Args:
        request: files, model (a folder, or None), small, classifier (whether to give the model a head, for scoring),
            and work, the folder to write to.

    Returns:
        The model's folder, and of each set of texts its fixed length and mean length in tokens.
    """
    work = Path(request["work"])
    texts = read_texts(request["files"], 64 if request["small"] else 2000)
    folder = make_model(request["model"], [text for some in texts.values() for text in some], request["small"], work)
    if request["classifier"]:
        folder = with_head(folder, work)
    sets = {name: write_ids(folder, name, some, work) for name, some in texts.items()}
    return {"model": str(folder), "sets": sets}


def make_model(source: str | None, texts: list[str], small: bool, work: Path) -> Path:
    """Give a folder with weights: the source, where it has them; otherwise random ones of its shape, or of GPT-2's."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from sentiment.builtin.gpt2_mini import train_tokenizer
    from sentiment.tokens.tokenizer import load_config, load_tokenizer

    if source is not None and any(Path(source).glob("*.safetensors")):
        return Path(source)
    config: Any = GPT2Config() if source is None else load_config(Path(source))
    if source is None:
        config.update({"vocab_size": 1000} if small else {})
        words = [f" {word}" for word in ("bad", "good")] * len(texts)  # label words have to be one token
        tokenizer = train_tokenizer([*texts, *words], config.vocab_size, config.n_positions)
        config.update({"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id})
    else:
        tokenizer = load_tokenizer(Path(source))
    if small:
        config.update(TINY)
    torch.manual_seed(0)
    folder = work / "model"
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_head(folder: Path, work: Path) -> Path:
    """Write the classifier that the project makes of a model, so that all variants read the same head."""
    from sentiment.backbones.loading import load_classifier
    from sentiment.tokens.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(folder)
    load_classifier(folder, tokenizer, seed=0).save_pretrained(work / "classifier")
    tokenizer.save_pretrained(work / "classifier")
    return work / "classifier"


def write_ids(folder: Path, name: str, texts: list[str], work: Path) -> dict[str, Any]:
    """Write token ids: for a head, and in the prompt for label words.

    All variants read the same tokens: 128 of each text where as good as all are shorter than that, otherwise 512, or
    as many as the model can.

    Returns:
        fixed_length, the length that recipes pad to, and mean_length, both in tokens; rows.
    """
    from sentiment.tokens.tokenizer import load_config, load_tokenizer, max_positions

    tokenizer, longest = load_tokenizer(folder), min(LONG, max_positions(load_config(folder)))

    def ids(limit: int, formulation: str) -> list[list[int]]:
        return encode(tokenizer, texts, manifest(limit, formulation)).ids

    head = ids(longest, "head")
    fixed = SHORT if sum(len(row) > SHORT for row in head) <= 0.01 * len(head) else longest
    head = ids(fixed, "head")
    write_json(work / f"{name}.json", {"head": head, "label_words": ids(fixed - 1, "label_words"), "texts": texts})
    return {"fixed_length": fixed, "mean_length": sum(map(len, head)) / len(head), "rows": len(texts)}


def read_ids(work: str, name: str, formulation: str) -> list[dict[str, Any]]:
    """Read what `write_ids` wrote, as rows of input_ids, length and label; the labels alternate."""
    ids = read_json(Path(work) / f"{name}.json")[formulation]
    return [{"input_ids": row, "length": len(row), "label": i % len(LABELS)} for i, row in enumerate(ids)]
