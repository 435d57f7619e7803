"""Personal data and secrets by pattern and checksum: found with their type and place, replaced consistently.

High precision by design: what has a checksum must pass it. Names of people, places and organisations, postal
addresses, dates of birth and health are not looked for: a reader must be told so.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import phonenumbers

# No identifier has fewer digits than four, with little between them.
_FIGURES = re.compile(r"\d(?:[ ().-]{0,2}\w?\d){3}")
_SPACED = re.compile(r"[ -]")


class Span(NamedTuple):
    """A find: characters `start` to `end` of the text are of type `kind`; `secret` tells a key from personal data."""

    start: int
    end: int
    kind: str
    secret: bool = False


# What another finder finds: start, end and kind.
Also = Callable[[str], Iterable[tuple[int, int, str]]]


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 check digit."""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


_ISSUERS = re.compile(
    r"(?:4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"  # American Express, Diners
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|35\d{14}|(?:2131|1800)\d{11}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6\d)\d{10,17})"  # Maestro
)


def _card(text: str) -> bool:
    digits = _SPACED.sub("", text)
    return bool(_ISSUERS.fullmatch(digits)) and luhn(digits) and len(set(digits)) > 1


def _iban(text: str) -> bool:
    """ISO 13616: rotated and written as digits, the account number leaves 1 modulo 97."""
    code = _SPACED.sub("", text).upper()
    if not 15 <= len(code) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1


def _address(text: str) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified)


def _phone(text: str) -> bool:
    try:
        number = phonenumbers.parse(text.replace("(0)", ""), None)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(number))


def _american(text: str) -> bool:
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(text, "US")))
    except phonenumbers.NumberParseException:
        return False


def _dni(text: str) -> bool:
    """Spanish identity number: the letter is the number modulo 23."""
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(text[:8]) % 23] == text[-1].upper()


def _fiscal(text: str) -> bool:
    """Italian tax code: characters at odd places weigh by table, at even places by value; the sum gives the letter."""
    odd = dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True))
    odd |= dict(zip("ABCDEFGHIJ", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True))
    odd |= dict(zip("KLMNOPQRSTUVWXYZ", (2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))
    code = text.upper()
    total = sum(odd[c] if i % 2 == 0 else int(c, 36) - (10 if c.isalpha() else 0) for i, c in enumerate(code[:15]))
    return chr(65 + total % 26) == code[15]


def _placeholder(text: str) -> bool:
    """Whether what stands where a secret would is plainly none."""
    value = re.split(r"[:=]\s*", text, maxsplit=1)[-1].strip("\"'` ")
    return bool(
        re.fullmatch(r"(?:[*x.•]+|<.*>|\{.*\}|\[.*\]|\$.*|your.*|my.*|none|null|true|false|example.*)", value, re.I)
    )


class _Kind(NamedTuple):
    kind: str
    trigger: tuple[str, ...]
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] | None = None
    secret: bool = False


# A pattern is tried where one of its triggers stands in the text in small letters ("0": any digit); mostly none does.
# An earlier kind takes precedence where two overlap.
_KINDS = (
    _Kind(
        "private_key",
        ("-----begin",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z)"),
        None,
        True,
    ),
    _Kind("aws_key", ("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"), None, True),
    _Kind(
        "github_token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
        None,
        True,
    ),
    _Kind("slack_token", ("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"), None, True),
    _Kind("stripe_key", ("k_",), re.compile(r"\b[rs]k_live_[A-Za-z0-9]{16,}"), None, True),
    _Kind("google_key", ("aiza",), re.compile(r"\bAIza[\w-]{35}"), None, True),
    _Kind("api_key", ("sk-",), re.compile(r"\bsk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{20,}"), None, True),
    _Kind(
        "hub_token",
        ("hf_", "npm_", "glpat-", "dop_v1_"),
        re.compile(r"\b(?:hf|npm|glpat|dop_v1)[_-][A-Za-z0-9]{30,}"),
        None,
        True,
    ),
    _Kind("json_web_token", ("eyj",), re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"), None, True),
    _Kind("url_password", ("://",), re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@]+:[^\s:/@]+@[^\s]+", re.I), None, True),
    _Kind(
        "password",
        ("passw", "pwd", "key", "token"),
        re.compile(
            r"\b(?:password|passwd|pwd|api[_-]?key|secret[_-]?key|access[_-]?token)[\"']?\s*[:=]\s*[\"']?[^\s\"',;]{6,}",
            re.I,
        ),
        lambda text: not _placeholder(text) and any(c.isdigit() for c in text),
        True,
    ),
    _Kind(
        "email", ("@",), re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}\b")
    ),
    _Kind(
        "url", ("://", "www."), re.compile(r"(?:\bhttps?://|\bwww\.)[^\s<>\"'`{}|\\^]*[^\s<>\"'`{}|\\^.,;:!?)\]]", re.I)
    ),
    _Kind(
        "iban",
        ("0",),
        re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"),
        _iban,
    ),
    _Kind("phone", ("+",), re.compile(r"(?<![\w+])\+\d[\d ()./-]{5,20}\d(?: ?x ?\d{1,5}\b)?(?!\d)"), _phone),
    _Kind("credit_card", ("0",), re.compile(r"(?<![\w.,-])(?:\d[ -]?){11,18}\d(?!\w)(?![.,]\d)"), _card),
    _Kind("ip_address", ("0",), re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)"), _address),
    _Kind("ip_address", (":",), re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{1,4}(?![\w:])"), _address),
    _Kind("us_ssn", ("0",), re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])")),
    _Kind(
        "uk_nino",
        ("0",),
        re.compile(r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"),
    ),
    _Kind("es_dni", ("0",), re.compile(r"(?<!\w)\d{8}-?[A-HJ-NP-TV-Z]\b"), lambda text: _dni(text.replace("-", ""))),
    _Kind("it_fiscal_code", ("0",), re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]\b", re.I), _fiscal),
    _Kind(
        "phone",
        ("0",),
        re.compile(r"(?<![\w.+-])(?:001-)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?:x\d{1,5})?(?![\w-])"),
        _american,
    ),
    _Kind(
        "phone",
        ("phone", "tel", "mobile", "cell", "fax", "call me", "reach me"),
        re.compile(
            r"(?:\b(?:phone|telephone|tel|mobile|cell|fax|call me (?:at|on)|reach me (?:at|on))\b[^\d\n+]{0,20})"
            r"(?P<value>\(?\d(?:[ ().-]?\d){6,13})(?![\w-])",
            re.I,
        ),
    ),
)


_NUMERIC = frozenset(i for i, kind in enumerate(_KINDS) if kind.trigger == ("0",))
_TRIGGERS = tuple(
    (trigger, frozenset(i for i, kind in enumerate(_KINDS) if trigger in kind.trigger))
    for trigger in sorted({t for kind in _KINDS for t in kind.trigger if t != "0"})
)


def find(text: str, also: Also | None = None) -> list[Span]:
    """Personal data and secrets in `text`, in order, not overlapping; with what `also` finds where ours find nothing.

    Of finds of `also` that overlap each other one is made, of the first one's kind.
    """
    small = text.lower()
    places = set(_NUMERIC) if _FIGURES.search(text) else set()
    for trigger, triggered in _TRIGGERS:
        if trigger in small:
            places |= triggered
    spans: list[Span] = []
    for kind in map(_KINDS.__getitem__, sorted(places)):
        for start, end in _matches(kind, text):
            if all(end <= s.start or start >= s.end for s in spans):
                spans.append(Span(start, end, kind.kind, kind.secret))
    return sorted([*spans, *_beside(spans, also(text))] if also else spans)


def _beside(ours: list[Span], finds: Iterable[tuple[int, int, str]]) -> list[Span]:
    """Finds that overlap none of `ours`, those that overlap each other as one."""
    made: list[Span] = []
    for start, end, kind in finds:
        if any(start < s.end and s.start < end for s in ours):
            continue
        touched = [s for s in made if start < s.end and s.start < end]
        made = [s for s in made if s not in touched]
        start, end = min([start, *(s.start for s in touched)]), max([end, *(s.end for s in touched)])
        made.append(Span(start, end, touched[0].kind if touched else kind))
    return made


def _matches(kind: _Kind, text: str) -> Iterator[tuple[int, int]]:
    for match in kind.pattern.finditer(text):
        group = "value" if "value" in kind.pattern.groupindex else 0
        start, end = match.span(group)
        if kind.holds is None or kind.holds(text[start:end]):
            yield start, end


class Redactor:
    """Replaces finds by placeholders such as `[EMAIL_3]`: one value has one placeholder, wherever it stands.

    `also` finds what our patterns do not, as in `find`.
    """

    def __init__(self, also: Also | None = None) -> None:
        self._also = also
        self._numbers: dict[str, dict[str, int]] = {}

    def __call__(self, text: str, wanted: Callable[[Span], bool] = lambda span: True) -> str:
        """`text` with every wanted find replaced."""
        parts: list[str] = []
        at = 0
        for span in find(text, self._also):
            if wanted(span):
                parts += (text[at : span.start], self._name(span.kind, text[span.start : span.end]))
                at = span.end
        return "".join(parts) + text[at:] if parts else text

    def _name(self, kind: str, value: str) -> str:
        numbers = self._numbers.setdefault(kind, {})
        key = (
            re.sub(r"[\s().-]", "", value).casefold() if kind in ("phone", "credit_card", "iban") else value.casefold()
        )
        return f"[{kind.upper()}_{numbers.setdefault(key, len(numbers) + 1)}]"
