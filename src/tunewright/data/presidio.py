"""Presidio's pattern recognisers as another finder of personal data: more kinds of numbers, with their check digits.

Only patterns: its recognisers of names need a spaCy model, which no package registry has. They are called one by one,
without presidio's engine, which would fetch one.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from tunewright.errors import DataError
from tunewright.text import Also

# What presidio gives a pattern by its form or check digit alone, without words around it that make it surer.
_SURE = 0.5
_LANGUAGES = ("en", "es", "it", "pl")
# Dates and the like are nobody's by themselves. E-mail and web addresses our own patterns find, and presidio would
# fetch a list of domains to check them.
_LEFT_OUT = frozenset({"DATE_TIME", "EMAIL_ADDRESS", "URL", "UUID"})
_KINDS = {"IBAN_CODE": "iban", "PHONE_NUMBER": "phone"}


def recognisers() -> Also:
    """A finder of all that presidio's pattern recognisers, those it enables by default, are sure of.

    Raises `DataError` where presidio is not installed.
    """
    try:
        # Takes seconds to import, and is needed by nobody else.
        analyzer = importlib.import_module("presidio_analyzer")
    except ImportError as error:
        raise DataError(
            f"personal data is to be found by presidio, which cannot be loaded ({error}).",
            where="data.personal: presidio",
            remedy="pip install 'tunewright[pii]' – or use data.personal: own.",
        ) from error
    registry = analyzer.RecognizerRegistry(supported_languages=list(_LANGUAGES))
    registry.load_predefined_recognizers(languages=list(_LANGUAGES))
    patterns: dict[str, Any] = {
        type(one).__name__: one
        for one in registry.recognizers
        if isinstance(one, analyzer.PatternRecognizer) and _LEFT_OUT.isdisjoint(one.supported_entities)
    }

    def found(text: str) -> Iterator[tuple[int, int, str]]:
        finds = [find for one in patterns.values() for find in one.analyze(text, one.supported_entities, None)]
        for find in sorted(finds, key=lambda f: (-f.score, f.start, -f.end, f.entity_type)):
            if find.score >= _SURE:
                yield find.start, find.end, _KINDS.get(find.entity_type, find.entity_type.lower())

    return found
