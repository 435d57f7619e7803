"""The normal form, rule by rule, as the contract states it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.text import normal


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Where's my CARD?", "where s my card"),
        ("Where’s my card", "where s my card"),
        ("Where´s my card", "where s my card"),
        ("a top-up fee", "a top up fee"),
        ("a top‐up fee", "a top up fee"),
        ("3-4", "3-4"),
        ("a-4", "a-4"),
        ("- a - b -", "- a - b -"),
        ("at 10:30, for 1,000.50.", "at 10:30 for 1,000.50"),
        ("v1.x", "v1 x"),
        ("wait… what", "wait what"),
        ("1…2", "1 2"),
        ("(a + b) = c*d [x] {y}", "(a + b) = c*d [x] {y}"),
        ("\u00bfQué? \u00a1No!", "qué no"),
        ("“quoted” `code`", "quoted code"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("Straße", "strasse"),
        ("a\u0304\u0323", unicodedata.normalize("NFC", "a\u0304\u0323")),
        (" tab\tand\n\nlines ", "tab and lines"),
        ("?!", ""),
        ("", ""),
    ],
)
def test_rules(text: str, form: str) -> None:
    assert normal(text) == form


def test_strict_touches_only_compatibility_and_white_space() -> None:
    assert normal("  If a.B:\n\treturn 'X'  ", strict=True) == "If a.B: return 'X'"
    assert normal("ﬁ", strict=True) == "fi"


@given(st.text())
def test_ends_are_clean_and_spaces_single(text: str) -> None:
    for form in (normal(text), normal(text, strict=True)):
        assert form == " ".join(form.split())


@given(st.text(alphabet="abXY 12.,:;-?!'é", max_size=30))
def test_a_form_is_its_own_form(text: str) -> None:
    assert normal(normal(text)) == normal(text)
