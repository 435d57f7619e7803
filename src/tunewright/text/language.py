"""Which language a text is written in, told by script and by the commonest small words. No model, no download.

Short or undecided texts are answered with "": a guess would cost more than it tells.
"""

from __future__ import annotations

import re
from collections import Counter

_LETTERS = 400
_FEWEST = 4
_LEAST = 3
_WORD = re.compile(r"[^\W\d_]+")
# The same for plain ASCII, several times faster.
_LETTERS_ONLY = {c: " " for c in range(128) if not chr(c).isalpha()}

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)

_SMALL = {
    "en": "the of and to is in that it was for on are with as be at this have from or an by not what which how my you",
    "de": "der die und das ist nicht ich zu den mit sie für auf ein eine im dem wie es auch wird wir mein was kann wo",
    "fr": "le la les et est des une un que pour dans pas je vous qui sur avec ce il au mon comment du en ne",
    "es": "el la los es que de una un por para con no se mi como las del en qué lo su está puedo cómo al",
    "it": "il la di che è un una per non con sono mi del le come della gli nel ho si al dei questo perché anche",
    "pt": "de que um uma para não com os como do da em meu por na se eu as está você ao",
    "nl": "de het een en van is dat niet ik te op voor met zijn mijn er hoe wat aan kan deze naar bij ook heb",
    "sv": "och att det som en är på jag inte för med av ett har kan min den till hur om vi var ska",
    "da": "og at det som en er på jeg ikke for med af et har kan min den til hvordan om vi der skal",
    "fi": "ja on ei se että en minun mutta kuin oli hän ovat tämä miten voin jos mitä niin kun olen",
    "pl": "nie na to się jest że jak co mi moja za po tak dla od jestem przez czy moje mogę",
    "cs": "ve se na to že jak jsem co si ne mi ale pro od není moje jako může",
    "hu": "az és nem hogy egy is van ez de mi meg ha csak már volt mint lehet hogyan én ki",
    "tr": "bir ve bu için ne da de ben çok mi nasıl var ile gibi daha olarak benim ama değil",
    "ro": "și nu este de la în cu un pe că să din care mai ce am pentru cum sunt",
}
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {
    word: tuple(code for code, words in _SMALL.items() if word in words.split())
    for words in _SMALL.values()
    for word in words.split()
}
_KNOWN = frozenset(_LANGUAGES_OF)
LANGUAGES = ("", *_SMALL, *(code for code, _ in _SCRIPTS))
_PLACES = {code: place for place, code in enumerate(LANGUAGES)}


def told(text: str) -> str:
    """The ISO 639-1 code of the language of `text` (its first 400 characters), or "" when that is not clear."""
    text = text[:_LETTERS]
    if not text.isascii():
        for code, script in _SCRIPTS:
            found = len(script.findall(text))
            if found >= 3 and found * 3 > sum(map(str.isalpha, text)):
                return code
    small = text.lower()
    words = small.translate(_LETTERS_ONLY).split() if text.isascii() else _WORD.findall(small)
    if len(words) < _FEWEST:
        return ""
    # A word counts once: what is sung thrice is not three signs of a language.
    known = _KNOWN.intersection(words)
    if len(known) < _LEAST:
        return ""
    hits = Counter(code for word in known for code in _LANGUAGES_OF[word])
    ((best, most), (_, second)) = [*hits.most_common(2), ("", 0), ("", 0)][:2]
    return best if most >= _LEAST and most * 5 >= len(words) and most >= 2 * second else ""


def place(text: str) -> int:
    """Where the language of `text` stands in `LANGUAGES`; 0 when it is not clear."""
    return _PLACES[told(text)]
