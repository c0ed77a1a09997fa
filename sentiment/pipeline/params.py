"""Every choice of params.yaml, described once: type, limits, unit and text; and how the file is read and checked.

The whole of params.yaml is checked whichever stage runs, so that a slip in a later stage's section stops the first
stage already, and every problem is reported at once. The check can only refuse; what a stage computes depends on the
values it declares alone. params.schema.json, docs/choices.md and the comments of params.yaml are written from the texts
here by `python -m sentiment choices --write`; tests keep them current.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeGuard, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from sentiment.pipeline.catalog import entry_problems, read_yaml
from sentiment.pipeline.errors import InputError, allowed
from sentiment.pipeline.labels import LABELS
from sentiment.pipeline.paths import CATALOG, PARAMS

Count = Annotated[int, Field(ge=1)]
BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
Rows = Annotated[int, Field(ge=4)] | None
Probability = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Words = Annotated[list[str], Field(min_length=1)]
Value = TypeVar("Value")
LONGEST_SHOWN = 100  # of a key or value, in a message
MOVED = {"prepare.strip_html_breaks": "text.strip_html", "tokenize.lowercase": "text.lowercase"}  # old key to new
KeyPath = tuple[str, ...]  # the keys that lead to a value


def _of_each_label(values: dict[str, Value]) -> dict[str, Value]:
    """Raise if a mapping lacks a label, or names another."""
    if set(values) != set(LABELS):
        raise PydanticCustomError("labels", "have one entry for each of {labels}", {"labels": ", ".join(LABELS)})
    return values


def _apart(words: dict[str, list[str]]) -> dict[str, list[str]]:
    """Raise if a word stands for both labels."""
    shared = set.intersection(*map(set, words.values()))
    if shared:
        raise PydanticCustomError(
            "shared", "hold each word for one label only; in both: {words}", {"words": ", ".join(sorted(shared))}
        )
    return words


def _with_review(prompt: str) -> str:
    """Raise if a prompt has no place for the review, or several."""
    if prompt.count("{review}") != 1:
        raise PydanticCustomError("prompt", "hold {place} once", {"place": "{review}"})
    return prompt


PerLabel = Annotated[dict[str, Value], AfterValidator(_of_each_label)]


def _choice(text: str, **limits: Any) -> Any:
    """Describe a param in one line, as it stands beside the value in params.yaml."""
    return Field(description=text, **limits)


class Section(BaseModel):
    """A mapping of params.yaml: every key must be given, no other is allowed, no value is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataParams(Section):
    """What is classified."""

    name: str = _choice("an entry of catalog.yaml: datasets")


class ModelParams(Section):
    """What is fine-tuned."""

    name: str = _choice("an entry of catalog.yaml: models")
    formulation: Literal["head", "label_words"] = _choice(
        "head: a classification head; label_words: the language model answers with a word"
    )


class TextParams(Section):
    """How every text is normalized, in training and ever after: also a part of a model's manifest."""

    strip_html: bool = _choice(
        "HTML tags are taken out, line breaks become blanks, entities the characters they stand for"
    )
    strip_invisible: bool = _choice("control and zero-width characters are taken out; emoji stay whole")
    unicode: Literal["none", "NFC"] = _choice("NFC: a letter and its accent are one character; none: as they are")
    collapse_white_space: bool = _choice("runs of white space become one blank, none at either end")
    lowercase: bool = _choice("capital letters become small ones")


class PrepareParams(Section):
    """Raw reviews -> clean, labelled splits."""

    on_bad_rows: Literal["error", "drop"] = _choice(
        "rows without a known label or a text; error: stop and list them; drop: leave them out and count them"
    )
    near_duplicates: Literal["report", "drop", "off"] = _choice(
        "rows that nearly repeat one of another split; report: count; drop: leave them out of train, never of test"
    )
    validation_fraction: Fraction = _choice("share of train carved off where the source has no validation split")
    test_fraction: Fraction = _choice("share of all rows carved off where the source has no test split")
    train_rows: Rows = _choice("rows kept of each split, stratified by label; empty (null) keeps all")
    validation_rows: Rows = _choice("likewise")
    test_rows: Rows = _choice("likewise")


class BaseParams(Section):
    """The pretrained model; only a built-in one is pre-trained here."""

    pretraining_rows: int = _choice("unlabelled built-in reviews that a built-in model is pre-trained on", ge=64)
    pretraining_learning_rate: float = _choice("highest learning rate of the pre-training", gt=0, le=1)
    pretraining_batch_size: BatchSize = _choice("blocks of pretraining_block_size tokens")
    pretraining_block_size: int = _choice("tokens", ge=8)


class AugmentationParams(Section):
    """Edited copies of train reviews, which keep their label."""

    copies: int = _choice("edited copies of each train review, beside it", ge=0, le=100)
    word_dropout: Probability = _choice("probability that a word is left out; never not, but and their like")
    word_swap: Share = _choice("probability that a word changes places with the next")
    contractions: Share = _choice("probability that isn't becomes is not, or the other way round")
    typos: Share = _choice("probability of a typing error in a word of four letters or more")


class Reading(Section):
    """How a model reads texts, in its training and ever after: also a part of its manifest."""

    max_length: int = _choice("tokens per review, special tokens included; the rest is cut off", ge=4)
    truncation_side: Literal["right", "left", "head+tail"] = _choice(
        "right: cut the end; left: the beginning; head+tail: the middle"
    )
    prompt: Annotated[str, AfterValidator(_with_review)] = _choice(
        "around a review for label_words; masked models need {mask} where the word goes"
    )
    label_words: Annotated[PerLabel[Words], AfterValidator(_apart)] = _choice(
        "for label_words: words of one token each, any number for each label"
    )


class TokenizeParams(Reading):
    """Text -> token ids."""

    augmentation: AugmentationParams = _choice("edited copies of train reviews, which keep their label")


class LoraParams(Section):
    """Low-rank adapters, which learn in place of the layers they stand beside."""

    rank: int = _choice("of the adapters' matrices; 0: no LoRA, the layers themselves learn", ge=0, le=1024)
    alpha: PositiveFloat = _choice("the adapters' output is scaled by alpha / rank")
    dropout: Probability = _choice("of the adapters' input")
    modules: Literal["attention", "all"] | Words = _choice(
        "attention, all, or a list of layers by the last part of their names"
    )
    save: Literal["merged", "adapter"] = _choice("merged: added to the weights; adapter: beside the base's own weights")


class TrainParams(Section):
    """Token ids + base -> fine-tuned model."""

    epochs: Count = _choice("passes over the train split")
    batch_size: BatchSize = _choice("reviews per forward pass")
    gradient_accumulation_steps: Count = _choice("forward passes per optimizer step")
    learning_rate: float = _choice("highest learning rate of AdamW", gt=0, le=1)
    schedule: Literal["linear", "cosine", "constant"] = _choice("of the learning rate after the warm-up")
    warmup_fraction: Share = _choice("share of all steps")
    weight_decay: float = _choice("decoupled, of AdamW", ge=0, le=10)
    adam_beta1: Probability = _choice("decay of AdamW's mean of the gradients")
    adam_beta2: Probability = _choice("decay of AdamW's mean of the squared gradients")
    adam_epsilon: PositiveFloat = _choice("added to AdamW's divisor")
    max_gradient_norm: PositiveFloat = _choice("gradients are clipped to this norm")
    dropout: Probability | None = _choice("inside the backbone; empty (null) keeps what the backbone's config says")
    evaluations_per_epoch: Count = _choice("evaluations on the validation split per epoch")
    early_stopping_patience: Count = _choice(
        "evaluations without a better one before training stops; the one before the first step counts"
    )
    best_by: Literal["log_loss", "accuracy"] = _choice(
        "the checkpoint kept: lowest validation log_loss, or highest accuracy"
    )
    class_weights: Literal["none", "balanced"] | PerLabel[PositiveFloat] = _choice(
        "none, balanced, or a mapping such as {negative: 1, positive: 3}, whose ratio alone counts"
    )
    sampling: Literal["none", "oversample", "undersample"] = _choice(
        "oversample: repeat rows of the rarer label; undersample: leave out rows of the other"
    )
    label_smoothing: Probability = _choice("share of each target spread over both labels")
    focal_gamma: float = _choice("rows already right count less; 0 is plain cross-entropy", ge=0)
    on_collapse: Literal["warn", "stop"] = _choice("when all validation predictions are alike")
    frozen_blocks: Annotated[int, Field(ge=0)] | Literal["all"] = _choice(
        "embeddings and that many of the lowest blocks stay as they are; all: train the head alone"
    )
    lora: LoraParams = _choice("low-rank adapters learn in place of the layers they stand beside")
    layerwise_decay: float = _choice("learning rate of each block as a share of the one above it", gt=0, le=1)
    gradient_checkpointing: bool = _choice("compute activations twice instead of keeping them: less memory, more time")
    precision: Literal["fp32", "bf16"] = _choice("of matrix products; bf16 where the hardware has it")
    save_precision: Literal["fp32", "bf16"] = _choice(
        "of the weights written; bf16: half the bytes of each file that training changed, its cost reported"
    )
    compile: bool = _choice("let torch.compile generate code for this model; minutes at the start")


class EvaluateParams(Section):
    """Both models on the test split."""

    batch_size: BatchSize = _choice("reviews scored at once")
    calibration_bins: int = _choice("bins of equal width", ge=2, le=1000)


class PlotParams(Section):
    """Figures and report."""

    dpi: int = _choice("dots per inch of the figures", ge=50, le=600)
    worst_rows: int = _choice("wrong predictions shown in the report, the most confident first", ge=0, le=10_000)


class Params(Section):
    """The content of params.yaml."""

    seed: int = _choice("whole number; every random choice derives from it", ge=0, lt=2**32)
    threads: int = _choice("CPU threads of torch; another count gives other bits in the weights", ge=1, le=1024)
    device: Literal["cpu", "cuda", "mps", "auto"] = _choice(
        "cpu, cuda (NVIDIA GPU), mps (Apple GPU); auto: the first of cuda, mps, cpu that is here"
    )
    data: DataParams = _choice("what is classified")
    model: ModelParams = _choice("what is fine-tuned")
    text: TextParams = _choice("how every text is normalized, in all stages and by predict, serve and export")
    prepare: PrepareParams = _choice("raw reviews -> clean, labelled splits")
    base: BaseParams = _choice("the pretrained model; only a built-in one is pre-trained here")
    tokenize: TokenizeParams = _choice("text -> token ids")
    train: TrainParams = _choice("token ids + base -> fine-tuned model")
    evaluate: EvaluateParams = _choice("both models on the test split")
    plot: PlotParams = _choice("figures and report")


def load_params() -> Params:
    """Read and check params.yaml.

    Raises:
        InputError: lists every problem of the file.
    """
    content = read_yaml(PARAMS)
    problems = params_problems(content, read_yaml(CATALOG))
    if problems:
        raise InputError(f"{PARAMS} has {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    return Params.model_validate(content)


def params_problems(content: Mapping[str, Any], catalog: Mapping[str, Any]) -> list[str]:
    """Find everything that is wrong with the params.

    Args:
        content: the content of params.yaml.
        catalog: the content of catalog.yaml, for the names that may be chosen.

    Returns:
        One line per problem: key, value found, what is allowed. Empty if all is well.
    """
    problems = problems_of(Params, content)
    for part, entries in (("data", "datasets"), ("model", "models")):
        name = content.get(part, {}).get("name") if isinstance(content.get(part), dict) else None
        known = catalog.get(entries) or {}
        if not isinstance(known, Mapping):
            problems.append(f"{CATALOG}: {entries}: found {known!r}, must be a mapping of names to entries")
        elif isinstance(name, str) and name not in known:
            options = allowed(name, known)
            problems.append(f"{part}.name: found {name}, {options}; the entries of {CATALOG}: {entries}")
        elif isinstance(name, str):
            problems += entry_problems(known[name], entries, f"{CATALOG}: {entries}.{name}")
    return problems


def problems_of(kind: type[BaseModel], content: Any) -> list[str]:
    """Check a nested mapping against a model.

    Returns:
        One line per problem, by key.
    """
    try:
        kind.model_validate(content)
    except ValidationError as error:
        return explained(kind, content, error.errors())
    return []


def explained(kind: type[BaseModel], content: Any, details: Iterable[ErrorDetails]) -> list[str]:
    """Explain what pydantic found wrong with a nested mapping; one line per problem, by key."""
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in details:
        found.setdefault(_path(content, detail), []).append(detail)
    # each member of a union reports on its own; what stands deeper knows more
    deepest = [path for path in found if not any(path == other[: len(path)] != other for other in found)]
    return [_explain(kind, path, found[path]) for path in sorted(deepest)]


def _path(content: Any, detail: ErrorDetails) -> KeyPath:
    """Return the keys that lead to a problem; pydantic names the members of unions in between, which are no keys."""
    path: list[str] = []
    for step in detail["loc"]:
        held = isinstance(content, Mapping) and step in content
        if held or (isinstance(content, list) and isinstance(step, int)):
            content = content[step]
            path.append(str(step)[:LONGEST_SHOWN])
    return (*path, str(detail["loc"][-1])) if detail["type"] == "missing" else tuple(path)


_MUST = {  # pydantic's type of an error -> what is required, with the limits from the error's context
    "bool_type": "be true or false",
    "dict_type": "be a mapping",
    "finite_number": "be a finite number",
    "float_type": "be a number",
    "greater_than": "be greater than {gt:.10g}",
    "greater_than_equal": "be at least {ge:.10g}",
    "int_type": "be a whole number",
    "less_than": "be less than {lt:.10g}",
    "less_than_equal": "be at most {le:.10g}",
    "list_type": "be a list",
    "model_type": "be a mapping",
    "string_pattern_mismatch": "match {pattern}",
    "string_too_long": "have at most {max_length:,} characters",
    "string_too_short": "have at least {min_length:,} character(s)",
    "string_type": "be text",
    "string_unicode": "be text in UTF-8",
    "too_long": "have a length of at most {max_length:,}",
    "too_short": "have a length of at least {min_length:,}",
}


def _explain(kind: type[BaseModel], path: KeyPath, details: list[ErrorDetails]) -> str:
    """Explain what is wrong with one value."""
    detail, key, known = details[0], ".".join(path), dict(fields(kind))
    if detail["type"] == "missing":
        return f"{key}: missing, must be given ({known[key].description})"
    if key in MOVED:
        return f"{key}: no such key any more, its place is {MOVED[key]} now"
    if detail["type"] == "extra_forbidden":
        siblings = [other.rpartition(".") for other in known]
        names = [name for parent, _, name in siblings if parent == ".".join(path[:-1])]
        return f"{key}: no such key, {allowed(path[-1], names)}"
    found = json.dumps(detail["input"], default=str, ensure_ascii=False)
    if detail["type"].endswith("too_long"):
        found = f"a length of {len(detail['input']):,}"
    elif len(found) > LONGEST_SHOWN:
        found = f"{found[:LONGEST_SHOWN]}..."
    return f"{key or 'as a whole'}: found {found}, {', or '.join(map(_must_be, details))}"


def _must_be(detail: ErrorDetails) -> str:
    """Say what a value must be."""
    context = detail.get("ctx", {})
    if detail["type"] == "literal_error":
        return allowed(detail["input"], context["expected"].replace("'", "").replace(" or ", ", ").split(", "))
    must = _MUST.get(detail["type"])
    return f"must {must.format(**context) if must else detail['msg']}"


def is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    """Return whether a param of that type holds params of its own."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def fields(kind: type[BaseModel] = Params, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List every param: its dotted key and pydantic's field; a section comes before what it holds."""
    for name, field in kind.model_fields.items():
        yield prefix + name, field
        if is_section(field.annotation):
            yield from fields(field.annotation, f"{prefix}{name}.")


def flatten(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """List nested params as pairs of a dotted key and its value."""
    pairs: list[tuple[str, Any]] = []
    for key, value in params.items():
        pairs += flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return pairs
