"""Bytes to text: UTF-8 by default, repaired where it is not, and never silently."""

from __future__ import annotations

import ftfy
import ftfy.badness
from charset_normalizer import from_bytes

_SURROGATES = range(0xD800, 0xE000)


def decode(raw: bytes) -> tuple[str, bool]:
    """The text of `raw`, and whether it had to be repaired because it is not UTF-8."""
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        pass
    # Western single-byte text is by far the commonest; detection needs more text than a line often has.
    best = from_bytes(raw).best() if len(raw) >= 200 else None
    for encoding in (best.encoding if best else "cp1252", "cp1252", "latin-1"):
        try:
            return raw.decode(encoding), True
        except (UnicodeDecodeError, LookupError):
            continue
    return raw.decode("utf-8", "replace"), True


def repair(text: str) -> tuple[str, bool]:
    """`text` with mojibake (UTF-8 once read as Latin-1 or the like) undone, and whether anything changed.

    Lone surrogates, which JSON escapes can smuggle in and no file can hold, become replacement characters.
    """
    if text.isascii():
        return text, False
    fixed = text
    if any(ord(c) in _SURROGATES for c in text):
        fixed = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if ftfy.badness.is_bad(fixed):
        fixed = ftfy.fix_encoding(fixed)
    return fixed, fixed != text
