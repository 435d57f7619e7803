"""How the training benchmark finds the split of a batch that its peer is fastest with."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("train")


@pytest.mark.parametrize(
    ("rates", "tried"),
    [
        ({1: 0.5, 2: 0.4, 4: 0.3, 8: 0.9, 16: 0.1}, [1, 2, 4]),
        ({1: 4.0, 2: 6.0, 4: 5.0, 8: 8.0, 16: 7.0}, [1, 2, 4, 8, 16]),
        ({1: 4.0, 2: 6.0, 4: 5.0, 8: 5.0, 16: 9.0}, [1, 2, 4, 8]),
    ],
)
def test_the_fastest_split_is_looked_for_upwards(
    rates: dict[int, float], tried: list[int], train: ModuleType, tmp_path: Path
) -> None:
    task: dict[str, Any] = {"work": "snips_b16", "batch": 16, "shape": {"num_hidden_layers": 12}}
    task["rows"] = [{"ids": [1, 2, 3]}]

    class Sides(train._Sides):  # type: ignore[misc]
        def __call__(self, side: str, *_: Any) -> dict[str, float]:
            return {"examples_per_s": rates[json.loads((tmp_path / f"{side}.json").read_text())["micro_batch"]]}

    run = Sides(task, tmp_path)
    assert list(train._splits(run, 15.0)) == tried
    left = {side: json.loads((tmp_path / f"{side}.json").read_text()) for side in ("peer", "whole")}
    assert left["peer"]["batch"] == left["whole"]["batch"] == left["whole"]["micro_batch"] == 16
    assert left["peer"]["micro_batch"] == max(tried, key=lambda micro: rates[micro])
    assert run.has_whole


@pytest.mark.parametrize(("seconds", "turns"), [(1.0, 3), (300.0, 2), (700.0, 1), (5000.0, 1)])
def test_turns_end_before_the_work_would_be_too_long(
    seconds: float, turns: int, train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(train.time, "monotonic", lambda: clock[0])
    taken = 0
    for _ in train._turns(3, 700.0):
        taken += 1
        clock[0] += seconds
    assert taken == turns
