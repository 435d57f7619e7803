"""What the memory benchmark makes of its measurements, and of data that are not there."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("memory")


def test_errors_are_told_apart_by_what_was_fitted_to(memory: ModuleType) -> None:
    one = {"error": 0.1, "inside": True, "fitted": True}
    two, three = {**one, "fitted": False, "error": -0.3, "inside": False}, {**one, "fitted": False, "error": 0.5}
    told = memory.summary([one, two, three])
    assert told["fitted"] == {"count": 1, "median_error": 0.1, "worst_error": 0.1, "bias": 0.1, "inside": 1.0}
    assert told["unfitted"] == {"count": 2, "median_error": 0.4, "worst_error": 0.5, "bias": 0.1, "inside": 0.5}
    assert told["all"]["count"] == 3


def test_a_result_says_whether_its_measurement_lies_in_the_interval(memory: ModuleType) -> None:
    plan = {"memory_gb": {"weights": 1.0, "total": 1.0, "low": 0.8, "high": 1.2}, "facts": {"steps": 2}}
    got = {"peaks": [], "layout": "", "threads": 1, "process_seconds": 1.0}
    for measured, inside in ((0.79, False), (0.8, True), (1.2, True), (1.21, False)):
        made = memory.result(
            "25m_gsm8k_b8", memory.CONFIGURATIONS["25m_gsm8k_b8"], plan, got | {"measured_gb": measured}
        )
        assert made["inside"] is inside
        assert made["error"] == pytest.approx(1 / measured - 1, abs=1e-4)
        assert made["config"]["steps"] == 2


def test_works_whose_data_are_missing_are_named_with_the_file(memory: ModuleType, tmp_path: Path) -> None:
    results, missing = memory.measure(["25m_gsm8k_b8", "25m_turns_b4"], tmp_path)
    assert results == []
    assert set(missing) == {"25m_gsm8k_b8", "25m_turns_b4"}
    assert all("gsm8k/train.jsonl" in why for why in missing.values())
    assert memory.CONFIGURATIONS["25m_tickets_b16"].source not in memory.FILES


def test_half_of_what_is_measured_has_no_part_in_fitting(memory: ModuleType) -> None:
    fitted = [one.fitted for one in memory.CONFIGURATIONS.values()]
    assert len(fitted) >= 30
    assert 0.4 < sum(fitted) / len(fitted) < 0.6
