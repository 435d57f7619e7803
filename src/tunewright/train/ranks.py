"""Several processes that take a step together: each computes its share of the rows, all go on from the same sum.

A launcher (torchrun, `accelerate launch`) starts the processes and tells each by the environment which one it is.
The first one leads: it alone writes and scores. Gradients are sums over the whole effective batch, divided by its
whole weight, so the number of processes has no part in what a step means.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from tunewright.errors import RunError
from tunewright.records import Rendered

Value = TypeVar("Value")
# The others wait while the first one reads data, scores or saves. A process that dies is the launcher's to notice.
_WAIT = timedelta(days=2)
# Numbers added up in one message.
_BUCKET = 16_000_000


@dataclass(frozen=True)
class Ranks:
    """Which process this is (`rank`, from 0), of how many (`count`), and how many of them share this machine."""

    rank: int = 0
    count: int = 1
    neighbours: int = 1

    @classmethod
    def join(cls) -> Ranks:
        """Meet the processes that were started together with this one; alone, there is nobody to meet.

        On GPUs each process takes the one of its number on the machine. Raises `RunError` when they do not meet.
        """
        if int(os.environ.get("WORLD_SIZE") or 1) < 2:
            return cls()
        if not dist.is_initialized():
            gpu = torch.cuda.is_available()
            if gpu:
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK") or 0))
            try:
                dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=_WAIT)
            except (ValueError, RuntimeError) as error:
                raise RunError(
                    f"the processes of this run do not meet: {str(error).splitlines()[0]}",
                    where="WORLD_SIZE",
                    remedy="Start them with torchrun --nproc-per-node N -m tunewright train, or unset WORLD_SIZE.",
                ) from error
        return cls(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_WORLD_SIZE") or 1))

    @property
    def first(self) -> bool:
        """Whether this is the process that leads, and the only one that writes."""
        return self.rank == 0

    def share(self, examples: Sequence[Rendered]) -> list[Rendered]:
        """This process's part of a step's rows.

        The rows in the order of their tokens are cut into runs of about equal length: those with a common prefix stay
        together, where it is computed once. Every row falls to exactly one process; a part may be empty.
        """
        if self.count == 1:
            return list(examples)
        ordered = sorted(examples, key=lambda example: example.ids)
        lengths = np.array([len(example.ids) for example in ordered])
        middles = np.cumsum(lengths) - lengths / 2
        owners = np.minimum(self.count - 1, middles * self.count // max(1, lengths.sum()))
        return [example for example, owner in zip(ordered, owners, strict=True) if owner == self.rank]

    def reseed(self, seed: int, step: int) -> None:
        """Give every process but the first random masks of its own, which a resumed run draws again."""
        if not self.first:
            torch.manual_seed(int(np.random.default_rng((seed, step, self.rank)).integers(2**62)))

    def total(self, value: float) -> float:
        """The sum of all processes' values."""
        if self.count == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(held)
        return float(held)

    def each(self, value: Value) -> list[Value]:
        """What every process says, in their order."""
        said: list[Any] = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(said, value)
        return said

    def any(self, flag: bool) -> bool:
        """Whether any process says yes."""
        return self.total(float(flag)) > 0

    def add_up(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Put the sum of all processes' gradients on each one's parameters; none where no process has one."""
        if self.count == 1:
            return
        present = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
        dist.all_reduce(present)
        met = [p for p, count in zip(parameters, present.tolist(), strict=True) if count]
        for parameter in met:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets(met):
            flat = torch.cat([p.grad.flatten() for p in bucket if p.grad is not None])
            dist.all_reduce(flat)
            for parameter, grad in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                parameter.grad = grad.view_as(parameter).clone()

    def alike(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give all processes the first one's weights."""
        if self.count > 1:
            for parameter in parameters:
                dist.broadcast(parameter.data, 0)

    def told(self, value: Value | None) -> Value | None:
        """What the first process says. Raises `RunError` when it ended without a word."""
        if self.count == 1:
            return value
        said = [value]
        try:
            dist.broadcast_object_list(said, 0)
        except RuntimeError as error:
            raise RunError(
                "the first process of this run has ended.", remedy="Read what it said, and resume."
            ) from error
        return said[0]

    def once(self, action: Callable[[], Any]) -> Any:
        """What `action` gives, done by the first process alone. Its failure is a failure of all."""
        if self.count == 1:
            return action()
        value, failure = None, None
        if self.first:
            try:
                value = action()
            except Exception as error:
                self.told((None, str(error)))
                raise
        value, failure = self.told((value, failure)) or (None, None)
        if failure is not None:
            raise RunError(f"stopped with the first process of this run: {failure}")
        return value


def _buckets(parameters: Sequence[torch.nn.Parameter]) -> list[list[torch.nn.Parameter]]:
    """Runs of parameters of about `_BUCKET` numbers on one device."""
    found: list[list[torch.nn.Parameter]] = []
    held = _BUCKET
    for parameter in parameters:
        if held + parameter.numel() > _BUCKET or found[-1][0].device != parameter.device:
            found.append([])
            held = 0
        found[-1].append(parameter)
        held += parameter.numel()
    return found
