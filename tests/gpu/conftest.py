"""Where there is no GPU, what is made for one computes on the CPU, with a dense matrix in FlexAttention's place."""

from __future__ import annotations

import pytest

from tests.gpu.dense import DEVICE, dense
from tests.train import families
from tunewright.layout import flex
from tunewright.train import step

# FlexAttention's kernels take heads of 16 numbers and more.
WIDER = {"hidden_size": 64, "head_dim": 16}


@pytest.fixture(autouse=True)
def without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WIDER.items():
        monkeypatch.setitem(families.SMALL, name, value)
    if DEVICE == "cpu":
        monkeypatch.setattr(flex, "kernel", lambda device: dense)
        monkeypatch.setattr(step, "_wide", lambda device: True)
