"""Presidio's recognisers beside our own patterns: in the finding, in redaction, and only where they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.command_line import cli as cli
from tunewright.data import load
from tunewright.text import Redactor, find

from .helpers import finding, jsonl, pairs, run

NOT_SPLIT = {"test": 0, "validation": 0}
ROWS = [*pairs(20), {"prompt": "My tax number is 912-70-1234, or ann@x.org", "completion": "Born 1.2.1990, WALLET9"}]


class Pattern:
    """A recogniser that finds one text, as sure as it is told to be."""

    def __init__(self, kind: str, text: str, score: float) -> None:
        self.supported_entities, self.text, self.score = [kind], text, score

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[SimpleNamespace]:
        assert entities == self.supported_entities and nlp_artifacts is None
        assert entities != ["EMAIL_ADDRESS"], "it would fetch a list of domains"
        at = text.find(self.text)
        found = SimpleNamespace(start=at, end=at + len(self.text), score=self.score, entity_type=entities[0])
        return [found] if at >= 0 else []


class Names:
    """A recogniser that needs a language model: to be left alone."""

    supported_entities = ("PERSON",)

    def analyze(self, *_: object) -> list[Any]:
        raise AssertionError("there is no language model")


def kinds_of(*patterns: tuple[str, str, float]) -> list[Any]:
    return [type(f"Pattern{i}", (Pattern,), {})(*given) for i, given in enumerate(patterns)]


@pytest.fixture
def presidio(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[Any]], None]:
    """Puts a presidio in place that has these recognisers."""

    def put(recognisers: Iterable[Any]) -> None:
        class Registry:
            def __init__(self, supported_languages: list[str]) -> None:
                self.recognizers: list[Any] = []

            def load_predefined_recognizers(self, languages: list[str]) -> None:
                self.recognizers = [*recognisers, Names()]

        module = ModuleType("presidio_analyzer")
        module.RecognizerRegistry, module.PatternRecognizer = Registry, Pattern  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "presidio_analyzer", module)

    return put


def test_its_finds_join_ours_where_it_is_sure(tmp_path: Path, presidio: Callable[[Iterable[Any]], None]) -> None:
    presidio(
        kinds_of(
            ("US_ITIN", "912-70-1234", 0.5), ("US_PASSPORT", "912", 0.05), ("DATE_TIME", "1.2.1990", 0.6),
            ("EMAIL_ADDRESS", "ann@x.org", 1.0), ("CRYPTO", "WALLET9", 1.0),
        )
    )  # fmt: skip
    jsonl(tmp_path / "train.jsonl", ROWS)
    own = finding(run(tmp_path, split=NOT_SPLIT), "pii")
    assert own is not None and own.evidence["reasons"] == {"email": 1}
    both = finding(run(tmp_path, split=NOT_SPLIT, personal="presidio"), "pii")
    assert both is not None and both.count == 1
    assert both.evidence["reasons"] == {"email": 1, "us_itin": 1, "crypto": 1}
    last = load(run(tmp_path, split=NOT_SPLIT, personal="presidio", accept=["pii"]).path, "train")[-1]
    assert last.messages[0].content == "My tax number is [US_ITIN_1], or [EMAIL_1]"
    assert last.answer.content == "Born 1.2.1990, [CRYPTO_1]"


def test_where_finds_overlap_ours_stand_and_theirs_become_one() -> None:
    text = "ann@x.org 1234 5678 9"

    def also(_: str) -> list[tuple[int, int, str]]:
        return [(4, 12, "host"), (10, 14, "a"), (13, 19, "b"), (20, 21, "c")]

    assert [(s.start, s.end, s.kind) for s in find(text, also)] == [(0, 9, "email"), (10, 19, "a"), (20, 21, "c")]
    assert Redactor(also)(text) == "[EMAIL_1] [A_1] [C_1]"
    assert Redactor()(text) == "[EMAIL_1] 1234 5678 9"


def test_without_presidio_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]
) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    jsonl(tmp_path / "train.jsonl", ROWS)
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_text("model: seedling\ndata: {train: [train.jsonl], personal: presidio}\n")
    ran = cli("check", tmp_path)
    assert ran.code == 2 and "pip install 'tunewright[pii]'" in ran.err and "data.personal: presidio" in ran.err
    assert cli("check", tmp_path, "--set", "data.personal=own").code != 2


def test_the_real_one(tmp_path: Path) -> None:
    """A code of each kind that only presidio knows, with its check digits; and nothing in plain sentences."""
    pytest.importorskip("presidio_analyzer")
    rows = [*pairs(20), {"prompt": "Pay to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa, DEA AB1234563", "completion": "Paid."}]
    jsonl(tmp_path / "train.jsonl", rows)
    found = finding(run(tmp_path, split=NOT_SPLIT, personal="presidio"), "pii")
    assert found is not None and found.rows == ("train.jsonl:21",)
    assert found.evidence["reasons"] == {"crypto": 1, "medical_license": 1}
