"""Read catalog.yaml: the facts about each name that params.yaml may choose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sentiment.pipeline.errors import InputError, allowed, plain_pattern
from sentiment.pipeline.labels import LABELS, SPLITS
from sentiment.pipeline.paths import CATALOG
from sentiment.pipeline.progress import say

if TYPE_CHECKING:
    from sentiment.pipeline.params import Params

_ROOT = Path(__file__).parents[2]  # the repository's
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
        "package": ("package", "version", "licence"),
    },
}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 file that holds a mapping; in it `2e-05`, as DVC writes it, is a number.

    Raises:
        InputError: the file is missing, is no YAML, or holds something else.
    """
    if not path.is_file():
        hint = f"`git checkout {path}` brings it back" if Path.cwd() == _ROOT else f"run it from {_ROOT}"
        raise InputError(f"{path}: no such file here; {hint}")
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except YAMLError as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, must be a mapping of names to values")
    return content


def entry_problems(entry: Any, kind: str, where: str) -> list[str]:
    """Find what is wrong with the keys of a catalog entry.

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
    needed = NEEDED[kind][source]
    problems = [f"{where}.{key}: missing, an entry of source {source} needs it" for key in needed if key not in entry]
    unknown = [key for key in entry if key not in ("source", *needed)]
    problems += [f"{where}.{key}: no such key, {allowed(key, needed)}" for key in unknown]
    words = {key: entry[key] for key in ("id", "path", "package", "text", "label") if key in needed and key in entry}
    problems += [f"{where}.{key}: found {v!r}, must be text" for key, v in words.items() if not isinstance(v, str)]
    if "splits" in needed and "splits" in entry:
        problems += split_problems(entry["splits"], f"{where}.splits")
    return problems + (label_problems(entry["labels"], f"{where}.labels") if "labels" in entry else [])


def split_problems(splits: Any, where: str) -> list[str]:
    """Find what is wrong with the file patterns of a catalog entry's splits; one line per problem."""
    if not isinstance(splits, Mapping):
        return [f"{where}: found {splits!r}, must be a mapping of splits to file patterns"]
    problems = [f"{where}.{name}: no such split, {allowed(name, SPLITS)}" for name in splits if name not in SPLITS]
    problems += [] if "train" in splits else [f"{where}.train: missing, must be a file pattern"]
    for split, pattern in splits.items():
        try:
            plain_pattern(pattern, f"{where}.{split}")
        except InputError as error:
            problems.append(str(error))
    return problems


def label_problems(labels: Any, where: str) -> list[str]:
    """Find what is wrong with the label words of a catalog entry; one line per problem."""
    if not isinstance(labels, Mapping) or set(labels) != set(LABELS):
        return [f"{where}: found {labels!r}, must be {' and '.join(LABELS)}, each with a list of its words"]
    if not all(isinstance(words, list) and words for words in labels.values()):
        return [f"{where}: found {dict(labels)}, each label must have a list of words"]
    negative, positive = ({str(word).casefold() for word in labels[label]} for label in LABELS)
    return [f"{where}: {word} stands for both labels" for word in sorted(negative & positive)]


def catalog_entry(kind: str, name: str) -> dict[str, Any]:
    """Look a name up in catalog.yaml.

    Args:
        kind: `datasets` or `models`.
        name: the entry, checked by `load_params`.
    """
    entry: dict[str, Any] = read_yaml(CATALOG)[kind][name]
    return entry


def warn_if_too_small(params: Params) -> None:
    """Say so if a model that knows built-in reviews alone is to learn from other ones."""
    sources = (
        catalog_entry("models", params.model.name)["source"],
        catalog_entry("datasets", params.data.name)["source"],
    )
    if sources[0] == "builtin" and sources[1] != "builtin":
        say(
            f"warning: {params.model.name} knows little English and gets little from {params.data.name}; take a "
            "pretrained model: model.name: minilm, or from a package minilm-package (recipe reviews-minilm)"
        )
