"""What sentiment.json says about the model folder it lies in, and whether the folder is still the one that was written.

`SCHEMA` describes every key; stages/train.py writes them, `sentiment.inference.predictor` does as they say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from sentiment.pipeline.errors import InputError, plain_name
from sentiment.pipeline.labels import FACTS, LABELS

_WORDS = {"type": "array", "minItems": 1, "items": {"type": "string"}}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": [
        "formulation", "max_length", "truncation_side", "lowercase", "prompt", "label_words", "temperature",
        "threshold", "sha256",
    ],
    "properties": {
        "formulation": {"enum": ["head", "label_words"], "description": "How the model is asked."},
        "max_length": {"type": "integer", "minimum": 4, "description": "Tokens kept of a text, special ones included."},
        "truncation_side": {"enum": ["right", "left", "head+tail"], "description": "Which side of a text is cut."},
        "lowercase": {"type": "boolean", "description": "Whether capitals are read as small letters."},
        "prompt": {"type": "string", "description": "What stands around {review}; read for label_words alone."},
        "label_words": {
            "type": "object",
            "required": list(LABELS),
            "properties": dict.fromkeys(LABELS, _WORDS),
            "description": "The words that answer for each label; read for label_words alone.",
        },
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "What the logits are divided by before they become probabilities.",
        },
        "threshold": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "A text is positive where the probability of positive is greater than this.",
        },
        "abstain_below": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "A label whose own probability is less than this is left empty; null or no key: none is.",
        },
        "sha256": {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "description": "The sha256 of every other file of the folder.",
        },
    },
}  # fmt: skip


def read_facts(folder: Path) -> dict[str, Any]:
    """Read and check the sentiment.json of a model folder.

    Args:
        folder: a folder that the stage train wrote.

    Returns:
        Its keys, as `SCHEMA` describes them, `abstain_below` always among them.

    Raises:
        InputError: the folder or the file is missing, or the file says something that cannot be or names a file
            outside its folder.
    """
    path = folder / FACTS
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; run `dvc repro` or `dvc pull {folder}`, or name a revision that has it: "
            "--rev REV, with --repo for another repository"
        )
    if not path.is_file():
        raise InputError(f"{folder}: no {FACTS} in it; only a folder that the stage train wrote can be asked")
    try:
        facts = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    errors = Draft202012Validator(SCHEMA).iter_errors(facts)
    problems = [
        f"{'.'.join(map(str, error.path)) or 'as a whole'}: {error.message}"
        for error in sorted(errors, key=lambda error: list(map(str, error.path)))
    ]
    if problems:
        raise InputError(f"{path} has {len(problems)} problem(s); train the model again:\n  " + "\n  ".join(problems))
    for name in facts["sha256"]:
        plain_name(name, f"{path}: sha256")  # files of these names are read, fetched and deleted
    return {"abstain_below": None, **facts}


def differing(folder: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """Compare the files of a model folder with what sentiment.json says they hash to.

    Args:
        folder: the folder.
        facts: from `read_facts`.

    Returns:
        File name to what is wrong with it: `missing`, `changed`, or `not listed` for a file that came later and that
        transformers might read. A README or a hidden file changes no answer and may lie there.
    """
    found, stated = digests(folder, leave_out=FACTS), facts["sha256"]
    harmless = {name for name in found if name.startswith(".") or name.endswith(".md")}
    wrong = {name: "missing" if name not in found else "changed" for name in stated if found.get(name) != stated[name]}
    return wrong | dict.fromkeys(found.keys() - stated.keys() - harmless, "not listed")


def check_files(folder: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a model folder whose files are not those that were written.

    Raises:
        InputError: names each file and what is wrong with it.
    """
    wrong = differing(folder, facts)
    if wrong:
        named = "; ".join(f"{name}: {problem}" for name, problem in sorted(wrong.items()))
        raise InputError(
            f"{folder}: {len(wrong)} file(s) unlike what {FACTS} says ({named}); restore the folder, with "
            "`dvc checkout` or from where it came, or train again"
        )


def content_revision(folder: Path) -> str:
    """Name a model folder by its content.

    Returns:
        `sha256:` and 64 hexadecimal digits: the hash of sentiment.json, which holds the hashes of all other files and
        so stands for them; the same wherever the folder lies.
    """
    return f"sha256:{hashlib.sha256((folder / FACTS).read_bytes()).hexdigest()}"


def digests(folder: Path, leave_out: str) -> dict[str, str]:
    """Compute the sha256 of the files of a model folder, by name, one file left out."""
    return {file.name: _sha256(file) for file in sorted(folder.iterdir()) if file.is_file() and file.name != leave_out}


def _sha256(file: Path) -> str:
    """Compute a file's sha256 as 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
