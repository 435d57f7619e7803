"""Whether somebody asked us to stop, and how what was stopped goes on."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Stop:
    """`patient` while a stage runs that can stop by itself at a safe place; `signal` is the number that came.

    `going_on` gives the command that goes on with what has begun; empty while the same command has to be given again.
    """

    requested: bool = False
    patient: bool = False
    signal: int = 0
    going_on: Callable[[], str] = lambda: ""

    def asked(self) -> bool:
        return self.requested


stop = Stop()
