"""What sentiment.json may say, and that a model folder which has changed since is refused by the name of the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sentiment.checkpoints.manifest import Manifest, content_revision
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import TextParams, TokenizeParams

TEXT = {
    "strip_html": True, "strip_invisible": True, "unicode": "NFC", "collapse_white_space": False, "lowercase": True
}  # fmt: skip
STATED: dict[str, Any] = {
    "formulation": "head",
    "max_length": 48,
    "truncation_side": "right",
    "prompt": "{review} It was",
    "label_words": {"negative": ["bad"], "positive": ["good"]},
    "temperature": 1.0,
    "threshold": 0.5,
    "text": TEXT,
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
    found = Manifest.read(folder)
    found.check_files(folder)
    assert {key: found.model_dump()[key] for key in STATED} == STATED
    assert found.abstain_below is None
    assert Manifest.read(write_folder(tmp_path, abstain_below=0.7)).abstain_below == 0.7
    assert found.caution is None


def test_what_is_written_is_what_the_params_say_in_these_bytes(tmp_path: Path) -> None:
    """The bytes were written by hand: keys in order, and a key that another version has put there stays."""
    reading = {key: STATED[key] for key in ("max_length", "truncation_side", "prompt", "label_words")}
    augmentation = {"copies": 0, "word_dropout": 0.0, "word_swap": 0.0, "contractions": 0.0, "typos": 0.0}
    (tmp_path / "config.json").write_bytes(b"{}")
    params = TokenizeParams(**reading, augmentation=augmentation)  # type: ignore[arg-type]
    Manifest.from_params("head", TextParams.model_validate(TEXT), params).write(tmp_path)
    optional = {"abstain_below": None, "generated_texts": False}
    stated = {**STATED, **optional, "sha256": {"config.json": hashlib.sha256(b"{}").hexdigest()}}
    expected = json.dumps(stated, indent=2, sort_keys=True) + "\n"
    assert (tmp_path / "sentiment.json").read_text() == expected
    (tmp_path / "sentiment.json").write_text(json.dumps({**stated, "later": 1}))
    Manifest.read(tmp_path).model_copy(update={"onnx": {"opset": 18}}).write(tmp_path)
    again = json.dumps({**stated, "later": 1, "onnx": {"opset": 18}}, indent=2, sort_keys=True) + "\n"
    assert (tmp_path / "sentiment.json").read_text() == again


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_manifest_from_before_texts_were_normalized_reads_them_as_they_stand(lowercase: bool, tmp_path: Path) -> None:
    found = Manifest.read(write_folder(tmp_path, text=..., lowercase=lowercase))
    nothing = {"strip_html": False, "strip_invisible": False, "unicode": "none", "collapse_white_space": False}
    assert found.text.model_dump() == {**nothing, "lowercase": lowercase}
    found.write(tmp_path)
    assert Manifest.read(tmp_path).text == found.text
    assert "lowercase" not in json.loads((tmp_path / "sentiment.json").read_text())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"text": ...}, "text: missing, must be given (how every text is normalized"),
        ({"text": {**TEXT, "unicode": "NFD"}}, 'text.unicode: found "NFD", allowed: none, NFC (did you mean NFC?)'),
        ({"threshold": ...}, "threshold: missing, must be given (a text is positive where"),
        ({"sha256": ...}, "sha256: missing, must be given"),
        ({"formulation": "heads"}, 'formulation: found "heads", allowed: head, label_words (did you mean head?)'),
        ({"temperature": 0}, "temperature: found 0, must be greater than 0"),
        ({"threshold": 1.5}, "threshold: found 1.5, must be at most 1"),
        ({"abstain_below": "0.6"}, 'abstain_below: found "0.6", must be a number'),
        ({"max_length": 48.0}, "max_length: found 48.0, must be a whole number"),
        (
            {"label_words": {"negative": ["bad"]}},
            '{"negative": ["bad"]}, must have one entry for each of negative, positive',
        ),
        ({"sha256": {"config.json": "abc"}}, 'sha256.config.json: found "abc", must match ^[0-9a-f]{64}$'),
    ],
)
def test_what_sentiment_json_cannot_say_is_told_by_key(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Manifest.read(write_folder(tmp_path, **changes))
    assert "sentiment.json has 1 problem(s)" in str(caught.value)
    assert told in str(caught.value)


OUTSIDE = ["", ".", "..", "../../victim.txt", "/etc/passwd", "a/b", "a\\b", "C:x", "a\x00", "a\nb", "\x1b]0;"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_outside_the_folder_cannot_be_listed(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"sentiment\.json: sha256: found the file name .*; allowed: a plain"
    ) as caught:
        Manifest.read(write_folder(tmp_path, sha256={name: "0" * 64}))
    assert repr(name) in str(caught.value)


def test_a_folder_that_is_missing_or_no_model_of_ours_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder; run `dvc repro` or `dvc pull .*--rev"):
        Manifest.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no sentiment\.json"):
        Manifest.read(tmp_path)
    (tmp_path / "sentiment.json").write_text("{")
    with pytest.raises(InputError, match=r"sentiment\.json: not JSON"):
        Manifest.read(tmp_path)


def test_every_file_that_differs_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "tokenizer.json").write_bytes(b'{"a": 2}')
    (folder / "model-score.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "README.md").write_text("about this model")
    (folder / ".gitattributes").write_text("")
    found = Manifest.read(folder)
    assert found.differing(folder) == {
        "tokenizer.json": "changed",
        "model-score.safetensors": "missing",
        "adapter_config.json": "not listed",
    }
    with pytest.raises(InputError) as caught:
        found.check_files(folder)
    told = "adapter_config.json: not listed; model-score.safetensors: missing; tokenizer.json: changed"
    assert f"{folder}: 3 file(s) unlike what sentiment.json says ({told})" in str(caught.value)


def test_the_revision_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    first, copy = write_folder(tmp_path / "a"), write_folder(tmp_path / "b")
    expected = hashlib.sha256((first / "sentiment.json").read_bytes()).hexdigest()
    assert content_revision(first) == content_revision(copy) == f"sha256:{expected}"
    assert content_revision(write_folder(tmp_path / "b", threshold=0.4)) != f"sha256:{expected}"
