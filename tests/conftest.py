"""What the tests share: a workspace of their own, and tiny random models of every family, made without a network."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sentiment.builtin.grammar import Mix
from sentiment.checkpoints.manifest import Manifest
from sentiment.reviews.normalization import AS_IT_STANDS

os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).parent.parent
EVERY_MEANS = Mix(**{field.name: 0.5 for field in fields(Mix)})  # of the built-in reviews
SETTINGS = ("params.yaml", "params.schema.json", "catalog.yaml", "recipes.yaml")
FAMILIES = ("gpt2", "distilbert", "bert", "roberta", "llama")

TEXTS = [
    "This product is fantastic! I love it and would recommend it to everyone.",
    "Terrible experience. It broke after one use. I will never buy this again.",
    "The plot is dull, but the acting is superb.",
    "Nobody could call the battery good.",
    "Fine.",
    "A long and winding story about a lighthouse, told twice, with great care for every one of its many keepers.",
]


def manifest(**stated: Any) -> Manifest:
    """A manifest of a model with a head, unchecked, with what is stated in place of the usual."""
    reading = {"max_length": 60, "truncation_side": "right", "text": AS_IT_STANDS, "prompt": "{review} It was"}
    words = {"negative": ["bad"], "positive": ["good"]}
    rest = {"formulation": "head", "temperature": 1.0, "threshold": 0.5, "sha256": {}}
    return Manifest.model_construct(**{**reading, "label_words": words, **rest, **stated})


def reading(max_length: int, side: str = "right") -> Manifest:
    """A manifest that says how texts are read."""
    return manifest(max_length=max_length, truncation_side=side)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold the most slow tests: begun last, one of them leaves all other workers idle."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Forget what torch.compile has made, before and after: one process keeps one store of it for all models."""
    import torch

    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's settings, which is the working directory of the test."""
    for name in SETTINGS:
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def change(workspace: Path) -> Callable[..., None]:
    """Change values in a settings file of the workspace, by dotted key."""

    def change_file(name: str, **values: Any) -> None:
        yaml = YAML()
        content = yaml.load(workspace / name)
        for key, value in values.items():
            *parents, last = key.split(".")
            place = content
            for parent in parents:
                place = place[parent]
            place[last] = value
        yaml.dump(content, workspace / name)

    return change_file


def tiny_config(family: str, vocabulary: int) -> Any:
    """Make the config of a two-layer model of a family."""
    import transformers as t

    encoder = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "hidden_size": 32}
    match family:
        case "gpt2":
            return t.GPT2Config(
                vocab_size=vocabulary, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
            )
        case "llama":
            return t.LlamaConfig(
                vocab_size=vocabulary, max_position_embeddings=64, **encoder, num_key_value_heads=1, bos_token_id=0,
                eos_token_id=0,
            )  # fmt: skip
        case "distilbert":
            return t.DistilBertConfig(
                vocab_size=vocabulary, max_position_embeddings=64, dim=32, hidden_dim=64, n_layers=2, n_heads=2
            )
        case "bert":
            return t.BertConfig(vocab_size=vocabulary, max_position_embeddings=64, **encoder)
        case "modernbert":
            return t.ModernBertConfig(
                vocab_size=vocabulary, max_position_embeddings=64, global_attn_every_n_layers=2, local_attention=8,
                pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, **encoder,
            )  # fmt: skip
        case "electra":
            return t.ElectraConfig(vocab_size=vocabulary, max_position_embeddings=64, embedding_size=16, **encoder)
        case "roberta":
            return t.RobertaConfig(vocab_size=vocabulary, max_position_embeddings=66, pad_token_id=1, **encoder)
        case _:
            raise ValueError(family)


def tiny_tokenizer(family: str) -> Any:
    """Train a small tokenizer of the family's kind; those of GPT-2 and Llama have no pad token."""
    import transformers as t
    from tokenizers import ByteLevelBPETokenizer, processors
    from tokenizers.implementations import BertWordPieceTokenizer, SentencePieceBPETokenizer

    if family == "llama":
        pieces = SentencePieceBPETokenizer()
        pieces.train_from_iterator(TEXTS, vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
        pieces._tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
        )
        return t.PreTrainedTokenizerFast(
            tokenizer_object=pieces._tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
        )
    if family == "gpt2":
        bpe = ByteLevelBPETokenizer()
        bpe.train_from_iterator(TEXTS, vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False)
        return t.PreTrainedTokenizerFast(
            tokenizer_object=bpe._tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
        )
    if family == "roberta":
        bpe = ByteLevelBPETokenizer()
        names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        bpe.train_from_iterator(TEXTS, vocab_size=400, special_tokens=names, show_progress=False)
        bpe._tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        return t.PreTrainedTokenizerFast(
            tokenizer_object=bpe._tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
            cls_token="<s>", sep_token="</s>", mask_token="<mask>",
        )  # fmt: skip
    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(TEXTS, vocab_size=400, show_progress=False)
    pieces._tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", pieces.token_to_id("[SEP]")), ("[CLS]", pieces.token_to_id("[CLS]"))
    )
    return t.PreTrainedTokenizerFast(
        tokenizer_object=pieces._tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip


LANGUAGE_MODELS = {
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "distilbert": "DistilBertForMaskedLM",
    "bert": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "modernbert": "ModernBertForMaskedLM",
    "electra": "ElectraForPreTraining",  # the discriminator, as Google published it
}


def make_tiny_model(family: str, folder: Path) -> Path:
    """Write a random two-layer language model of a family, as the hub would hold it."""
    import torch
    import transformers

    tokenizer = tiny_tokenizer(family)
    torch.manual_seed(7)
    model = getattr(transformers, LANGUAGE_MODELS[family])(tiny_config(family, len(tokenizer)))
    for parameter in model.parameters():  # the usual 0.02 gives logits too equal to tell a wrong one from a right one
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the folder of a tiny random model of a family; made once per session."""
    folder = tmp_path_factory.mktemp("tiny")

    def tiny(family: str) -> Path:
        path = folder / family
        return path if path.is_dir() else make_tiny_model(family, path)

    return tiny


Pack = Callable[..., Any]  # a model, and a device where it is not the CPU -> what `packed` yields


@pytest.fixture
def pack() -> Iterator[Pack]:
    """Enter the context `packed` for a model until the test ends."""
    from sentiment.engine.packed import packed

    with ExitStack() as stack:
        yield lambda model, device="cpu": stack.enter_context(packed(model, device))


def run_stages(*names: str) -> None:
    """Run stages in this process, in the working directory."""
    for name in names:
        importlib.import_module(f"stages.{name}").main()


def peak_memory_of(stage: str) -> float:
    """Run a stage in a process of its own, in the current folder, and say the most memory it took, in GB."""
    code = f"from stages.{stage} import main; from benchmarks.harness import peak_memory; main(); print(peak_memory())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


@pytest.fixture
def small(workspace: Path, change: Callable[..., None], tiny_models: Callable[[str], Path]) -> Callable[..., None]:
    """Shrink the workspace's settings: few built-in reviews, one short epoch, a tiny model of the given family."""

    def shrink(family: str = "gpt2", **params: Any) -> None:
        change("catalog.yaml", **{"datasets.builtin.rows": {"train": 80, "validation": 24, "test": 30}})
        change("catalog.yaml", **{"models.local.path": str(tiny_models(family))})
        few = {"train.epochs": 1, "train.batch_size": 8, "tokenize.max_length": 48, "tokenize.augmentation.copies": 0}
        change("params.yaml", **{"model.name": "local", **few, **params})

    return shrink


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a trained step even where the model before training is better, as it can be of tiny random models."""
    from sentiment.training.trainer import StartCounts

    monkeypatch.setattr(StartCounts, "on_evaluate", lambda *_, **__: None)


def parsed_by(module: Any, *words: str) -> argparse.Namespace:
    """Read a command line by the parser of one command's module."""
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return parser.parse_args(words)


def help_of(command: str, modules: tuple[str, ...]) -> tuple[str, list[str]]:
    """Ask for a command's help in a process of its own: what it prints, and which of the modules that has loaded."""
    code = (
        f"import json, runpy, sys\nsys.argv[1:] = ['{command}', '--help']\n"
        "try: runpy.run_module('sentiment', run_name='__main__')\n"
        f"except SystemExit: print(json.dumps([name for name in {modules} if name in sys.modules]), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout, json.loads(result.stderr)
