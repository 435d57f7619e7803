"""What a licence lets one do with a model tuned on it: SPDX ids and expressions, and the model licences SPDX lacks.

A reading aid, not legal advice: what is said of a licence here is its best-known condition, not all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

Commercial = Literal["no", "unsaid", "unknown", "terms", "yes"]

# From the one that binds most: of licences that all hold the first decides, of those to choose from the last.
_ORDER: tuple[Commercial, ...] = ("no", "unsaid", "unknown", "terms", "yes")
_UNSAID = frozenset(("", "other", "unknown", "none", "noassertion", "n-a", "na", "cc", "unlicensed", "null"))
_FORBIDS = re.compile(
    r"(?:^|-)nc(?:-|$)|non-?commercial|non-?production|research-(?:only|use)|academic-(?:use|only)|(?:^|-)research(?:-|$)"
)
_PASS_ON = "its limits on use must be passed on to whoever gets the model"
_LLAMA = "asks for a licence of its own above 700 million monthly users"
_BUILT = "the tuned model's name begins with “Llama” and “Built with Llama” is shown"

# Licences of models and data sets that SPDX does not list, or lists without saying what matters here; the first that
# fits the id (in small letters, hyphens for spaces) counts.
_OWN: tuple[tuple[str, Commercial, str], ...] = (
    (r"llama-?2", "terms", f"{_LLAMA}; its answers may not improve other language models"),
    (r"llama-?3", "terms", f"{_LLAMA}; its answers may not improve other language models; {_BUILT}"),
    (r"llama-?3\.1", "terms", f"{_LLAMA}; {_BUILT}"),
    (r"llama-?(?:3\.[2-9]|4)", "terms", f"{_LLAMA}; {_BUILT}; its models of images are not licensed in the EU"),
    (r"gemma", "terms", f"Gemma's terms: {_PASS_ON}"),
    (r"health-ai-developer-foundations|hai-def", "terms", f"medical use needs clearance of its own; {_PASS_ON}"),
    (r".*rail(?:\+\+)?(?:-m|-s)?(?:-[\d.]+)?", "terms", _PASS_ON),
    (r"deepseek", "terms", _PASS_ON),
    (r"falcon.*", "terms", "its acceptable-use policy holds; offering it as a hosted service may need permission"),
    (r"qwen|tongyi-qianwen", "terms", "asks for a licence of its own above 100 million monthly users"),
    (r"tencent-hunyuan.*", "terms", "not licensed in the EU, the UK and South Korea; a limit of 100 million users"),
    (r"modified-mit", "terms", "as MIT, and the model's name must be shown above 100 million monthly users"),
    (r"lfm-?(?:open)?(?:-?1\.0)?", "terms", "commercial use only below 10 million US dollars of yearly revenue"),
    (r"stabilityai-ai-community", "terms", "commercial use only below 1 million US dollars of yearly revenue"),
    (r"nvidia-open-model", "terms", "its guardrails may not be taken out without a substitute"),
    (r"polyform-small-business-1\.0\.0", "terms", "only for firms below 100 people and 1 million US dollars"),
    (r"cc-by-nd(?:-.*)?", "terms", "no adaptations may be shared, and whether a tuned model is one is unsettled"),
    (r"public-domain|pd", "yes", ""),
    (r"mrl|mnpl|mistral-.*", "no", "for research and testing only"),
    (r"apple-amlr|exaone.*|nvidia-nscl|nscl", "no", "for research only"),
    (r"busl-1\.1|business-source(?:-1\.1)?", "no", "no production use before its change date"),
)


@dataclass(frozen=True, slots=True)
class Terms:
    """A licence by its usual `name`; whether it allows commercial use ("terms": under the conditions that `note` tells;
    "unsaid": nothing is stated; "unknown": stated, and not known here)."""

    name: str
    commercial: Commercial
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stated:
    """What is said of the licence of `owner` (a base model), and where it was read; `text` is None: nothing is said."""

    owner: str
    text: str | None
    where: str


def terms_of(text: str | None) -> Terms:
    """The terms of a licence given as an id, a name or an SPDX expression (`MIT OR CC-BY-NC-4.0`; a comma is `AND`).

    Of licences joined by OR the freest counts, of those joined by AND the strictest. A name that nobody knows is
    "unknown", and "no" where it says so itself (non-commercial, research only).
    """
    text = (text or "").strip()
    whole = _simple(text)
    if whole:
        return whole
    words = re.findall(r"[(),]|[^\s(),]+", text)
    atoms = [word for word in words if word not in "()," and word.upper() not in ("AND", "OR", "WITH")]
    joined = len(words) > len(atoms)
    if joined and all(_simple(atom) or _exception(atom) for atom in atoms):
        found = _Reader(words).read()
        if found:
            return Terms(text, found.commercial, found.note)
    forbidden = bool(_FORBIDS.search(_mark(text)))
    return Terms(
        text, "no" if forbidden else "unknown", "" if forbidden else "a licence of this name is not known here"
    )


def _mark(text: str) -> str:
    """An id in small letters, hyphens for spaces, without the word licence."""
    mark = re.sub(r"[\s_,]+", "-", text.strip().lower())
    mark = re.sub(r"(?:-community)?-licen[sc]e(?:-agreement)?(?=-|$)|^the-", "", mark)
    return re.sub(r"-v(?=\d)|-version-", "-", mark).strip("-")


def _simple(text: str) -> Terms | None:
    """The terms of a single licence, or None when `text` is no id of one."""
    mark = _mark(text)
    if mark in _UNSAID:
        return Terms(text or "not stated", "unsaid")
    for pattern, commercial, note in _OWN:
        if re.fullmatch(pattern, mark):
            return Terms(text, commercial, note)
    name = _spdx(mark)
    if name is None:
        return None
    return Terms(name, "no" if _FORBIDS.search(name.lower()) else "yes")


def _spdx(mark: str) -> str | None:
    """SPDX's spelling of an id, its version left out or not; None when SPDX does not list it."""
    for guess in (mark, f"{mark}-4.0", f"{mark}-2.0", f"{mark}-3.0", f"{mark}-1.0", f"{mark}-3-clause", f"{mark}-only"):
        try:
            name = canonicalize_license_expression(guess)
        except InvalidLicenseExpression:
            continue
        if not name.startswith("LicenseRef"):
            return name if guess == mark else mark.upper()
    return None


def _exception(word: str) -> bool:
    """Whether the word is an SPDX exception, as stands behind WITH; exceptions only permit more."""
    try:
        canonicalize_license_expression(f"GPL-2.0-only WITH {word}")
    except InvalidLicenseExpression:
        return False
    return True


class _Reader:
    """Reads an expression by descent: OR binds least, then AND and the comma, then WITH."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def read(self) -> Terms | None:
        """The terms of the whole; None when it is no well-formed expression."""
        found = self._either()
        return None if self._words else found

    def _next(self, *expected: str) -> bool:
        if self._words and self._words[0].upper() in expected:
            self._words.pop(0)
            return True
        return False

    def _either(self) -> Terms | None:
        found = self._all()
        while found and self._next("OR"):
            other = self._all()
            found = other and max(found, other, key=lambda t: _ORDER.index(t.commercial))
        return found

    def _all(self) -> Terms | None:
        found = self._one()
        while found and self._next("AND", ","):
            other = self._one()
            found = other and min(found, other, key=lambda t: _ORDER.index(t.commercial))
        return found

    def _one(self) -> Terms | None:
        if self._next("("):
            inside = self._either()
            return inside if self._next(")") else None
        if not self._words or self._words[0] in "),":
            return None
        found = _simple(self._words.pop(0))
        if self._next("WITH") and not (self._words and _exception(self._words.pop(0))):
            return None
        return found
