"""Guards the one reading of a text: what is taken out, what must stay, and that a second time changes nothing."""

from __future__ import annotations

import itertools
import random
import unicodedata

import pytest

from sentiment.pipeline.params import TextParams
from sentiment.reviews.normalization import AS_IT_STANDS, EVERYTHING, is_blank, normalize


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("one<br />two", "one two"),
        (" one <BR/>\n two<br>\t", "one two"),
        ("<p class='x'>One.</p><p>Two.</p>", "One. Two."),
        ('I <b>love</b>, <a href="http://a.b/c?d=e">really</a> love it', "I love, really love it"),
        ("&quot;Good&quot; &#39;n&#x27; salt &amp; pepper&hellip;", "\"Good\" 'n' salt & pepper\u2026"),
        ("fine &amp;amp;lt;b&amp;amp;gt;film&amp;amp;lt;/b&amp;amp;gt;", "fine film"),
        ("a&nbsp;b\u2003c\x0bd", "a b c d"),
        ("cafe\u0301", "caf\u00e9"),
        ("go\u200bo\u00add\ufeff \x00film\x7f", "good film"),
        ("a pause \x96 and\x85", "a pause \u2013 and\u2026"),  # windows-1252 read as latin-1, as in IMDb
    ],
)
def test_what_people_do_not_see_is_taken_out(text: str, clean: str) -> None:
    assert normalize(text, EVERYTHING) == clean


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d", "a<b and b>c", "I <3 it", "<sigh> again", "AT&T", "R&B; fine", "&copy that", "&notit; so",
        "5+", "Straße, İstanbul, Σίσυφος", "\ufb01ne", "👩\u200d💻 ❤\ufe0f\u200d🔥 👍🏽 1\ufe0f\u20e3",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937", "<", "&", "\udce9",
    ],
)  # fmt: skip
def test_what_means_something_stays(text: str) -> None:
    assert normalize(text, EVERYTHING) == text


def test_every_format_and_control_character_goes_but_those_that_are_seen() -> None:
    """The reference is Unicode's category; https://www.unicode.org/reports/tr44/#Prepended_Concatenation_Mark."""
    seen = [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)]
    points = set(range(0x110000)) - {*seen} - {*range(0x80, 0xA0)}
    unseen = [chr(point) for point in points if unicodedata.category(chr(point)) in ("Cf", "Cc")]
    assert len(unseen) > 150
    assert {normalize(f"x{sign}y", EVERYTHING) for sign in unseen} == {"xy", "x y"}


@pytest.mark.parametrize(
    ("key", "raw", "clean"),
    [
        ("strip_html", "<b>A</b>&amp;", "A&"),
        ("strip_invisible", "A\u200b", "A"),
        ("unicode", "e\u0301", "\u00e9"),
        ("collapse_white_space", " A  b\n", "A b"),
        ("lowercase", "Ab", "ab"),
    ],
)
def test_each_choice_does_its_own_part_alone(key: str, raw: str, clean: str) -> None:
    value = "NFC" if key == "unicode" else True
    assert normalize(raw, AS_IT_STANDS) == raw
    assert normalize(raw, AS_IT_STANDS.model_copy(update={key: value})) == clean


PARTS = [
    "&", "amp;", "lt;",
    "<", "b>", "<b>", "</b>", "<br />", "&amp;", "&#38;", "#x26;", "&#", "56", ";", "&semi;", "&zwj;",
    "&shy;", "&#0;", "&#x80;", "&nvlt;", "&nbsp;", "\u200d", "\u200b", "\ufe0f", "\u0301", "\u0323", "\u0307",
    "\u0338",
    "\u20e3", "\u037e", "\u212a", "\u3164", "\xa0", "\x96", "\x00", "\udce9", "\n", " ",
    "e", "E", "Σ", "İ", "ß", "👩", "🏴",
    "\U000e0067", "1", "=", '"', "a",
]  # fmt: skip


def test_normalizing_once_more_changes_nothing() -> None:
    """Whatever is chosen, over texts made of what an earlier step can make for a later one."""
    draw = random.Random(0)
    switches = itertools.product([False, True], [False, True], ["none", "NFC"], [False, True], [False, True])
    chosen = [TextParams.model_validate(dict(zip(TextParams.model_fields, values, strict=True))) for values in switches]
    for params in [*chosen] * 150:
        text = "".join(draw.choices(PARTS, k=draw.randint(1, 12))) + chr(draw.randrange(0x110000))
        once = normalize(text, params)
        assert normalize(once, params) == once, (text, params)


@pytest.mark.parametrize("text", ["&" + "amp;" * 50 + "lt;b>", "&#3&#5" * 20 + ";" * 40, "<b " * 2000, '<b a="' * 2000])
def test_markup_without_an_end_has_one(text: str) -> None:
    once = normalize(text, EVERYTHING)
    assert normalize(once, EVERYTHING) == once


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b\u200d\ufe0f", "\x00", "\u3164", "<br /><br/>", "<p></p>&nbsp;", "\ufeff"]
)
def test_a_text_without_anything_to_read_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(text + "!")
    assert not is_blank("a" + text)
