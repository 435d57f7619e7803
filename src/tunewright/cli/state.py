"""Whether somebody asked us to stop."""

from dataclasses import dataclass


@dataclass
class Stop:
    """`patient` while a stage runs that can stop by itself at a safe place; `signal` is the number that came."""

    requested: bool = False
    patient: bool = False
    signal: int = 0

    def asked(self) -> bool:
        return self.requested


stop = Stop()
