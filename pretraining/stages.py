"""The schedule: what each stage reads, how long, and the rate over all of it. In steps, so that it can be repeated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A micro-batch: its windows' length and the share of each source among them."""

    length: int
    shares: dict[str, float]
    emphasis: float = 1.0  # on what is learnt of our own tasks: a window of theirs has few such tokens


@dataclass(frozen=True)
class Stage:
    name: str
    share: float  # of all steps
    first_rate: float  # a share of the peak
    last_rate: float
    parts: tuple[Part, ...]


MIX = {"books": 0.23, "docs": 0.17, "textbooks": 0.16, "dialogue": 0.13, "qa": 0.11, "tasks": 0.07}
MIX |= {"own": 0.07, "copy": 0.06}
TALK = {"books": 0.08, "docs": 0.08, "textbooks": 0.08, "dialogue": 0.32, "qa": 0.15, "tasks": 0.17}
TALK |= {"own": 0.08, "copy": 0.04}
LONG = {"shots": 0.45, "docs": 0.14, "books": 0.14, "textbooks": 0.10, "dialogue": 0.07, "tasks": 0.05, "copy": 0.05}

STAGES = (
    Stage("stem", 0.45, 1.0, 1.0, (Part(256, MIX), Part(512, MIX), Part(512, TALK), Part(1024, LONG))),
    Stage("bough", 0.35, 1.0, 0.36, (Part(512, MIX), Part(512, MIX), Part(512, TALK), Part(1024, LONG))),
    Stage("seed", 0.2, 0.36, 0.0, (Part(512, MIX), Part(512, TALK), Part(512, TALK), Part(2048, LONG))),
)
PARTS = len(STAGES[0].parts)
FLOOR = 0.002


@dataclass(frozen=True)
class Schedule:
    """The stages over `steps` steps; `peak` is a share of the optimisers' own rates (1 from nothing, less later)."""

    steps: int
    peak: float
    stages: tuple[Stage, ...] = STAGES

    @property
    def warm_up(self) -> int:
        return min(200, self.steps // 20 + 1)

    def at(self, step: int) -> tuple[int, float]:
        """The stage's number, and how much of it is done, 0 to 1. After the last step: the number of stages."""
        begins = 0.0
        for number in range(len(self.stages)):
            ends = round(sum(s.share for s in self.stages[: number + 1]) * self.steps)
            if step < ends:
                return number, (step - begins) / (ends - begins)
            begins = ends
        return len(self.stages), 0.0

    def rate(self, step: int) -> float:
        """What the optimisers' rates are multiplied by: in a straight line from a stage's first value to its last."""
        number, done = self.at(step)
        stage = self.stages[number]
        falling = stage.first_rate + (stage.last_rate - stage.first_rate) * done
        return self.peak * min(1.0, (step + 1) / self.warm_up) * max(FLOOR, falling)
