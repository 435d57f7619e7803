"""Tokens per word, and what is said of a language that the base's tokenizer cuts to pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.data import Audit, audit
from tunewright.data.fluency import words
from tunewright.recipe import DataSpec

from .helpers import finding, jsonl

GERMAN = "Das ist nicht die Antwort auf Frage {}, und ich kann sie auch heute nicht finden, wie es mir gesagt wurde"
ENGLISH = "This is not the answer to question {}, and I do not know what you have been told of it by the others"


def crumbs(text: str) -> int:
    """A tokenizer that has a token for every English word and cuts German every two letters."""
    return len(text) // 2 if "nicht" in text else len(text.split())


def checked(root: Path, rows: list[Any]) -> Audit:
    jsonl(root / "train.jsonl", rows)
    spec = DataSpec.model_validate({"train": "train.jsonl"})
    return audit(spec, root=root, store=root / "s", pieces=crumbs)


def test_a_language_in_crumbs_is_told_with_its_figures(tmp_path: Path) -> None:
    rows = [{"prompt": GERMAN.format(i), "completion": f"Nummer {i}."} for i in range(40)]
    result = checked(tmp_path, rows)
    told = finding(result, "language_mismatch")
    assert result.fluency is not None and told is not None and told.count == 40
    assert result.fluency.languages["de"] == result.fluency.data
    spent = told.evidence["tokens_per_word"]
    assert spent["data"] / spent["english"] == result.fluency.data / result.fluency.english
    assert f"de {result.fluency.data:.1f}, plain English 1.0" in told.message
    assert result.as_dict()["tokens_per_word"]["rows"] == 40


def test_a_language_that_is_known_is_only_measured(tmp_path: Path) -> None:
    result = checked(tmp_path, [{"prompt": ENGLISH.format(i), "completion": f"Number {i}."} for i in range(40)])
    assert finding(result, "language_mismatch") is None
    assert result.fluency is not None and result.fluency.data == result.fluency.english == 1


def test_words_are_counted_where_none_are_written_apart() -> None:
    assert words("two words") == 2
    assert words("Don't stop, she said: 42 x3!") == 4
    assert 4 < words("我昨天没有收到包裹") < 7
    assert words("मुझे कल मिला") == 3
    assert words("1 2 3 ...") == 0
