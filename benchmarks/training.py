"""How fast a training step is: forward, backward, clipping, AdamW; ours beside the ways commonly copied.

`python -m benchmarks.training --texts rt=train.csv --texts imdb=imdb.csv --model folder`; without arguments generated
texts and random weights of GPT-2's shape. All variants read the same reviews in each round. FLOPs are the useful ones
alone: no padding, no discarded logits, nothing computed twice.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

from benchmarks import material
from benchmarks.harness import interleave, medians, meter, parser, peak_memory, publish
from sentiment.pipeline.errors import exit_on_input_error

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, Trainer


@dataclass(frozen=True)
class Setting:
    """What a child process measures.

    Attributes:
        variant: a key of VARIANTS.
        model: the model folder.
        work: the folder with the token ids.
        texts: which of the texts.
        fixed_length: tokens, what the padding variants pad to.
        steps: steps measured; each reads other reviews.
        batch_size: reviews per step.
        threads: CPU threads.
        round: the number of the round, which seeds the sample of reviews.
        device: cpu or cuda.
        warm_up: steps before those measured, at most as many.
    """

    variant: str
    model: str
    work: str
    texts: str
    fixed_length: int
    steps: int
    batch_size: int
    threads: int
    round: int
    device: str = "cpu"
    warm_up: int = 2


Rows = list[dict[str, Any]]
Build = Callable[[Setting, Rows, Rows, ExitStack], "Trainer"]


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        build: makes the Trainer, from the setting, the reviews of this round and all reviews.
        formulation: head or label_words: which token ids it reads.
        frozen: whether only the two highest blocks learn, and the head.
    """

    build: Build
    formulation: str = "head"
    frozen: bool = False


def stock(setting: Setting, rows: Rows, model: Any, collate: Any, bf16: bool = False) -> Trainer:
    """Make transformers' own Trainer, its settings as they are, except for bf16 on request."""
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=setting.work,
        per_device_train_batch_size=setting.batch_size,
        use_cpu=setting.device == "cpu",
        bf16=bf16,
        seed=setting.round,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), data_collator=collate)
    if bf16:
        trainer.model = trainer.accelerator.prepare_model(model)  # as Trainer.train does: puts autocast around it
    return trainer


def copied_label_words(setting: Setting, rows: Rows, every: Rows, stack: ExitStack) -> Trainer:
    """Train a language model on review, prompt and label word, padded, with all logits and with checkpointing."""
    import torch
    from transformers import AutoModelForCausalLM

    from sentiment.engine.batches import pad
    from sentiment.tokens.prompts import label_word_ids
    from sentiment.tokens.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(Path(setting.model))
    words = label_word_ids(tokenizer, material.WORDS, material.PROMPT)
    filler = [tokenizer.pad_token_id] * setting.fixed_length

    def collate(batch: Rows) -> dict[str, torch.Tensor]:
        whole = [[*row["input_ids"], words[row["label"]][0]] for row in batch]
        padded = pad([*whole, filler], tokenizer.pad_token_id)  # the filler makes it as long as it has to be
        inputs = {name: tensor[:-1] for name, tensor in padded.items()}
        labels = torch.full_like(inputs["input_ids"], -100)
        for number, row in enumerate(whole):
            labels[number, len(row) - 1] = row[-1]
        return {**inputs, "labels": labels}

    model = AutoModelForCausalLM.from_pretrained(setting.model)
    model.activation_checkpointing_enable()
    trainer = stock(setting, rows, model, collate)
    trainer.args.remove_unused_columns = False
    return trainer


def stock_head(padding: bool | str, keep_pages: bool = False, bf16: bool = False) -> Build:
    """Give what makes the stock Trainer of a classifier.

    Args:
        padding: max_length pads to the fixed length, True to the longest of a batch.
        keep_pages: with our allocator's settings, all else as it comes.
        bf16: whether the Trainer computes in bf16.
    """

    def build(setting: Setting, rows: Rows, every: Rows, stack: ExitStack) -> Trainer:
        from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding

        from sentiment.backbones.torch_setup import keep_freed_pages
        from sentiment.tokens.tokenizer import load_tokenizer

        if keep_pages:
            keep_freed_pages()
        tokenizer = load_tokenizer(Path(setting.model))
        model = AutoModelForSequenceClassification.from_pretrained(setting.model, pad_token_id=tokenizer.pad_token_id)
        collate = DataCollatorWithPadding(tokenizer, padding=padding, max_length=setting.fixed_length)
        return stock(setting, rows, model, collate, bf16)

    return build


def ours(formulation: str = "head", without: str = "", frozen: bool = False, **train: Any) -> Build:
    """Give what makes the Trainer as `stages.train.main` does, with the choices of params.yaml.

    Args:
        formulation: head or label_words.
        without: a means to leave out: allocator, vocabulary, packing, onednn, dropping, gelu or prefix.
        frozen: whether only the two highest blocks learn, and the head.
        train: other choices of the section `train`.
    """

    def build(setting: Setting, rows: Rows, every: Rows, stack: ExitStack) -> Trainer:
        from datasets import Dataset

        from sentiment.backbones import loading, torch_setup
        from sentiment.engine import dropout, families, heads, onednn
        from sentiment.pipeline.params import load_params
        from sentiment.pipeline.scratch import scratch
        from sentiment.tokens.tokenizer import load_config, load_tokenizer
        from sentiment.training.compact_vocabulary import compact_vocabulary
        from sentiment.training.trainer import prepared_trainer
        from stages.train import choose_what_learns

        if without == "allocator":
            stack.enter_context(mock.patch.object(torch_setup, "keep_freed_pages"))
        if without == "packing":
            stack.enter_context(mock.patch.object(families, "FAMILIES", {}))
        if without == "onednn":
            stack.enter_context(mock.patch.object(onednn, "available", return_value=False))
        if without == "dropping":
            stack.enter_context(mock.patch.object(dropout, "dropout_forwards", return_value=[]))
            stack.enter_context(mock.patch.object(dropout, "attend_with_dropout", torchs_dropout))
        if without == "gelu":
            stack.enter_context(mock.patch.object(loading, "_fuse_gelu"))
        if without == "prefix":
            stack.enter_context(mock.patch("sentiment.training.trainer.reads_prefix_again", return_value=False))
        torch_setup.set_up_torch(setting.round, setting.threads, setting.device)
        folder = Path(setting.model)
        plain = {"epochs": 2, "batch_size": setting.batch_size, "gradient_accumulation_steps": 1}
        blocks = frozen_blocks(load_config(folder)) if frozen else 0
        params = load_params().train.model_copy(update={**plain, "frozen_blocks": blocks, **train})
        manifest = material.manifest(setting.fixed_length, formulation)
        model, how = heads.load(folder, load_tokenizer(folder), manifest, setting.round, params.dropout)
        choose_what_learns(model, params)
        if without != "vocabulary":  # all reviews, as in a real run, not those of these few steps
            how = stack.enter_context(compact_vocabulary(model, how, Dataset.from_list(every)))
        few = Dataset.from_list(rows)
        validation = few.select(range(min(len(few), setting.batch_size)))
        room = stack.enter_context(scratch())
        return stack.enter_context(
            prepared_trainer(model, how, few, validation, params, setting.device, setting.round, room, new_head=True)
        )

    return build


def torchs_dropout(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    sizes: list[int],
    causal: bool,
    scaling: float | None,
    dropout: float,
    window: int | None,
) -> torch.Tensor:
    """Attend as `sentiment.engine.dropout.attend_with_dropout` does, with torch's own dropout in it."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    attended = [
        scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=causal, scale=scaling)
        for q, k, v in zip(*(torch.split(states, sizes, dim=2) for states in (query, key, value)), strict=True)
    ]
    return torch.cat(attended, dim=2).transpose(1, 2)


VARIANTS = {
    "label words, padded, all logits": Variant(copied_label_words, "label_words"),
    "head, padded": Variant(stock_head("max_length")),
    "head, stock Trainer": Variant(stock_head(padding=True)),
    "head, stock Trainer, pages kept": Variant(stock_head(padding=True, keep_pages=True)),
    "label words, ours": Variant(ours("label_words"), "label_words"),
    "head, ours": Variant(ours()),
    "head, ours, dropout 0.1": Variant(ours(dropout=0.1)),
    "head, ours, pages given back": Variant(ours(without="allocator")),
    "head, ours, whole vocabulary": Variant(ours(without="vocabulary")),
    "head, ours, padded, sorted by length": Variant(ours(without="packing")),
    "head, ours, torch's products": Variant(ours(without="onednn")),
    "head, ours, dropout 0.1, torch's": Variant(ours(without="dropping", dropout=0.1)),
    "head, ours, six kernels for GELU": Variant(ours(without="gelu")),
    "two blocks and head, ours": Variant(ours(frozen=True), frozen=True),
    "two blocks and head, ours, all computed": Variant(ours(frozen=True, without="prefix"), frozen=True),
}
REFERENCE = "head, stock Trainer"  # what the ratios are to
COLUMNS = ("texts", "variant", "seconds_per_step", "reviews_per_second", "tokens_per_second", "times_stock",
           "cpu_seconds", "useful_gflops", "of_peak", "of_onednn_peak",
           "memory_gb", "faults_per_step")  # fmt: skip


def frozen_blocks(config: PreTrainedConfig) -> int:
    """Give the number of blocks to freeze so that two learn; of a tiny model one less than all."""
    return max(1, int(config.n_layer) - 2)


def useful_flops(config: PreTrainedConfig, lengths: list[int], blocks: int) -> float:
    """Count the floating-point operations that a training step of a GPT-2 cannot do without.

    Those of frozen blocks are none of them: their output can be kept.

    Two per weight and token in the matrix products of the blocks; in attention two for each of the pairs of a token
    and an earlier one or itself, in the scores and in the weighted sum. The backward pass needs twice the forward's.
    """
    tokens, pairs = sum(lengths), sum(length * (length + 1) // 2 for length in lengths)
    inner: int = config.n_inner or 4 * config.n_embd
    block = 2 * tokens * config.n_embd * (4 * config.n_embd + 2 * inner) + 4 * pairs * config.n_embd
    return float(3 * blocks * block)


def product_peak(
    size: int = 1536,
    count: int = 6,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    through_onednn: bool = False,
) -> float:
    """Measure the machine at what it does best: the most FLOP/s of some products of square matrices.

    Args:
        size: of the matrices.
        count: products; the first ones bring a processor to its speed.
        device: cpu or cuda.
        dtype: of the numbers; None: fp32.
        through_onednn: as `sentiment.engine.onednn` multiplies, not as torch does.
    """
    import torch

    from sentiment.engine.private_ops import onednn_linear

    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(count):
        finish(device)
        start = time.perf_counter()
        _ = onednn_linear(left, right) if through_onednn else left @ right
        finish(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def finish(device: str) -> None:
    """Wait until a device has finished its queue; a CPU has none."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def step(trainer: Trainer, batch: Any) -> None:
    """Make one optimizer step, as the Trainer's loop does."""
    import torch

    model, optimizer = trainer.model, trainer.optimizer
    assert model is not None
    assert optimizer is not None
    trainer.training_step(model, batch)
    torch.nn.utils.clip_grad_norm_(model.parameters(), trainer.args.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Measure a variant once.

    Args:
        request: a Setting's values.

    Returns:
        What `measure_steps` gives; the peak of torch's and of oneDNN's products in FLOP/s, and of memory in GB.
    """
    import torch

    setting = Setting(**request)
    torch.set_num_threads(setting.threads)
    peak, onednn_peak = product_peak(), product_peak(through_onednn=True)
    measured = measure_steps(VARIANTS[setting.variant], setting)
    return {
        **measured,
        "peak_flops_per_second": peak,
        "onednn_peak_flops_per_second": onednn_peak,
        "memory_gb": peak_memory(),
    }


def measure_steps(variant: Variant, setting: Setting) -> dict[str, float]:
    """Measure some steps, after those that do not count.

    Returns:
        Of the measured steps: `meter`'s values per step, reviews and useful tokens and FLOPs per second.
    """
    every = material.read_ids(setting.work, setting.texts, variant.formulation)
    rows = random.Random(setting.round).sample(every, setting.steps * setting.batch_size)  # noqa: S311
    with ExitStack() as stack:
        trainer = variant.build(setting, rows, every, stack)
        trainer.create_optimizer_and_scheduler(setting.steps)
        trainer.current_gradient_accumulation_steps = 1  # what Trainer.train would set
        batches = trainer.get_train_dataloader()
        for batch in islice(batches, setting.warm_up):
            step(trainer, batch)
        finish(setting.device)
        with meter() as used:
            for batch in batches:
                step(trainer, batch)
            finish(setting.device)
        lengths = [row["length"] for row in rows]
        config = cast("PreTrainedModel", trainer.model).config
        flops = useful_flops(config, lengths, config.n_layer - (frozen_blocks(config) if variant.frozen else 0))
    seconds = used["seconds"]
    return {
        **{name: value / setting.steps for name, value in used.items()},
        "reviews_per_second": len(rows) / seconds,
        "tokens_per_second": sum(lengths) / seconds,
        "useful_flops_per_second": flops / seconds,
    }


def summarise(results: dict[str, dict[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Put the medians of all variants on all texts into rows, beside the reference."""
    rows = []
    for texts, variants in results.items():
        middle = {name: medians(rounds) for name, rounds in variants.items()}
        peaks = medians([measured for rounds in variants.values() for measured in rounds])  # one child's is noisy
        for name, values in middle.items():
            rows.append(
                {
                    "texts": texts,
                    "variant": name,
                    "seconds_per_step": values["seconds"],
                    "reviews_per_second": values["reviews_per_second"],
                    "tokens_per_second": values["tokens_per_second"],
                    "times_stock": values["reviews_per_second"] / middle[REFERENCE]["reviews_per_second"],
                    "cpu_seconds": values["cpu_seconds"],
                    "system_seconds": values["system_seconds"],
                    "useful_gflops": values["useful_flops_per_second"] / 1e9,
                    "of_peak": values["useful_flops_per_second"] / peaks["peak_flops_per_second"],
                    "of_onednn_peak": values["useful_flops_per_second"] / peaks["onednn_peak_flops_per_second"],
                    "memory_gb": values["memory_gb"],
                    "faults_per_step": values["faults"],
                }
            )
    return rows


def shared_setting(made: dict[str, Any], texts: str, work: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Collect what is the same of a Setting in all variants: all but variant, threads and round."""
    return {
        "model": made["model"],
        "work": work,
        "texts": texts,
        "fixed_length": made["sets"][texts]["fixed_length"],
        "steps": arguments.steps,
        "batch_size": arguments.batch_size,
    }


def main() -> None:
    """Measure all variants on all texts."""
    commands = parser(__doc__ or "", rounds=3)
    commands.add_argument("--steps", type=int, default=3, help="steps measured in each round")
    commands.add_argument("--batch-size", type=int, default=8, help="reviews per step")
    commands.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="variants beside stock")
    arguments = commands.parse_args()
    if arguments.small:
        arguments.rounds, arguments.steps = 1, 1
        arguments.threads = 1
    names = [name for name in VARIANTS if name in arguments.only or name == REFERENCE]
    with tempfile.TemporaryDirectory() as work:
        made = material.made(arguments, work, classifier=False)
        results = {}
        for texts in made["sets"]:
            shared = shared_setting(made, texts, work, arguments)
            requests = {name: {**shared, "variant": name, "threads": arguments.threads} for name in names}
            results[texts] = interleave(measure, requests, arguments.rounds, arguments.small)
    publish("training", arguments, summarise(results), COLUMNS, texts=made["sets"], rounds=results)


if __name__ == "__main__":
    exit_on_input_error(main)
