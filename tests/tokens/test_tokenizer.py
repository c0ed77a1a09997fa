"""A tokenizer that cannot be loaded is refused in one line that names its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.pipeline.errors import InputError
from sentiment.tokens.tokenizer import load_tokenizer


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": 3, "added_tokens": []}'])
def test_a_damaged_file_is_refused(content: str, tiny_models: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_models("gpt2"), tmp_path / "model")
    assert len(load_tokenizer(folder)) > 256
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"model: no tokenizer to load there: .+") as refused:
        load_tokenizer(folder)
    assert "\n" not in str(refused.value)
