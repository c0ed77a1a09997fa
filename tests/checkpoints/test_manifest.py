"""What sentiment.json may say, and that a model folder which has changed since is refused by the name of the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sentiment.checkpoints import manifest
from sentiment.pipeline.errors import InputError

STATED: dict[str, Any] = {
    "formulation": "head",
    "max_length": 48,
    "truncation_side": "right",
    "lowercase": False,
    "prompt": "{review} It was",
    "label_words": {"negative": ["bad"], "positive": ["good"]},
    "temperature": 1.0,
    "threshold": 0.5,
}
FILES = {"config.json": b"{}", "tokenizer.json": b'{"a": 1}', "model-score.safetensors": b"\x00\x01"}


def write_folder(folder: Path, **changes: Any) -> Path:
    """A folder with three files and a sentiment.json; a change to `...` leaves the key out."""
    folder.mkdir(exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    stated = {key: value for key, value in {**STATED, "sha256": hashes, **changes}.items() if value is not ...}
    (folder / "sentiment.json").write_text(json.dumps(stated))
    return folder


def test_a_folder_as_written_is_accepted_and_abstains_never_unless_it_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    found = manifest.read_facts(folder)
    manifest.check_files(folder, found)
    assert {key: found[key] for key in STATED} == STATED
    assert found["abstain_below"] is None
    assert manifest.read_facts(write_folder(tmp_path, abstain_below=0.7))["abstain_below"] == 0.7


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"threshold": ...}, "'threshold' is a required property"),
        ({"sha256": ...}, "'sha256' is a required property"),
        ({"formulation": "heads"}, "formulation: 'heads' is not one of"),
        ({"temperature": 0}, "temperature: 0 is less than or equal"),
        ({"threshold": 1.5}, "threshold: 1.5 is greater than"),
        ({"abstain_below": "0.6"}, "abstain_below: '0.6' is not of type"),
        ({"max_length": 48.0}, "max_length: 48.0 is not of type"),
        ({"label_words": {"negative": ["bad"]}}, "label_words: 'positive' is a required"),
        ({"sha256": {"config.json": "abc"}}, "sha256.config.json: 'abc' does not match"),
    ],
)
def test_what_sentiment_json_cannot_say_is_told_by_key(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        manifest.read_facts(write_folder(tmp_path, **changes))
    assert "sentiment.json has 1 problem(s)" in str(caught.value)
    assert told in str(caught.value)


OUTSIDE = ["", ".", "..", "../../victim.txt", "/etc/passwd", "a/b", "a\\b", "C:x", "a\x00", "a\nb", "\x1b]0;"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_outside_the_folder_cannot_be_listed(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"sentiment\.json: sha256: found the file name .*; allowed: a plain"
    ) as caught:
        manifest.read_facts(write_folder(tmp_path, sha256={name: "0" * 64}))
    assert repr(name) in str(caught.value)


def test_a_folder_that_is_missing_or_no_model_of_ours_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder; run `dvc repro` or `dvc pull .*--rev"):
        manifest.read_facts(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no sentiment\.json"):
        manifest.read_facts(tmp_path)
    (tmp_path / "sentiment.json").write_text("{")
    with pytest.raises(InputError, match=r"sentiment\.json: not JSON"):
        manifest.read_facts(tmp_path)


def test_every_file_that_differs_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "tokenizer.json").write_bytes(b'{"a": 2}')
    (folder / "model-score.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "README.md").write_text("about this model")
    (folder / ".gitattributes").write_text("")
    found = manifest.read_facts(folder)
    assert manifest.differing(folder, found) == {
        "tokenizer.json": "changed",
        "model-score.safetensors": "missing",
        "adapter_config.json": "not listed",
    }
    with pytest.raises(InputError) as caught:
        manifest.check_files(folder, found)
    told = "adapter_config.json: not listed; model-score.safetensors: missing; tokenizer.json: changed"
    assert f"{folder}: 3 file(s) unlike what sentiment.json says ({told})" in str(caught.value)


def test_the_revision_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    first, copy = write_folder(tmp_path / "a"), write_folder(tmp_path / "b")
    expected = hashlib.sha256((first / "sentiment.json").read_bytes()).hexdigest()
    assert manifest.content_revision(first) == manifest.content_revision(copy) == f"sha256:{expected}"
    assert manifest.content_revision(write_folder(tmp_path / "b", threshold=0.4)) != f"sha256:{expected}"
