"""One reading of a text: what HTML, invisible characters, accents, white space and capitals are to count for.

`normalize` is applied wherever a text comes in, in the stages and by every tool, and again before a text becomes token
ids; that is why normalizing a normalized text changes nothing.
"""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5

from sentiment.pipeline.params import TextParams

EVERYTHING = TextParams(
    strip_html=True, strip_invisible=True, unicode="NFC", collapse_white_space=True, lowercase=False
)
AS_IT_STANDS = TextParams(
    strip_html=False, strip_invisible=False, unicode="none", collapse_white_space=False, lowercase=False
)

MOST_PASSES = 8  # text inside `&amp;amp;lt;b&amp;amp;gt;` takes four; what goes on longer has no end that matters

# Known names and attributes alone, so that `a<b and b>c`, `<3` and `<sigh>` stay.
_BREAKING = (
    "address|article|aside|blockquote|body|br|center|dd|div|dl|dt|figure|footer|form|h[1-6]|head|header|hr|html|img|li"
    "|main|nav|ol|option|p|pre|section|table|tbody|td|tfoot|th|thead|title|tr|ul"
)
_INLINE = "a|abbr|acronym|b|big|cite|code|del|em|font|i|ins|kbd|label|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
_ATTRIBUTES = r"""(?:\s++[\w:-]++\s*+=\s*+(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>=]++))*+\s*+/?+>"""
_BREAKING_TAG = re.compile(rf"</?+(?:{_BREAKING}){_ATTRIBUTES}", re.IGNORECASE)
_INLINE_TAG = re.compile(rf"</?+(?:{_INLINE}){_ATTRIBUTES}", re.IGNORECASE)
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NO_MARKUP = str.maketrans("&<", "  ")

# Of latin-1, a web page's \x96 is the dash that it is in windows-1252, https://encoding.spec.whatwg.org/#names-and-labels
_WINDOWS_1252 = {point: bytes([point]).decode("cp1252", "ignore") for point in range(0x80, 0xA0)}

# Controls that are no white space, and what Unicode calls default ignorable,
# https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
_JOINERS = "\u200c\u200d\ufe00-\ufe0f"  # and variation selectors: they shape the character before them
_TAGS = "\U000e0020-\U000e007f"  # in the flags of England, Scotland and Wales
_IGNORABLE = (
    f"\x00-\x08\x0e-\x1b\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    f"\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    f"\U000e0000-\U000e0fff{_JOINERS}"
)
_INVISIBLE = re.compile(f"[{_IGNORABLE}]")
_KEPT_OR_INVISIBLE = re.compile(  # emoji, and scripts that join letters, keep what belongs to a visible character
    rf"(\U0001f3f4[{_TAGS}]+|[^\s\x00-\u024f{_IGNORABLE}][{_JOINERS}]+|[^\s{_IGNORABLE}][\ufe00-\ufe0f])"
    rf"|[{_IGNORABLE}]"
)


def normalize(text: str, params: TextParams) -> str:
    """Normalize a text; normalizing it once more changes nothing.

    Args:
        text: any text.
        params: what is done.
    """
    for _ in range(MOST_PASSES):
        if text.isascii() and text.isprintable() and "&" not in text and "<" not in text:  # most texts, at last
            return _finish(text, params)
        before, text = text, _normalize_once(text, params)
        if text == before:
            return text
    return _normalize_once(text.translate(_NO_MARKUP), params)


def _normalize_once(text: str, params: TextParams) -> str:
    """Take every step once. An entity may stand for another one, or for a character that an earlier step changes."""
    ascii_print = text.isascii() and text.isprintable()  # as most are, and the search is the slow part
    if params.strip_invisible and not ascii_print and _INVISIBLE.search(text):
        text = _KEPT_OR_INVISIBLE.sub(r"\1", text.translate(_WINDOWS_1252))
    if params.unicode != "none":
        text = unicodedata.normalize(params.unicode, text.lower() if params.lowercase else text)
    if params.strip_html:
        text = _without_html(text)
    return _finish(text, params)


def _finish(text: str, params: TextParams) -> str:
    """Collapse white space and lower-case."""
    if params.collapse_white_space:  # splitting is slow, and of all white space the blank alone is printable
        text = text.strip() if text.isprintable() and "  " not in text else " ".join(text.split())
    return text.lower() if params.lowercase else text


def _without_html(text: str) -> str:
    """Take tags out, those that end a line for a blank, and write references to characters as these."""
    if "<" in text:
        text = _INLINE_TAG.sub("", _BREAKING_TAG.sub(" ", text))
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(reference: re.Match[str]) -> str:
    """Write the character that a reference stands for; an unknown name stays."""
    name = reference[0][1:]
    return html.unescape(reference[0]) if name.startswith("#") else html5.get(name, reference[0])


def is_blank(text: str) -> bool:
    """Return whether nothing to read stands in a text, however it is normalized."""
    starts_with_a_word = text[:1].isalnum() and text[:1].isascii()  # as most do
    return not starts_with_a_word and not normalize(text, EVERYTHING)
