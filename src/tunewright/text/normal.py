"""The form in which two texts are compared: what a reader would call the same text has the same form."""

from __future__ import annotations

import re
import unicodedata

# The acute accent standing alone is used as an apostrophe, but NFKC would make it a space and a combining mark,
# and marks stay: so it goes before.
_ALONE = "´"
_SPACES = str.maketrans(dict.fromkeys("!?…\"'’‘“”`¿¡", " "))
_ALL_SPACES = {**_SPACES, **dict.fromkeys(map(ord, ".,:;"), " ")}
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-‐](?=[^\W\d_])")
_BETWEEN = re.compile(r"\d[.,:;]\d")
_POINT = re.compile(r"(?<!\d)[.,:;]|[.,:;](?!\d)")


def normal(text: str, *, strict: bool = False) -> str:
    """`text` in normal form: case, quotes, sentence marks and hyphens inside words make no difference.

    NFKC, casefold; hyphens between letters, `. , : ;` unless between two digits, and quotes, question and exclamation
    marks become spaces; runs of white space become one space; ends are stripped. Operators, signs, brackets and
    combining marks stay. May be empty: an empty form is equal to nothing. The `strict` form, for code and
    mathematics: NFKC, and white space as single spaces; nothing else.
    """
    if strict:
        return " ".join(unicodedata.normalize("NFKC", text).split())
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.replace(_ALONE, " "))
    text = text.casefold()
    if "-" in text or "‐" in text:
        text = _HYPHEN.sub(" ", text)
    # Where no mark stands between digits, as in most texts, all of them go at once.
    text = _POINT.sub(" ", text).translate(_SPACES) if _BETWEEN.search(text) else text.translate(_ALL_SPACES)
    return " ".join(text.split())
