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


PROSE = {"books": 0.34, "docs": 0.21, "textbooks": 0.21, "dialogue": 0.06, "qa": 0.03, "tasks": 0.04}
PROSE |= {"own": 0.06, "copy": 0.05}
TALK = {"books": 0.04, "docs": 0.04, "textbooks": 0.04, "dialogue": 0.35, "qa": 0.16, "tasks": 0.24}
TALK |= {"own": 0.10, "copy": 0.03}
SHOTS = {"shots": 0.78, "dialogue": 0.06, "tasks": 0.10, "copy": 0.06}
MIX = {"books": 0.22, "docs": 0.17, "textbooks": 0.17, "dialogue": 0.18, "qa": 0.09, "tasks": 0.13}
MIX |= {"own": 0.02, "copy": 0.02}
RIPE = {"books": 0.14, "docs": 0.15, "textbooks": 0.15, "dialogue": 0.26, "qa": 0.13, "tasks": 0.15, "copy": 0.02}
LONG = {"shots": 0.52, "docs": 0.10, "books": 0.14, "textbooks": 0.08, "dialogue": 0.06, "tasks": 0.06, "copy": 0.04}
CUT = 0.6 - 0.4 * 325 / 600  # the crown was to have 600 steps; the machine had other work
CUT_AGAIN = 0.27 - 0.27 * 65 / 265  # and the fruit 265

STAGES = (
    Stage("graft", 250, 1.0, 1.0, (Part(256, PROSE), Part(256, PROSE), Part(256, PROSE), Part(256, TALK))),
    Stage("stem", 250, 1.0, 1.0, (Part(256, PROSE), Part(256, PROSE), Part(512, TALK), Part(1024, SHOTS))),
    Stage("bough", 400, 1.0, 0.6, (Part(256, PROSE), Part(512, PROSE), Part(512, TALK), Part(1024, SHOTS, 2.0))),
    Stage("crown", 325, 0.6, CUT, (Part(512, PROSE), Part(512, MIX), Part(512, TALK), Part(1024, SHOTS, 2.0))),
    Stage("bloom", 110, CUT, 0.27, (Part(512, PROSE), Part(512, TALK), Part(512, RIPE), Part(2048, LONG, 2.0))),
    Stage("fruit", 65, 0.27, CUT_AGAIN, (Part(512, PROSE), Part(512, TALK), Part(512, RIPE), Part(1024, SHOTS, 2.0))),
    Stage("seed", 100, CUT_AGAIN, 0.0, (Part(512, PROSE), Part(512, TALK), Part(512, RIPE), Part(1024, SHOTS, 2.0))),
)
TOTAL = sum(stage.steps for stage in STAGES)
PEAK = 0.6  # of the optimisers' own rates: the first model has been trained already
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
