"""A decoding step recorded once and replayed.

A step of one token a row is more than a thousand small kernels, and a GPU has done each before the processor has asked
for the next. Recorded as a CUDA graph they are one call. What the step reads and writes must lie where it lay: tokens
and places in tensors of their own, keys and values in a forest that was told to hold still (`Forest.hold_still`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# Recording takes about as long as the step itself.
WORTH = 8


def possible(device: torch.device) -> bool:
    """Whether steps on `device` can be recorded."""
    return bool(device.type == "cuda")


def capture(run: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """What does again, on the same tensors, what `run` would do now; `run` itself is asked but nothing computed.

    Raises `RuntimeError` where something in it waits for the GPU.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = run()

    def replay() -> torch.Tensor:
        graph.replay()
        return made

    return replay


class Recorded:
    """The step `run`, of as many rows as there are now: logits [rows, vocabulary] from ids and places [1, rows] each.

    The logits of one call are overwritten by the next.
    """

    def __init__(self, run: Step, rows: int, device: torch.device) -> None:
        self.ids, self.places = (torch.zeros(1, rows, dtype=torch.long, device=device) for _ in range(2))
        self.replay = capture(lambda: run(self.ids, self.places))

    def __call__(self, tokens: Sequence[int], places: Sequence[int]) -> torch.Tensor:
        for inside, given in ((self.ids, tokens), (self.places, places)):
            inside.copy_(torch.tensor([given]))
        return self.replay()
