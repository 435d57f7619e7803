"""Rows and bases that may not be used for this: found, refused, and let through once they are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunewright.data import Audit, audit
from tunewright.licences import Stated
from tunewright.recipe import DataSpec
from tunewright.records import Gate

from .helpers import finding, jsonl, pairs


def checked(root: Path, licences: list[str], base: Stated | None = None, use: str = "commercial", **more: Any) -> Audit:
    sources = []
    for i, licence in enumerate(licences):
        jsonl(root / f"{i}.jsonl", pairs(20, start=50 * i))
        sources.append({"path": f"{i}.jsonl", "license": licence})
    spec = DataSpec.model_validate({"train": sources, **more})
    return audit(spec, root=root, store=root / "s", use=use, base=base)


def gate(result: Audit) -> Gate | None:
    return next((g for g in result.gates if g.name == "license"), None)


def test_rows_that_may_not_be_used_close_the_gate_until_they_are_gone(tmp_path: Path) -> None:
    result = checked(tmp_path, ["MIT", "CC-BY-NC-4.0 AND MIT"])
    barred = finding(result, "license")
    assert barred is not None and (barred.count, barred.severity) == (20, "error")
    assert barred.evidence["sources"] == ["1.jsonl"] and "--accept license" in barred.remedy
    assert gate(result).ok is False  # type: ignore[union-attr]
    fixed = checked(tmp_path, ["MIT", "CC-BY-NC-4.0 AND MIT"], accept=["license"])
    assert fixed.dataset.ledger.set_aside == {"license": 20}
    assert gate(fixed).ok is True  # type: ignore[union-attr]
    assert "20 rows set aside for their licence" in gate(fixed).message  # type: ignore[union-attr]


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0 OR MIT", "llama3.1"])
def test_rows_that_may_be_used_are_left_alone(tmp_path: Path, licence: str) -> None:
    result = checked(tmp_path, [licence])
    assert finding(result, "license") is None and finding(result, "provenance_missing") is None
    assert gate(result) is None


def test_rows_under_other_are_rows_of_which_nobody_said(tmp_path: Path) -> None:
    unsaid = finding(checked(tmp_path, ["MIT", "other"]), "provenance_missing")
    assert unsaid is not None and unsaid.count == 20 and unsaid.evidence["sources"] == ["1.jsonl"]
    assert unsaid.rows == () and "1.jsonl" in unsaid.message, "it names the file, not each of its rows"


def test_a_licence_nobody_knows_is_remarked_and_closes_nothing(tmp_path: Path) -> None:
    result = checked(tmp_path, ["MIT", "made-up", "other"])
    unsaid = finding(result, "provenance_missing")
    assert unsaid is not None and (unsaid.count, unsaid.severity, unsaid.rows) == (40, "info", ())
    assert unsaid.evidence["unknown"] == {"licenses": ["made-up"], "sources": ["1.jsonl"]}
    assert unsaid.evidence["sources"] == ["2.jsonl"]
    assert "“made-up” is no licence that is known here, so that of 1.jsonl counts as unknown" in unsaid.message
    assert "spelling" in unsaid.remedy and finding(result, "license") is None and gate(result) is None


@pytest.mark.parametrize(
    ("licence", "use", "ok", "says"),
    [
        ("cc-by-nc-4.0", "commercial", False, "forbids commercial use"),
        ("cc-by-nc-4.0", "research", True, "this is research"),
        ("apache-2.0", "commercial", True, "Apache-2.0, which allows commercial use"),
        ("llama3.1", "commercial", True, "700 million"),
        ("other", "commercial", None, ""),
        (None, "commercial", None, ""),
        ("acme-model-licence", "commercial", None, ""),
    ],
)
def test_bases(tmp_path: Path, licence: str | None, use: str, ok: bool | None, says: str) -> None:
    result = checked(tmp_path, ["MIT"], Stated("acme/base", licence, "README.md"), use)
    held = gate(result)
    assert (held and held.ok) is ok and says in (held.message if held else "")
    barred, unsaid = finding(result, "license"), finding(result, "provenance_missing")
    assert (barred is not None) == (ok is False)
    assert (unsaid is not None) == (ok is None)
    if barred:
        assert barred.count == 1 and "acme/base" in barred.message and barred.rows == ()
        assert barred.evidence["base"] == {"name": "acme/base", "license": "CC-BY-NC-4.0", "read_from": "README.md"}
    if unsaid:
        assert unsaid.count == 1 and "acme/base" in unsaid.message and unsaid.severity == "info"
