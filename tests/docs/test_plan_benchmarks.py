"""What the benchmarks that hold a plan beside its training make of measurements, and of data that are not there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(params=["memory", "duration"])
def benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(request.param).BENCHMARK


def test_errors_are_told_apart_by_what_was_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    one = {"error": 0.1, "inside": True, "fitted": True}
    two, three = {**one, "fitted": False, "error": -0.3, "inside": False}, {**one, "fitted": False, "error": 0.5}
    told = importlib.import_module("_accuracy").summary([one, two, three])
    assert told["fitted"] == {"count": 1, "median_error": 0.1, "worst_error": 0.1, "bias": 0.1, "inside": 1.0}
    assert told["unfitted"] == {"count": 2, "median_error": 0.4, "worst_error": 0.5, "bias": 0.1, "inside": 0.5}
    assert told["all"]["count"] == 3


def test_a_result_says_whether_its_measurement_lies_in_the_interval(benchmark: Any) -> None:
    plan = {"said": {"expected": 1.0, "low": 0.8, "high": 1.2}, "facts": {"steps": 2}}
    for measured, inside in ((0.79, False), (0.8, True), (1.2, True), (1.21, False)):
        made = benchmark.result("25m_gsm8k_b8", plan, {"threads": 1, "measured": measured})
        assert made["inside"] is inside
        assert made["error"] == pytest.approx(1 / measured - 1, abs=1e-4)
        assert made[f"measured_{benchmark.unit}"] == measured and made["config"]["steps"] == 2


def test_works_whose_data_are_missing_are_named_with_the_file(benchmark: Any, tmp_path: Path) -> None:
    results, missing = benchmark.measure(["25m_gsm8k_b8", "25m_turns_b4"], tmp_path)
    assert results == []
    assert set(missing) == {"25m_gsm8k_b8", "25m_turns_b4"}
    assert all("gsm8k/train.jsonl" in why for why in missing.values())


def test_half_of_what_is_measured_has_no_part_in_fitting(benchmark: Any) -> None:
    fitted = [one.fitted for one in benchmark.works.values()]
    assert len(fitted) >= 30
    assert 0.4 < sum(fitted) / len(fitted) < 0.6
