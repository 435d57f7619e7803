"""How many tokens a forward pass may hold, beside the tensors that are really alive."""

from __future__ import annotations

import platform
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MixtralConfig, Qwen3Config

from tests.train.families import SHAPE
from tunewright.records import Rendered
from tunewright.train import Settings, memory
from tunewright.train.adapters import prepare
from tunewright.train.alive import Alive
from tunewright.train.choice import choose
from tunewright.train.events import peak_gb
from tunewright.train.memory import SHARE_OF_A_GPU, bytes_per_token, first_room, give_back, room

FREE = 60_000_000


@pytest.fixture
def one_thread() -> Iterator[None]:
    """With two, half of a step is computed in another thread, whose tensors `Alive` does not see."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _rows(count: int) -> list[Rendered]:
    draw = random.Random(0)
    return [
        Rendered(tuple(draw.randrange(3, 96) for _ in range(60)), (0.0,) * 48 + (1.0,) * 12, 48) for _ in range(count)
    ]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("rank", [4, 32])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", [LlamaConfig(**SHAPE), Qwen3Config(**SHAPE, head_dim=16)], ids=["fused", "modules"])
def test_a_micro_batch_takes_what_is_its_own_and_little_less(
    config: Any, precision: Any, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of the free memory, whatever the rank: adapters' layers are no layers of the model's width."""
    monkeypatch.setattr("tunewright.train.memory.free_memory", lambda: FREE)
    monkeypatch.setattr("tunewright.train.streams.AT_ONCE", 100_000)  # else bunch after bunch, which takes less
    torch.manual_seed(0)
    settings = Settings(rank=rank, alpha=16.0, effective_batch_size=8, steps=1, checkpoints=1, precision=precision)
    model = prepare(AutoModelForCausalLM.from_config(config).requires_grad_(False), settings)
    tokens = first_room(model, settings, 60).tokens
    assert 512 < tokens < 16_384
    rows = _rows(tokens // 60)
    computer = choose(model, rows, settings).computer
    model.train()
    with Alive() as alive:
        computer.accumulate(computer.lay_out(rows, tokens), 1.0)
    assert FREE / 3 / 3.5 < alive.peak < FREE / 3, (tokens, alive.peak)


def test_layers_of_gpt2_are_counted_like_linear_ones() -> None:
    settings = Settings(rank=4, alpha=16.0, effective_batch_size=8, steps=1, checkpoints=1)
    config = GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=512)
    model = prepare(AutoModelForCausalLM.from_config(config).requires_grad_(False), settings)
    widths = (32 + 96) + (32 + 32) + (32 + 128) + (128 + 32)
    assert bytes_per_token(model, "float32")[0] == 2 * 4 * 2 * widths


def test_a_token_is_counted_through_the_experts_that_it_passes() -> None:
    settings = Settings(rank=4, alpha=16.0, effective_batch_size=8, steps=1, checkpoints=1)
    tokens = []
    for passed in (1, 2):
        config = MixtralConfig(**SHAPE, num_local_experts=4, num_experts_per_tok=passed)
        model = prepare(AutoModelForCausalLM.from_config(config).requires_grad_(False), settings)
        tokens.append(bytes_per_token(model, "float32")[0])
    width, middle = SHAPE["hidden_size"], SHAPE["intermediate_size"]
    assert tokens[1] - tokens[0] == 2 * 4 * SHAPE["num_hidden_layers"] * ((width + 2 * middle) + (middle + width))


def test_an_8b_model_in_bfloat16_on_an_80_gb_card_computes_nothing_twice() -> None:
    """What was measured on one: a row of 4,096 tokens kept 5.8 MB a token beside 16 GB of weights."""
    shape = {"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "vocab_size": 128_256}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(**shape, num_attention_heads=32, num_key_value_heads=8))
    settings = Settings(precision="bfloat16")
    free = 84.9e9 - 0.6e9 - 16.2e9
    found = room(model, settings, 4096, free, SHARE_OF_A_GPU)
    assert not found.recompute
    assert found.tokens >= 4096
    assert found.tokens * 5.83e6 < free
    assert room(model, settings, 4096, free).recompute, "a third would not do"


class _Cuda:
    """A model on a GPU, as far as it is asked where it lies."""

    def parameters(self) -> Iterator[Any]:
        yield type("Parameter", (), {"device": torch.device("cuda")})


def test_what_pytorch_holds_of_a_gpu_unused_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr(memory, "room", lambda model, settings, longest, free, share, each: given.extend((free, share)))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10e9, 80e9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50e9)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20e9)
    first_room(_Cuda(), Settings(), 60)
    assert given == [40e9, SHARE_OF_A_GPU]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do not keep what is freed")
def test_what_was_freed_is_given_back() -> None:
    held = [torch.ones(20_000) for _ in range(5_000)]  # 0.4 GB in pieces that are too small to be given back at once
    last = torch.ones(20_000)  # lies behind them all
    held.clear()
    before = psutil.Process().memory_info().rss
    give_back()
    assert psutil.Process().memory_info().rss < before - 300e6
    assert len(last)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a record of each process")
def test_a_peak_is_the_processs_own_and_not_that_of_its_parent() -> None:
    held = torch.ones(100_000_000)  # 0.4 GB, which the child has not
    child = "import torch, tunewright.train.events as e; print(e.peak_gb(torch.device('cpu')))"
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert 0.05 < float(done.stdout) < peak_gb(torch.device("cpu")) - 0.3
    assert len(held)
