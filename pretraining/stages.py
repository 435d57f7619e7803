"""The schedule: what each stage reads, how long, and the rate over all of it. In steps, so that it can be repeated."""

from __future__ import annotations

from dataclasses import dataclass

MICRO_TOKENS = 2048  # of one micro-batch: what stays in a core's caches
PARTS = 4  # micro-batches of a step


@dataclass(frozen=True)
class Part:
    """A micro-batch: its windows' length and the share of each source among them."""

    length: int
    shares: dict[str, float]
    emphasis: float = 1.0  # on what is learnt of our own tasks: a window of theirs has few such tokens


@dataclass(frozen=True)
class Stage:
    name: str
    steps: int
    first_rate: float  # a share of the peak
    last_rate: float
    parts: tuple[Part, ...]


MIX = {"books": 0.24, "docs": 0.17, "textbooks": 0.16, "dialogue": 0.15, "qa": 0.10, "tasks": 0.08}
MIX |= {"own": 0.05, "copy": 0.05}
TALK = {"books": 0.08, "docs": 0.08, "textbooks": 0.08, "dialogue": 0.34, "qa": 0.13, "tasks": 0.21}
TALK |= {"own": 0.05, "copy": 0.03}
LONG = {"shots": 0.45, "docs": 0.14, "books": 0.14, "textbooks": 0.10, "dialogue": 0.07, "tasks": 0.06, "copy": 0.04}

# One falling line, from the first step to the last: a trained model that starts again at a high rate pays for it first.
STAGES = (
    Stage("stem", 650, 1.0, 0.5, (Part(256, MIX), Part(256, MIX), Part(256, MIX), Part(512, TALK))),
    Stage("bough", 500, 0.5, 0.5 * 150 / 650, (Part(256, MIX), Part(512, MIX), Part(512, TALK), Part(1024, LONG))),
    Stage("seed", 150, 0.5 * 150 / 650, 0.0, (Part(512, MIX), Part(512, TALK), Part(512, TALK), Part(2048, LONG))),
)
TOTAL = sum(stage.steps for stage in STAGES)
PEAK = 0.4  # of the optimisers' own rates: the first model has been trained already
WARM_UP = 60
FLOOR = 0.01


def stage_at(step: int, stages: tuple[Stage, ...] = STAGES) -> tuple[int, int]:
    """The stage's number, and how many of its steps are done."""
    for number, stage in enumerate(stages):
        if step < stage.steps:
            return number, step
        step -= stage.steps
    return len(stages), 0


def rate(step: int) -> float:
    """What the peak rates are multiplied by: in a straight line from the stage's first value to its last."""
    number, done = stage_at(step)
    stage = STAGES[number]
    falling = stage.first_rate + (stage.last_rate - stage.first_rate) * done / stage.steps
    return PEAK * min(1.0, (step + 1) / WARM_UP) * max(FLOOR, falling)
