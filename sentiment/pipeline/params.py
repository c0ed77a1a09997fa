"""Read params.yaml and catalog.yaml: checked as a whole, every problem told at once.

The whole of params.yaml is checked against params.schema.json whichever stage runs, so that a slip in a later stage's
section stops the first stage already. The check can only refuse; what a stage computes depends on its own values alone.
YAML is read as version 1.2 (ruamel.yaml), in which `2e-05`, as DVC writes it, is a number.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sentiment.pipeline.errors import InputError, allowed, plain_pattern
from sentiment.pipeline.labels import LABELS
from sentiment.pipeline.paths import CATALOG, PARAMS, PARAMS_SCHEMA

Section = TypeVar("Section")

_COLUMNS = ("text", "label", "labels", "licence")
NEEDED = {  # kind of entry -> its source -> the keys it must have
    "datasets": {
        "builtin": ("mix", "rows", "licence"),
        "hub": ("id", "revision", "splits", *_COLUMNS),
        "local": ("path", *_COLUMNS),
    },
    "models": {
        "builtin": ("layers", "width", "heads", "positions", "vocabulary", "mix", "licence"),
        "hub": ("id", "revision", "licence"),
        "local": ("path", "licence"),
    },
}


def _is_whole(_: object, value: object) -> bool:
    """Accept a whole number written as one: JSON Schema takes 3.0 for an integer too."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: object, value: object) -> bool:
    """Accept a finite number: YAML, unlike JSON, can write .nan and .inf."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_whole, "number": _is_number})
Validator = extend(Draft202012Validator, type_checker=_TYPES)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 file that holds a mapping.

    Raises:
        InputError: the file is missing, is no YAML, or holds something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; run from the repository root, which has it")
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except YAMLError as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, must be a mapping of names to values")
    return content


def check(params: Mapping[str, Any], schema: Mapping[str, Any], catalog: Mapping[str, Any]) -> list[str]:
    """Find everything that is wrong with the params.

    Args:
        params: the content of params.yaml.
        schema: the content of params.schema.json.
        catalog: the content of catalog.yaml, for the names that may be chosen.

    Returns:
        One line per problem: key, value found, what is allowed. Empty when all is well.
    """
    errors = sorted(Validator(schema).iter_errors(params), key=lambda error: list(map(str, error.path)))
    problems = [line for error in errors for line in _explain(error)]
    for section, entries in (("data", "datasets"), ("model", "models")):
        name = params.get(section, {}).get("name") if isinstance(params.get(section), dict) else None
        known = catalog.get(entries) or {}
        if isinstance(name, str) and name not in known:
            options = allowed(name, known)
            problems.append(f"{section}.name: found {name}, {options}; the entries of {CATALOG}: {entries}")
        elif isinstance(name, str):
            problems += check_entry(known[name], entries, f"{CATALOG}: {entries}.{name}")
    return problems


def check_entry(entry: Any, kind: str, where: str) -> list[str]:
    """Find the keys that a catalog entry lacks.

    Args:
        entry: the entry.
        kind: `datasets` or `models`.
        where: its place, for the lines.

    Returns:
        One line per problem.
    """
    if not isinstance(entry, Mapping):
        return [f"{where}: found {entry!r}, must be a mapping of keys to values"]
    source = str(entry.get("source"))
    if source not in NEEDED[kind]:
        return [f"{where}.source: found {source}, {allowed(source, NEEDED[kind])}"]
    missing = [key for key in NEEDED[kind][source] if key not in entry]
    problems = [f"{where}.{key}: missing, an entry of source {source} needs it" for key in missing]
    if "splits" in entry:
        problems += check_splits(entry["splits"], f"{where}.splits")
    return problems + (check_labels(entry["labels"], f"{where}.labels") if "labels" in entry else [])


def check_splits(splits: Any, where: str) -> list[str]:
    """Find what is wrong with the file patterns of a catalog entry's splits; one line per problem."""
    if not isinstance(splits, Mapping):
        return [f"{where}: found {splits!r}, must be a mapping of splits to file patterns"]
    problems = []
    for split, pattern in splits.items():
        try:
            plain_pattern(pattern, f"{where}.{split}")
        except InputError as error:
            problems.append(str(error))
    return problems


def check_labels(labels: Any, where: str) -> list[str]:
    """Find what is wrong with the label words of a catalog entry; one line per problem."""
    if not isinstance(labels, Mapping) or set(labels) != set(LABELS):
        return [f"{where}: found {labels!r}, must be {' and '.join(LABELS)}, each with a list of its words"]
    if not all(isinstance(words, list) and words for words in labels.values()):
        return [f"{where}: found {dict(labels)}, each label must have a list of words"]
    negative, positive = ({str(word).casefold() for word in labels[label]} for label in LABELS)
    return [f"{where}: {word} stands for both labels" for word in sorted(negative & positive)]


def _explain(error: ValidationError) -> Iterator[str]:
    """Say a schema violation in the words of the house."""
    key = ".".join(map(str, error.path))
    found = json.dumps(error.instance, default=str)
    rule, value = error.validator, error.validator_value
    prefix = f"{key}." if key else ""
    known = list(error.schema.get("properties", ()))
    if rule == "additionalProperties":
        for name in error.instance:
            if name not in known:
                yield f"{prefix}{name}: no such key, {allowed(name, known)}"
    elif rule == "required":
        missing = error.message.split("'")[1]
        description = error.schema["properties"][missing].get("description", "")
        yield f"{prefix}{missing}: missing, must be given ({description})"
    elif rule == "enum":
        yield f"{key}: found {found}, {allowed(error.instance, value)}"
    elif rule == "type":
        types = " or ".join(value) if isinstance(value, list) else value
        yield f"{key}: found {found}, must be {types}"
    elif rule == "pattern":
        yield f"{key}: found {found}, must match {value}"
    else:
        words = {
            "minimum": "at least",
            "maximum": "at most",
            "exclusiveMinimum": "greater than",
            "exclusiveMaximum": "less than",
            "minItems": "a list of length at least",
        }
        yield f"{key}: found {found}, must be {words[str(rule)]} {value}"


def load_params() -> dict[str, Any]:
    """Read and check params.yaml.

    Returns:
        The nested values.

    Raises:
        InputError: lists every problem of the file.
    """
    params = read_yaml(PARAMS)
    schema = json.loads(PARAMS_SCHEMA.read_text(encoding="utf-8"))
    problems = check(params, schema, read_yaml(CATALOG))
    if problems:
        raise InputError(f"{PARAMS} has {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    return params


def section(params: Mapping[str, Any], name: str, kind: type[Section]) -> Section:
    """Give one section of the checked params its type.

    Args:
        params: what `load_params` returned.
        name: the section, which is the stage's name.
        kind: a dataclass whose fields are the section's keys.
    """
    return _typed(kind, params[name])


def _typed(kind: type[Section], values: Mapping[str, Any]) -> Section:
    """Make a dataclass of values; a field that is a dataclass itself likewise, and whole numbers floats where due."""
    hints = get_type_hints(kind)
    return kind(**{key: _of_type(hints[key], value) for key, value in values.items()})


def _of_type(hint: Any, value: Any) -> Any:
    """Give one value the type of its field."""
    if dataclasses.is_dataclass(hint):
        return _typed(hint, value)  # type: ignore[arg-type]
    return float(value) if float in (hint, *get_args(hint)) and value is not None else value


def flatten(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """List nested params as pairs of a dotted key and its value."""
    pairs: list[tuple[str, Any]] = []
    for key, value in params.items():
        if isinstance(value, Mapping):
            pairs.extend(flatten(value, f"{prefix}{key}."))
        else:
            pairs.append((prefix + key, value))
    return pairs


def catalog_entry(kind: str, name: str) -> dict[str, Any]:
    """Look a name up in catalog.yaml.

    Args:
        kind: `datasets` or `models`.
        name: the entry, checked by `load_params`.
    """
    entry: dict[str, Any] = read_yaml(CATALOG)[kind][name]
    return entry
