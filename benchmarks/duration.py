"""What the plan says a training takes of time, beside what it takes.

    python benchmarks/duration.py [--work W] [--data DIR] [--json]

Projects as in `memory.py`, of as many steps as make a quarter of a minute or more. Each plan is asked; then, in a
process of its own and on a quiet machine, the base is tuned by the loop of the product. `measured_seconds` are those of
the loop, from the first look at the model to the last checkpoint: its trials, its steps (`step_seconds`, the median)
and, where there are validation rows, their loss and a checkpoint's answers. What the plan's time is made with
(`plan/duration.py`) was fitted to the results whose `fitted` is true: the errors of the others are the ones to go by.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from _accuracy import Compared
from _configurations import CONFIGURATIONS
from _prepared import Training

# Steps of each, so that all of them together take half an hour.
STEPS = {
    "seedling_tickets_b8": 60,
    "seedling_snips_b8": 60,
    "seedling_gsm8k_b32": 8,
    "seedling_turns_b4": 12,
    "seedling_gsm8k_b16_full": 12,
    "25m_tickets_b16": 16,
    "25m_snips_b1": 60,
    "25m_snips_b16": 20,
    "25m_snips_b2_answers": 40,
    "25m_gsm8k_b8": 16,
    "25m_gsm8k_b8_r128_minimal": 12,
    "25m_gsm8k_b32": 5,
    "25m_gsm8k_b16_micro4": 8,
    "25m_gsm8k_b8_again": 10,
    "25m_gsm8k_b8_dropout": 8,
    "25m_banking77_b8": 16,
    "25m_banking77_b32": 8,
    "25m_turns_b4": 5,
    "25m_gsm8k_b8_qlora": 10,
    "25m_snips_b8_qlora_each_pass": 16,
    "25m_snips_b8_full": 16,
    "25m_gsm8k_b4_full": 16,
    "135m_snips_b8": 8,
    "words_snips_b16": 30,
    "words_gsm8k_b8": 20,
    "deep_gsm8k_b8": 12,
    "mistral_gsm8k_b8": 16,
    "qwen2_gsm8k_b8_standard": 16,
    "qwen3_gsm8k_b8": 12,
    "qwen3_snips_b16_full": 16,
    "phi3_gsm8k_b8": 12,
    "gpt_neox_gsm8k_b8": 12,
    "bloom_snips_b8": 24,
}
WORKS = {work: replace(CONFIGURATIONS[work], steps=steps) for work, steps in STEPS.items()}


def planned(plan: Any) -> dict[str, Any]:
    """What the plan says of time, in seconds."""
    return {name: round(3600 * plan.hours[name], 2) for name in ("expected", "low", "high")}


def tuned(folder: Path) -> dict[str, Any]:
    """Tune the base as the journey does, in this process; seconds of the whole, and of a step."""
    import torch

    task = Training(folder)
    base = task.load()
    steps: list[float] = []

    def listen(event: Any) -> None:
        if event["type"] == "step":
            steps.append(event["seconds"])

    began = time.perf_counter()
    task.fit(base, listen)
    measured = time.perf_counter() - began
    return {
        "measured": round(measured, 2),
        "step_seconds": round(statistics.median(steps), 4),
        "first_step_seconds": round(steps[0], 4),
        "threads": torch.get_num_threads(),
    }


BENCHMARK = Compared("duration", Path(__file__).resolve(), "seconds", WORKS, planned, tuned)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
