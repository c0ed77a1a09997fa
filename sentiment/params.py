"""Read params.yaml and catalog.yaml: checked as a whole, every problem told at once.

The whole of params.yaml is checked against params.schema.json whichever stage runs, so that a slip in a later stage's
section stops the first stage already. The check can only refuse; what a stage computes depends on its own values alone.
YAML is read as version 1.2 (ruamel.yaml), in which `2e-05`, as DVC writes it, is a number.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sentiment.errors import InputError, allowed
from sentiment.paths import CATALOG, PARAMS, PARAMS_SCHEMA

Section = TypeVar("Section")


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
    errors = sorted(Draft202012Validator(schema).iter_errors(params), key=lambda error: list(map(str, error.path)))
    problems = [line for error in errors for line in _explain(error)]
    for section, entries in (("data", "datasets"), ("model", "models")):
        name = params.get(section, {}).get("name") if isinstance(params.get(section), dict) else None
        if isinstance(name, str) and name not in catalog.get(entries, {}):
            options = allowed(name, catalog.get(entries, {}))
            problems.append(f"{section}.name: found {name}, {options}; the entries of {CATALOG}: {entries}")
    return problems


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
        yield f"{key}: found {found} of type {type(error.instance).__name__}, must be {types}"
    else:
        words = {
            "minimum": "at least",
            "maximum": "at most",
            "exclusiveMinimum": "greater than",
            "exclusiveMaximum": "less than",
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
    values = params[name]
    numbers = {f.name: float(values[f.name]) for f in dataclasses.fields(kind) if f.type == "float"}  # type: ignore[arg-type]
    return kind(**{**values, **numbers})


def catalog_entry(kind: str, name: str) -> dict[str, Any]:
    """Look a name up in catalog.yaml.

    Args:
        kind: `datasets` or `models`.
        name: the entry, checked by `load_params`.
    """
    entry: dict[str, Any] = read_yaml(CATALOG)[kind][name]
    return entry
