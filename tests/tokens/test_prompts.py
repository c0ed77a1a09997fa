"""Prompts and label words: one token each, with the blank that the prompt asks for; refused with the tokens shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.errors import InputError
from sentiment.tokens.encoding import encode
from sentiment.tokens.prompts import label_word_ids, surroundings
from sentiment.tokens.tokenizer import load_tokenizer
from tests.conftest import manifest

Tiny = Callable[[str], Path]


def in_prompt(prompt: str, max_length: int = 40, side: str = "right") -> Manifest:
    return manifest(formulation="label_words", prompt=prompt, max_length=max_length, truncation_side=side)


def single_words(tokenizer: object) -> list[str]:
    """Words that the tokenizer has as one token after a blank, at least two letters long."""
    words = [t[1:] if t[0] in "Ġ▁" else t for t in tokenizer.get_vocab() if t.strip("Ġ▁").isalpha()]  # type: ignore[attr-defined]
    backend = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    fits = {w for w in words if len(w) > 2 and len(backend.encode(" " + w, add_special_tokens=False).ids) == 1}
    return sorted(fits)


@pytest.mark.parametrize("family", ["gpt2", "bert", "roberta", "llama"])
def test_the_prompt_stays_whole_when_the_review_is_cut(family: str, tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models(family))
    before, after = "Review: ", " It was {mask}." if tokenizer.mask_token else " Sentiment:"
    filled = after.replace(" {mask}", tokenizer.mask_token or "")
    text = "The plot is dull, but the acting is superb. " * 5
    plain = AutoTokenizer.from_pretrained(tiny_models(family))
    around = [plain(part, add_special_tokens=False)["input_ids"] for part in (before, filled)]
    review = plain(text, add_special_tokens=False)["input_ids"]
    for side in ("right", "left"):
        encoded = encode(tokenizer, [text, "Fine."], in_prompt(f"{before}{{review}}{after}", 40, side))
        cut, short = encoded.ids
        assert encoded.truncated == [True, False]
        assert len(cut) == 40 > len(short)
        special = plain("")["input_ids"]
        room = 40 - len(special) - len(around[0]) - len(around[1])
        kept = review[:room] if side == "right" else review[-room:]
        left, right = (special[:1], special[1:]) if special else ([], [])
        assert cut == [*left, *around[0], *kept, *around[1], *right]


def test_a_prompt_longer_than_max_length_is_refused(tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    with pytest.raises(InputError, match=r"max_length: found 4, but the prompt and special tokens alone take"):
        encode(tokenizer, ["Fine."], in_prompt("{review} It was a very long prompt", 4))


@pytest.mark.parametrize(
    ("family", "prompt", "words"),
    [
        ("gpt2", "It was", r"must hold \{review\} once"),
        ("gpt2", "{review} {review}", r"must hold \{review\} once"),
        ("gpt2", "{review} It was {mask}.", "this tokenizer has no mask token"),
        ("bert", "{review} It {mask} was {mask}", r"must hold \{mask\} at most once"),
    ],
)
def test_a_prompt_that_does_not_suit_the_model_is_refused(
    family: str, prompt: str, words: str, tiny_models: Tiny
) -> None:
    with pytest.raises(InputError, match=rf"params\.yaml: tokenize\.prompt: found .*{words}"):
        encode(load_tokenizer(tiny_models(family)), ["Fine."], in_prompt(prompt))


def test_a_masked_model_answers_at_the_end_where_the_prompt_names_no_place(tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models("bert"))
    for written in ("{review} It was", "{review} It was {mask}"):
        encoded = encode(tokenizer, ["Fine."], in_prompt(written))
        expected = AutoTokenizer.from_pretrained(tiny_models("bert"))("Fine. It was [MASK]")["input_ids"]
        assert encoded.ids == [expected]


def test_a_head_needs_no_prompt(tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models("bert"))
    assert surroundings(tokenizer, manifest(prompt="x")) == ([tokenizer.cls_token_id], [tokenizer.sep_token_id])


@pytest.mark.parametrize("family", ["gpt2", "bert", "llama"])
def test_padding_and_a_cut_in_the_tokenizers_file_change_no_word_and_no_prompt(
    family: str, tiny_models: Tiny, tmp_path: Path
) -> None:
    """As in all-MiniLM-L6-v2, whose tokenizer.json pads everything to 128 tokens."""
    expected = load_tokenizer(tiny_models(family))
    set_up = load_tokenizer(tiny_models(family))
    set_up.save_pretrained(tmp_path)
    backend = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    backend.enable_padding(length=128, pad_id=0, pad_token=set_up.pad_token)
    backend.enable_truncation(1)
    backend.save(str(tmp_path / "tokenizer.json"))
    one, two = single_words(expected)[:2]
    words = {"negative": [one], "positive": [two]}
    found = label_word_ids(load_tokenizer(tmp_path), words, "{review} It was")
    assert found == label_word_ids(expected, words, "{review} It was")
    prompt = in_prompt("It is: {review} It was")
    assert surroundings(load_tokenizer(tmp_path), prompt) == surroundings(expected, prompt)


def test_words_become_the_token_with_its_blank_or_without(tiny_models: Tiny) -> None:
    """As in the founding recipe: after "Sentiment: " the word stands bare, after "Sentiment:" with its blank."""
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    one, two, three = single_words(tokenizer)[:3]
    vocabulary = tokenizer.get_vocab()
    ids = label_word_ids(tokenizer, {"negative": [one], "positive": [two, three]}, "{review} Sentiment:")
    assert ids == ((vocabulary["Ġ" + one],), (vocabulary["Ġ" + two], vocabulary["Ġ" + three]))
    bare = label_word_ids(tokenizer, {"negative": ["n"], "positive": ["p"]}, "{review} Sentiment: ")
    assert bare == ((vocabulary["n"],), (vocabulary["p"],))


def test_a_tokenizer_whose_blanks_end_its_tokens_finds_the_bare_word() -> None:
    """As in small SentencePiece-like models: "It was bad" is It_ was_ bad, and alone the word begins with a blank."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_previous")
    trainer = trainers.BpeTrainer(special_tokens=["<unk>", "</s>"], show_progress=False)
    backend.train_from_iterator(["it was bad", "it was good", "bad it was", "good it was"] * 9, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    assert backend.encode("bad").tokens == ["▁", "bad"]
    assert backend.encode("it was bad").tokens[-2:] == ["was▁", "bad"]
    words = {"negative": ["bad"], "positive": ["good"]}
    vocabulary = tokenizer.get_vocab()
    assert label_word_ids(tokenizer, words, "{review} it was ") == ((vocabulary["bad"],), (vocabulary["good"],))


def test_a_word_of_several_tokens_is_refused_with_its_tokens(tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    tokens = AutoTokenizer.from_pretrained(tiny_models("gpt2")).tokenize(" zyx")
    assert len(tokens) > 1
    with pytest.raises(InputError) as caught:
        label_word_ids(tokenizer, {"negative": ["zyx"], "positive": ["zyx"]}, "{review} It was")
    assert f"label_words.negative: ' zyx' is {len(tokens)} tokens for this tokenizer ({' '.join(tokens)})" in str(
        caught.value
    )


def test_a_word_for_both_labels_is_refused(tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    word = single_words(tokenizer)[0]
    with pytest.raises(InputError, match="stands for both labels"):
        label_word_ids(tokenizer, {"negative": [word], "positive": [word]}, "{review} It was")


def test_an_unknown_word_is_refused(tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models("bert"))
    with pytest.raises(InputError, match="choose a word that is one token"):
        label_word_ids(tokenizer, {"negative": ["☃"], "positive": ["fine"]}, "{review} It was {mask}.")
