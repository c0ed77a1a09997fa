"""The command `choices`: what params.yaml may say; and the files that are written from it.

Type, limits and text of a param stand in sentiment/pipeline/params.py alone. `--write` brings params.schema.json, from
which editors complete, docs/choices.md and the comments of params.yaml in line with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.params import Params, fields, is_section
from sentiment.pipeline.paths import CHOICES, PARAMS, PARAMS_SCHEMA
from sentiment.report.tables import print_table

COMMENT_COLUMN = 30  # of params.yaml, where the text beside a short value begins
_KEY = re.compile(r"( *)([a-z_0-9]+):")


def schema() -> str:
    """Write the params as JSON Schema (https://json-schema.org)."""
    return json.dumps(Params.model_json_schema(), indent=2) + "\n"


def _allowed(node: Mapping[str, Any]) -> str:
    """Say in a few words what a part of the schema allows."""
    if "anyOf" in node:
        return " or ".join(_allowed(part) for part in node["anyOf"])
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if node.get("type") == "object":
        return f"for each label: {_allowed(node['additionalProperties'])}"
    if node.get("type") == "array":
        return f"list of {_allowed(node['items'])}"
    words = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {node[key]:.10g}" for key, sign in signs.items() if key in node]
    return " ".join([words.get(node["type"], "null"), ", ".join(limits)]).strip()


def rows() -> list[tuple[str, str, str]]:
    """List every param that is no section: dotted key, what is allowed, what it means."""
    leaves = [(key, field) for key, field in fields() if not is_section(field.annotation)]
    schemas = [TypeAdapter(field.rebuild_annotation()).json_schema() for _, field in leaves]
    return [(key, _allowed(node), field.description) for (key, field), node in zip(leaves, schemas, strict=True)]


def markdown() -> str:
    """Write docs/choices.md."""
    from tabulate import tabulate

    about = {key: field.description for key, field in fields()}
    lines = ["# Choices", "", f"Every key of `{PARAMS}`; written by `python -m sentiment choices --write`.", ""]
    for part, listed in groupby(rows(), key=lambda row: row[0].split(".")[0] if "." in row[0] else ""):
        cells = [(f"`{key}`", may_be, text) for key, may_be, text in listed]
        lines += [f"## {part or 'Above the sections'}", "", *([f"{about[part]}.", ""] if part else [])]
        lines += [tabulate(cells, ("key", "allowed", "meaning"), tablefmt="github"), ""]
    return "\n".join(lines)


def commented(text: str) -> str:
    """Put each param's text beside its value, in place of the comment there."""
    about = {key: field.description for key, field in fields() if "." in key or not is_section(field.annotation)}
    lines: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        found = _KEY.match(line)
        if found:
            path = [*path[: len(found[1]) // 2], found[2]]
            value = re.split(r"\s+# ", line)[0].rstrip()
            key = ".".join(path)
            comment = f"# {about[key]}" if key in about else ""
            line = f"{value:<{COMMENT_COLUMN - 2}}  {comment}".rstrip()
        lines.append(line)
    return "\n".join(lines) + "\n"


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(commands, "choices", run, "List every param of params.yaml with what it may be.")
    parser.add_argument(
        "--write", action="store_true", help=f"write {PARAMS_SCHEMA}, {CHOICES} and the comments of {PARAMS} instead"
    )


def run(options: Options) -> None:
    """List the choices, or write what is made from them."""
    if options.write:
        for path, content in written().items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="\n")
    else:
        print_table(("param", "allowed", "meaning"), ([cell.replace("`", "") for cell in row] for row in rows()), 3)


def written() -> dict[Path, str]:
    """Return what each generated file must hold."""
    return {
        PARAMS_SCHEMA: schema(),
        CHOICES: markdown(),
        PARAMS: commented(PARAMS.read_text(encoding="utf-8")),
    }
