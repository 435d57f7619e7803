"""What the plan says a training takes of memory, beside what it takes.

    python benchmarks/memory.py [--work W] [--data DIR] [--json]

For each configuration a project is made – a random model with the seedling's tokenizer, real rows – and its plan asked.
Then, in a process of its own, the base is loaded and tuned by the loop of the product for two steps; where it has
validation rows, a checkpoint answers them at the end. `measured_gb` is the peak resident memory of that process minus
its resident memory after imports; `peaks` say when it was reached. What the plan's memory is made with
(`train/footprint.py`) was fitted to the results whose `fitted` is true: the errors of the others are the ones to go by.
`missing` says which works have no result, and why; works on the sample project's tickets need no data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _accuracy import Compared
from _common import peak_resident_gb, resident_gb
from _configurations import CONFIGURATIONS
from _prepared import Training


def planned(plan: Any) -> dict[str, Any]:
    """What the plan says of memory, and of its parts."""
    memory = dict(plan.memory_gb)
    return {"expected": memory.pop("total"), "low": memory.pop("low"), "high": memory.pop("high"), "parts_gb": memory}


def tuned(folder: Path) -> dict[str, Any]:
    """Tune the base as the journey does, in this process; what was the most at each event, in GB."""
    import torch

    task = Training(folder)
    before = resident_gb()
    base = task.load()
    peaks: list[dict[str, Any]] = [{"after": "loading", "gb": _peak_gb(before)}]
    told: dict[str, Any] = {}

    def listen(event: Any) -> None:
        told.setdefault(event["type"], event)
        peaks.append({"after": f"{event['type']} {event.get('step', '')}".strip(), "gb": _peak_gb(before)})

    def measuring() -> None:
        peaks.append({"after": "measuring begins", "gb": _peak_gb(before)})

    task.fit(base, listen, measuring)
    return {
        "measured": _peak_gb(before),
        "peaks": peaks,
        "layout": told["start"]["layout"],
        "threads": torch.get_num_threads(),
    }


def _peak_gb(before: float) -> float:
    """Peak resident memory so far beyond `before`, in GB."""
    return round(peak_resident_gb() - before, 4)


BENCHMARK = Compared("memory", Path(__file__).resolve(), "gb", CONFIGURATIONS, planned, tuned)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
