"""What every peer of the training benchmark needs: the rows in order, the micro-batch that fits, the clock.

The standard library alone, but for `timer`: a peer may run in an environment of its own.
"""

from __future__ import annotations

import time
from typing import Any

WARM_UP = 2
LONG_STEP = 10.0
# Padded tokens a peer may hold at once; a larger batch is split by accumulation.
PEER_TOKENS = {12: 8_000, 30: 3_000}


def in_order(task: dict[str, Any], steps: int) -> list[dict[str, list[int]]]:
    """Ids and labels of the rows of `steps` steps, two passes at most: a trainer begins again by itself."""
    order = task["order"][: steps * task["batch"]]
    return [
        {
            "input_ids": row["ids"],
            "labels": [t if s else -100 for t, s in zip(row["ids"], row["supervised"], strict=True)],
        }
        for row in (task["rows"][i] for i in order)
    ]


def supervised_tokens(task: dict[str, Any]) -> list[int]:
    """How many tokens are learned in each step of two passes."""
    batch, order = task["batch"], task["order"]
    counts = [sum(task["rows"][i]["supervised"]) for i in order]
    return [sum(counts[at : at + batch]) for at in range(0, len(order), batch)]


def micro_batches(task: dict[str, Any]) -> list[int]:
    """Rows at once, most first: of the batch's halves those that padded to the longest row stay within memory."""
    longest, micro = max(len(row["ids"]) for row in task["rows"]), int(task["batch"])
    fit = []
    while micro >= 1:
        if micro == 1 or micro * longest <= PEER_TOKENS[task["shape"]["num_hidden_layers"]]:
            fit.append(micro)
        micro //= 2
    return fit


class Clock:
    """Times steps after the warm-up, from the end of one to the end of the next."""

    def __init__(self, seconds: float) -> None:
        self.limit = seconds
        self.ends: list[float] = []
        self.losses: list[float] = []
        self.supervised: list[int] = []

    def tick(self, loss: float, supervised: int) -> None:
        self.ends.append(time.perf_counter())
        self.losses.append(loss)
        self.supervised.append(supervised)

    @property
    def slow(self) -> bool:
        """Steps so long that one of them is warm-up enough."""
        return len(self.ends) > 1 and self.ends[1] - self.ends[0] > LONG_STEP

    @property
    def warm(self) -> int:
        return WARM_UP if len(self.ends) > WARM_UP + 1 and not self.slow else 1

    @property
    def steady(self) -> float:
        return self.ends[-1] - self.ends[self.warm - 1]

    @property
    def over(self) -> bool:
        return len(self.ends) > (1 if self.slow else WARM_UP + 1) and self.steady >= self.limit

    @property
    def seconds_per_step(self) -> float:
        return self.steady / (len(self.ends) - self.warm)

    def result(self, batch: int) -> dict[str, Any]:
        return {
            "examples_per_s": round(batch / self.seconds_per_step, 3),
            "supervised_tokens_per_s": round(sum(self.supervised[self.warm :]) / self.steady, 1),
            "steady_seconds": round(self.steady, 1),
            "steps": len(self.ends),
            "losses": self.losses,
        }


def timer(clock: Clock, task: dict[str, Any]) -> Any:
    """A callback of `transformers`' Trainer that ticks `clock` at every step and stops when it is over."""
    from transformers import TrainerCallback

    supervised = supervised_tokens(task)

    class Timer(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                clock.tick(float(logs["loss"]), supervised[(state.global_step - 1) % len(supervised)])
                control.should_training_stop = control.should_training_stop or clock.over

    return Timer()
