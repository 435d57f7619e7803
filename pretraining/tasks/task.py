"""A task: a rule with its wording, from which any number of examples can be drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Random = random.Random
Example = tuple[str, str]


@dataclass(frozen=True)
class Task:
    instructions: tuple[str, ...]  # different ways to ask for it
    draw: Callable[[Random], Example]
    vague: tuple[str, ...] = ()  # wordings that do not say it all: only with examples
    arbitrary: bool = False  # names that only examples explain
