"""Guards the way from texts to token ids: as transformers gives them, cut where asked, no special token by accident."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from sentiment.pipeline.errors import InputError
from sentiment.reviews.normalization import AS_IT_STANDS, EVERYTHING
from sentiment.tokens import encoding
from sentiment.tokens.encoding import Encoded, check_max_length, encode
from sentiment.tokens.tokenizer import load_tokenizer
from tests.conftest import FAMILIES, TEXTS, manifest, reading

Tiny = Callable[[str], Path]

ODD_TEXTS = ["!", "  leading and trailing  ", "naïve café 漢字 🙂", "two\nlines\ttab", "x" * 200, "don't -- won't"]


def plain(folder: Path) -> Any:
    """The reference: transformers' own tokenizer of the folder, in a state that no code of ours has touched."""
    return AutoTokenizer.from_pretrained(folder)


def lists(found: Encoded) -> tuple[list[list[int]], list[bool]]:
    return found.ids, found.truncated


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("max_length", [4, 10, 23, 60])
def test_ids_and_cuts_are_those_of_transformers(family: str, side: str, max_length: int, tiny_models: Tiny) -> None:
    texts = TEXTS + ODD_TEXTS
    reference = plain(tiny_models(family))
    reference.truncation_side = side
    whole = [len(reference(text)["input_ids"]) for text in texts]
    expected = [reference(text, truncation=True, max_length=max_length)["input_ids"] for text in texts]
    ids, truncated = lists(encode(load_tokenizer(tiny_models(family)), texts, reading(max_length, side)))
    assert ids == expected
    assert truncated == [length > max_length for length in whole]
    assert set(truncated) == {True, False} or max_length in (4, 60)


def test_the_cut_takes_the_end_that_was_asked_for(tiny_models: Tiny) -> None:
    """One letter is one byte is one token for these, as the training texts hold no such pairs."""
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    ids = {letter: tokenizer(letter)["input_ids"] for letter in "QXZJ"}
    assert all(len(numbers) == 1 for numbers in ids.values())
    (right,), right_cut = lists(encode(tokenizer, ["QXZJ"], reading(3, "right")))
    (left,), left_cut = lists(encode(tokenizer, ["QXZJ"], reading(3, "left")))
    assert right == [ids[letter][0] for letter in "QXZ"]
    assert left == [ids[letter][0] for letter in "XZJ"]
    assert right_cut == left_cut == [True]
    assert lists(encode(tokenizer, ["QXZJ", "QX"], reading(4, "right")))[1] == [False, False]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_special_tokens_count_into_the_length_and_stay(family: str, tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models(family))
    length = len(plain(tiny_models(family))(TEXTS[2])["input_ids"])
    for side in ("right", "left"):
        for max_length, cut in ((length, False), (length - 1, True)):
            (row,), truncated = lists(encode(tokenizer, [TEXTS[2]], reading(max_length, side)))
            assert truncated == [cut]
            assert len(row) == max_length
            assert (row[0], row[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_special_token_written_in_a_review_is_plain_text(family: str, tiny_models: Tiny) -> None:
    """Each special token appears only where the tokenizer's own template puts one: first and last, or nowhere."""
    reference = plain(tiny_models(family))
    words = [word for word in reference.all_special_tokens if word != reference.unk_token]
    numbers = {reference.convert_tokens_to_ids(word) for word in words}
    text = "good " + " bad ".join(words) + " end"
    assert len(numbers & set(reference(text, add_special_tokens=False)["input_ids"])) == len(numbers)
    ids, _ = lists(encode(load_tokenizer(tiny_models(family)), [text, text], reading(60, "right")))
    assert ids[0] == reference(text, split_special_tokens=True, truncation=True, max_length=60)["input_ids"]
    template = reference("good")["input_ids"]
    inner = ids[0][1:-1] if template[0] in numbers else ids[0]
    assert not numbers & set(inner)
    if family == "gpt2":  # the others' small vocabularies have no < to write the text with
        assert reference.decode(ids[0]) == text


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_chunks_join_to_the_texts_in_their_order(
    count: int, tiny_models: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "CHUNK", 2)
    ids, truncated = lists(encode(load_tokenizer(tiny_models("bert")), TEXTS[:count], reading(20, "right")))
    reference = plain(tiny_models("bert"))
    assert ids == [reference(t, truncation=True, max_length=20)["input_ids"] for t in TEXTS[:count]]
    assert len(truncated) == count


def test_no_texts_give_no_rows(tiny_models: Tiny) -> None:
    assert lists(encode(load_tokenizer(tiny_models("gpt2")), [], reading(20, "right"))) == ([], [])


def test_an_encoding_does_not_depend_on_what_was_encoded_before(tiny_models: Tiny) -> None:
    """The tokenizer keeps its settings between calls; every call must set all of them."""
    tokenizer = load_tokenizer(tiny_models("bert"))
    fresh = lists(encode(load_tokenizer(tiny_models("bert")), TEXTS, reading(12, "right")))
    tokenizer(TEXTS, padding=True, truncation=True, max_length=7)
    lists(encode(tokenizer, TEXTS, reading(5, "left")))
    assert lists(encode(tokenizer, TEXTS, reading(12, "right"))) == fresh


def test_a_length_up_to_the_models_positions_is_accepted_and_a_longer_one_refused() -> None:
    check_max_length(64, 64, Path("models") / "base")
    with pytest.raises(
        InputError, match=r"params\.yaml: tokenize\.max_length: found 65, must be at most 64, the positions of \w+"
    ):
        check_max_length(65, 64, Path("models") / "base")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_middle_is_cut_where_asked(family: str, tiny_models: Tiny) -> None:
    """Sun et al. 2019 keep 128 + 382 of 510 tokens: a quarter from the beginning, the rest from the end."""
    reference = plain(tiny_models(family))
    text = " ".join(TEXTS)
    whole = reference(text, add_special_tokens=False)["input_ids"]
    around = reference("")["input_ids"]
    first, last = (around[:1], around[1:]) if around else ([], [])
    room = 20 - len(around)
    assert len(whole) > 2 * room
    expected = [*first, *whole[: room // 4], *whole[-(room - room // 4) :], *last]
    ids, truncated = lists(encode(load_tokenizer(tiny_models(family)), [text, "Fine."], reading(20, "head+tail")))
    assert ids == [expected, reference("Fine.")["input_ids"]]
    assert truncated == [True, False]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_capitals_are_read_as_small_letters_where_asked(family: str, tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models(family))
    loud, quiet = ["The Plot IS Dull. ÉTÉ"], ["the plot is dull. été"]
    kept, _ = lists(encode(tokenizer, loud, reading(60)))
    lower = AS_IT_STANDS.model_copy(update={"lowercase": True})
    lowered, _ = lists(encode(tokenizer, loud, manifest(text=lower)))
    assert lowered == [plain(tiny_models(family))(quiet[0])["input_ids"]] != kept


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_are_normalized_before_they_are_read(family: str, tiny_models: Tiny) -> None:
    raw = [" The plot is <b>dull</b>,<br /><br />but the acting\u200b is&nbsp;superb.\n<br />"]
    ids, _ = lists(encode(load_tokenizer(tiny_models(family)), raw, manifest(text=EVERYTHING)))
    assert ids == [plain(tiny_models(family))(TEXTS[2])["input_ids"]]
