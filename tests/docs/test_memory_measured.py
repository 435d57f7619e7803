"""The kept results of the memory benchmark hold together, and the docs say what they say."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = json.loads((ROOT / "benchmarks/results/memory.json").read_text())
RESULTS = KEPT["results"]


def test_every_result_has_what_is_promised_of_it() -> None:
    assert len(RESULTS) >= 30
    assert len({r["work"] for r in RESULTS}) == len(RESULTS)
    for one in RESULTS:
        assert 0 < one["low_gb"] < one["predicted_gb"] < one["high_gb"]
        assert one["inside"] == (one["low_gb"] <= one["measured_gb"] <= one["high_gb"])
        assert {"shape", "rows", "parameters", "train_rows", "mean_tokens", "precision"} <= set(one["config"])


def test_the_docs_tell_how_far_off_the_plan_is() -> None:
    text = " ".join((ROOT / "docs/train.md").read_text().split())
    inside = sum(r["inside"] for r in RESULTS)
    apart = [r for r in RESULTS if not r["fitted"]]
    median, worst = (f(abs(r["error"]) for r in RESULTS) for f in (statistics.median, max))
    assert f"of {len(RESULTS)} configurations {inside} lie in the interval" in text
    assert f"the median error is {100 * median:.0f} %, the worst {100 * worst:.0f} %" in text
    inside, median = sum(r["inside"] for r in apart), statistics.median(abs(r["error"]) for r in apart)
    worst = max(abs(r["error"]) for r in apart)
    told = f"of the {len(apart)} that its numbers were not fitted to, {inside}, {100 * median:.0f} % and"
    assert f"{told} {100 * worst:.0f} %" in text
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"of {len(RESULTS)} trainings measured {sum(r['inside'] for r in RESULTS)} lay in its interval" in readme


def test_nearly_all_measurements_lie_in_the_interval() -> None:
    for fitted in (True, False):
        some = [r["inside"] for r in RESULTS if r["fitted"] is fitted]
        assert sum(some) / len(some) >= 0.9
