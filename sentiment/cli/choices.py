"""The command `choices`: what params.yaml may say; and the files that are written from it.

Type, limits and text of a param stand in sentiment/pipeline/params.py alone. `--write` brings params.schema.json, from
which editors complete, docs/choices.md and the comments of params.yaml in line with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.cli.options import Commands, Options, add_command, print_table
from sentiment.pipeline.params import Params, fields
from sentiment.pipeline.paths import CHOICES, PARAMS, PARAMS_SCHEMA

COMMENT_COLUMN = 30  # of params.yaml, where the text beside a short value begins
_KEY = re.compile(r"( *)([a-z_]+):")


def schema() -> str:
    """Write the params as JSON Schema (https://json-schema.org)."""
    return json.dumps(Params.model_json_schema(), indent=2) + "\n"


def _allowed(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say in a few words what a part of the schema allows."""
    if "anyOf" in node:
        return " or ".join(_allowed(part, definitions) for part in node["anyOf"])
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if node.get("type") == "object":
        return f"for each label: {_allowed(node['additionalProperties'], definitions)}"
    if node.get("type") == "array":
        return f"list of {_allowed(node['items'], definitions)}"
    words = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {node[key]:.10g}" for key, sign in signs.items() if key in node]
    return " ".join([words.get(node["type"], "null"), ", ".join(limits)]).strip()


def rows() -> list[tuple[str, str, str]]:
    """List every param that is no section: dotted key, what is allowed, what it means."""
    content = Params.model_json_schema()
    definitions = content["$defs"]
    found = []
    for key, field in fields():
        node: dict[str, Any] = content
        for name in key.split("."):
            node = node["properties"][name]
            node = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        if "properties" not in node:
            found.append((key, _allowed(node, definitions), field.description))
    return found


def markdown() -> str:
    """Write docs/choices.md."""
    from tabulate import tabulate

    parts: dict[str, list[tuple[str, str, str]]] = {}
    for key, may_be, text in rows():
        parts.setdefault(key.split(".")[0] if "." in key else "", []).append((f"`{key}`", may_be, text))
    about = {key: field.description for key, field in fields()}
    lines = ["# Choices", "", f"Every key of `{PARAMS}`; written by `python -m sentiment choices --write`.", ""]
    for part, listed in parts.items():
        lines += [f"## {part or 'Above the sections'}", "", *([f"{about[part]}.", ""] if part else [])]
        lines += [tabulate(listed, ("key", "allowed", "meaning"), tablefmt="github"), ""]
    return "\n".join(lines)


def commented(text: str) -> str:
    """Put each param's text beside its value, in place of the comment there."""
    about = {key: field.description for key, field in fields()}
    lines: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        found = _KEY.match(line)
        if found:
            path = [*path[: len(found[1]) // 2], found[2]]
            value = re.split(r"\s+# ", line)[0].rstrip()
            key = ".".join(path)
            is_top_section = len(path) == 1 and any(other.startswith(f"{key}.") for other in about)
            comment = f"# {about[key]}" if key in about and not is_top_section else ""
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
        print_table(("param", "allowed", "meaning"), [[cell.replace("`", "") for cell in row] for row in rows()])


def written() -> dict[Path, str]:
    """Return what each generated file must hold."""
    return {
        PARAMS_SCHEMA: schema(),
        CHOICES: markdown(),
        PARAMS: commented(PARAMS.read_text(encoding="utf-8")),
    }
