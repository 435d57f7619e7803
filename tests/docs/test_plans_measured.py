"""The kept results of the benchmarks that hold a plan beside its training hold together; the docs say what they say."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEPT: dict[str, list[dict[str, Any]]] = {
    name: json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())["results"]
    for name in ("memory", "duration")
}
UNITS = {"memory": "gb", "duration": "seconds"}


@pytest.mark.parametrize(("name", "unit"), UNITS.items())
def test_every_result_has_what_is_promised_of_it(name: str, unit: str) -> None:
    results = KEPT[name]
    assert len(results) >= 30
    assert len({r["work"] for r in results}) == len(results)
    for one in results:
        low, said, high, measured = (one[f"{n}_{unit}"] for n in ("low", "predicted", "high", "measured"))
        assert 0 < low < said < high
        assert one["inside"] == (low <= measured <= high)
        assert {"shape", "parameters", "train_rows", "mean_tokens"} <= set(one["config"])


@pytest.mark.parametrize("name", UNITS)
def test_the_docs_tell_how_far_off_the_plan_is(name: str) -> None:
    text = " ".join((ROOT / "docs/train.md").read_text().split())
    results = KEPT[name]
    inside, median, worst = _told(results)
    what = "configurations" if name == "memory" else "trainings"
    assert f"of {len(results)} {what} {inside} lie in the interval" in text
    assert f"the median error is {median} %, the worst {worst} %" in text
    apart = [r for r in results if not r["fitted"]]
    inside, median, worst = _told(apart)
    assert f"of the {len(apart)} that its numbers were not fitted to, {inside}, {median} % and {worst} %" in text
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"of {len(results)} trainings measured {_told(results)[0]} lay in its interval" in readme


def _told(results: list[dict[str, Any]]) -> tuple[int, str, str]:
    """How many lie in the interval; the median and the worst error in percent."""
    errors = [abs(r["error"]) for r in results]
    return sum(r["inside"] for r in results), f"{100 * statistics.median(errors):.0f}", f"{100 * max(errors):.0f}"


@pytest.mark.parametrize("name", UNITS)
def test_nearly_all_measurements_lie_in_the_interval(name: str) -> None:
    for fitted in (True, False):
        some = [r["inside"] for r in KEPT[name] if r["fitted"] is fitted]
        assert sum(some) / len(some) >= 0.9
