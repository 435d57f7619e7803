"""Personal data and secrets: what is found, what is not, and that replacements are consistent."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks import personal
from hypothesis import given
from hypothesis import strategies as st

from tunewright.text import Redactor, find


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("write to Ann.Lee+x@mail.example.co.uk.", "email", "Ann.Lee+x@mail.example.co.uk"),
        ("card 4111 1111 1111 1111 please", "credit_card", "4111 1111 1111 1111"),
        ("pay to DE89 3704 0044 0532 0130 00 today", "iban", "DE89 3704 0044 0532 0130 00"),
        ("from 8.8.8.8, then", "ip_address", "8.8.8.8"),
        ("on 2001:db8:0:1:1:1:1:1 it", "ip_address", "2001:db8:0:1:1:1:1:1"),
        ("SSN 078-05-1120", "us_ssn", "078-05-1120"),
        ("see https://example.org/a?b=c.", "url", "https://example.org/a?b=c"),
        ("call +49 (0)30 901820 now", "phone", "+49 (0)30 901820"),
        ("call (202) 456-1111 now", "phone", "(202) 456-1111"),
        ("my mobile is 0490 75 40 81", "phone", "0490 75 40 81"),
        ("NI number AB 12 34 56 C", "uk_nino", "AB 12 34 56 C"),
        ("DNI 12345678Z", "es_dni", "12345678Z"),
        ("CF RSSMRA85T10A562S", "it_fiscal_code", "RSSMRA85T10A562S"),
        ("key AKIA" + "IOSFODNN7EXAMPLE", "aws_key", "AKIA" + "IOSFODNN7EXAMPLE"),
        ("ghp_" + "a1B2" * 9, "github_token", "ghp_" + "a1B2" * 9),
        ("postgres://joe:hunter2@db.example.org/x", "url_password", "postgres://joe:hunter2@db.example.org/x"),
        ('password = "tr0ub4dor"', "password", 'password = "tr0ub4dor'),
    ],
)
def test_found(text: str, kind: str, value: str) -> None:
    (span,) = find(text)
    assert (span.kind, text[span.start : span.end]) == (kind, value)


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1112 fails its check digit",
        "DE89 3704 0044 0532 0130 01 fails modulo 97",
        "version 1.2.3 of 2024-01-02, 12:30:45, 1,234,567.89 and 10-20-30",
        "180 - 45 = <<180-45=135>>135 phones",
        "my phone costs $98 - 87 = 11",
        "password: ********, api_key=<your key>, token = YOUR_TOKEN_2",
        "order 900-12-3456 and 000-12-3456",
        "the mean of 3.14159265358979 is pi",
        "a+b@c, @handle, 12345678A",
        "Barack Obama lives in Washington",
    ],
)
def test_left_alone(text: str) -> None:
    assert find(text) == []


def test_one_value_has_one_placeholder() -> None:
    redact = Redactor()
    assert redact("Ask a@x.org or b@x.org, not A@X.org.") == "Ask [EMAIL_1] or [EMAIL_2], not [EMAIL_1]."
    assert redact("b@x.org: +1-202-456-1111 or +1 202 456 1111") == "[EMAIL_2]: [PHONE_1] or [PHONE_1]"
    assert redact("nothing here") == "nothing here"
    assert redact("a@x.org 8.8.8.8", lambda span: span.kind == "ip_address") == "a@x.org [IP_ADDRESS_1]"


@given(st.text(alphabet="0123456789 -.+()@:/axAX_\n", max_size=60))
def test_spans_are_ordered_and_redaction_removes_them(text: str) -> None:
    spans = find(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(0 <= s.start < s.end <= len(text) for s in spans)
    redacted = Redactor()(text)
    assert all(text[s.start : s.end] not in redacted or (s.end - s.start) < 8 for s in spans)


def test_recall_and_precision_on_labelled_sentences(shared_data: Path) -> None:
    path = shared_data / "presidio_research" / "synth_dataset_v2.json"
    results = personal.measured(json.loads(path.read_text("utf-8")))
    assert set(results) == {*personal.KINDS.values(), personal.PLUS}
    assert personal.short_of(results) == []
    assert results["phone"]["precision"] >= 0.9  # type: ignore[operator]


def test_the_measure_itself() -> None:
    """A find of another type, or beside the label, counts for nothing."""
    rows = [
        {"full_text": "mail a@x.org", "spans": [_span(5, 12, "EMAIL_ADDRESS", "a@x.org")]},
        {"full_text": "mail b@x.org to me", "spans": [_span(13, 18, "EMAIL_ADDRESS", "to me")]},
        {"full_text": "call +49 30 901820 now", "spans": [_span(5, 18, "PHONE_NUMBER", "+49 30 901820")]},
        {"full_text": "it is 12345", "spans": [_span(6, 11, "US_SSN", "12345"), _span(0, 2, "PERSON", "it")]},
    ]
    assert personal.measured(rows) == {
        "email": {"labelled": 2, "recall": 0.5, "precision": 0.5},
        "phone": {"labelled": 1, "recall": 1.0, "precision": 1.0},
        personal.PLUS: {"labelled": 1, "recall": 1.0, "precision": None},
        "us_ssn": {"labelled": 1, "recall": 0.0, "precision": None},
    }
    short = personal.short_of(personal.measured(rows))
    assert short == ["email: recall 0.500", "email: precision 0.500", "us_ssn: recall 0.000"]


def _span(start: int, end: int, kind: str, value: str) -> dict[str, object]:
    return {"start_position": start, "end_position": end, "entity_type": kind, "entity_value": value}
