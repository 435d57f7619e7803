"""What a run will take of a GPU, told beforehand from shapes: beside what was measured, and where it must fit."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, Qwen3Config

from tests.train.families import SHAPE
from tunewright.models import quantised
from tunewright.records import Footprint, Rendered
from tunewright.train import Settings, footprint
from tunewright.train.adapters import prepare, trainable

KEPT = Path(__file__).resolve().parents[2] / "benchmarks/results"
RESULTS = json.loads((KEPT / "gpu.json").read_text())["results"]
JOURNEY = json.loads((KEPT / "gpu_journey.json").read_text())
# The H100's were taken when a layer kept a third more.
MEASURED = [one for one in RESULTS if one["machine"]["gpu"] == "NVIDIA H200"]
QLORA = Settings(method="qlora", rank=16, precision="bfloat16", effective_batch_size=32, dequantise="each_pass")
LORA = QLORA.model_copy(update={"method": "lora"})
# What is free of a card of 24 GB.
CARD = 23.6e9


def _model(config: Any, dtype: torch.dtype = torch.bfloat16) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype).requires_grad_(False)


def _llama() -> Any:
    shape = {"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "vocab_size": 128_256}
    return _model(LlamaConfig(**shape, num_attention_heads=32, num_key_value_heads=8))


@pytest.fixture(scope="module")
def whole() -> Any:
    return _llama()


@pytest.fixture(scope="module")
def packed() -> Any:
    pytest.importorskip("bitsandbytes")
    return quantised.quantise(_llama())


def _rows(count: int, length: int, supervised: int = 30, shared: int = 0) -> list[Rendered]:
    draw = random.Random(length)
    begin = tuple(draw.randrange(3, 96) for _ in range(shared))
    weights = (0.0,) * (length - supervised) + (1.0,) * supervised
    return [
        Rendered((*begin, *(draw.randrange(3, 96) for _ in range(length - shared))), weights, length - supervised)
        for _ in range(count)
    ]


def _told(model: Any, rows: list[Rendered], settings: Settings, free: float, total: int | None = None) -> Footprint:
    found = footprint(model, rows, settings, total=total or len(rows), free=free, on_a_gpu=True)
    assert found is not None
    assert found.low < found.total <= found.high
    return found


@pytest.mark.parametrize("result", MEASURED, ids=lambda one: f"{one['work']}-{one['peer']['side']}")
def test_what_was_measured_lies_in_what_is_told(result: dict[str, Any], request: pytest.FixtureRequest) -> None:
    facts, ours = result["facts"], result["ours"]
    packs = {"rank": facts["rank"], "effective_batch_size": facts["batch"], "micro_batch_tokens": facts["pack"]}
    settings = (QLORA if "qlora" in result["work"] else LORA).model_copy(
        update={**packs, "activation_checkpointing": False}
    )
    model = request.getfixturevalue("packed" if "qlora" in result["work"] else "whole")
    rows = _rows(5 * facts["batch"], facts["row"], facts["supervised"], facts["shared"])
    found = _told(model, rows, settings, free=139e9)
    assert found.low < 1e9 * ours["peak_gb"] < found.high
    assert found.total == pytest.approx(1e9 * ours["peak_gb"], rel=0.2)
    assert found.trained == ours["how"]["trainable_parameters"]
    assert found.moment == "step"


def test_so_does_the_peak_of_a_journey_whose_heaviest_moment_is_the_trial() -> None:
    """A 1B shape on an H200, 80 rows of 83 tokens in the mean: float32 through the model's own modules took most."""
    shape = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "vocab_size": 128_256}
    model = _model(LlamaConfig(**shape, num_attention_heads=32, num_key_value_heads=8))
    found = _told(model, [*_rows(79, 83), *_rows(1, 110)], LORA.model_copy(update={"effective_batch_size": 8}), 137e9)
    stages = {stage["stage"]: stage["peak_gb"] for stage in JOURNEY["results"][0]["ours"]["stages"]}
    assert found.moment == "trial"
    assert found.low < 1e9 * stages["train"] < found.high


def test_8b_in_4_bits_fits_a_card_of_24_gb(packed: Any) -> None:
    """A step of 32 rows of 300 tokens is more than it holds at once, and need not be computed at once."""
    rows = _rows(64, 300)
    found = _told(packed, rows, QLORA, CARD)
    assert found.high <= CARD
    assert found.total > 0.8 * CARD
    assert 300 < found.room < 32 * 300
    roomy = _told(packed, rows, QLORA, 139e9)
    assert roomy.total > 2 * CARD and roomy.room > 32 * 300, "where there is more, a step takes it"


def test_a_row_that_fits_only_with_layers_computed_again_fits(packed: Any) -> None:
    rows = _rows(8, 8_192)
    assert _told(packed, rows, QLORA, CARD).high <= CARD
    never = QLORA.model_copy(update={"activation_checkpointing": False})
    assert _told(packed, rows, never, CARD).low > CARD


def test_what_cannot_be_done_without_does_not_fit(whole: Any, packed: Any) -> None:
    assert _told(whole, _rows(8, 300), LORA, 16e9).low > 16e9, "its weights alone take that"
    assert _told(packed, _rows(8, 300), QLORA, 8e9).low > 8e9, "the trial before the first step takes more"
    for free in (13e9, 16e9, 20e9):
        assert _told(packed, _rows(8, 300), QLORA, free).low <= free


def test_rows_that_share_what_they_begin_with_take_less(whole: Any) -> None:
    apart, behind = (_told(whole, _rows(64, 700, shared=shared), LORA, 139e9) for shared in (0, 660))
    assert behind.parts["activations"] < apart.parts["activations"] / 4
    dropping = LORA.model_copy(update={"dropout": 0.1})
    assert _told(whole, _rows(64, 700, shared=660), dropping, 139e9).total > 2 * behind.total


def test_the_interval_widens_where_not_all_rows_are_known(whole: Any) -> None:
    rows = _rows(40, 100) + _rows(8, 500)
    known, sampled = (_told(whole, rows, LORA, 139e9, total) for total in (48, 50_000))
    assert sampled.high > known.high + 1e9


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
@pytest.mark.parametrize(
    "config", [LlamaConfig(**SHAPE), Qwen3Config(**SHAPE, head_dim=16), MixtralConfig(**SHAPE, num_local_experts=4)]
)
def test_any_family_is_told(config: Any, method: Any) -> None:
    """What is trained is counted exactly, also where the family cannot be run on shapes alone."""
    settings = LORA.model_copy(update={"method": method, "rank": 4})
    model = _model(config, torch.float32)
    if method == "qlora":
        pytest.importorskip("bitsandbytes")
        quantised.quantise(model)
    found = _told(model, _rows(8, 60), settings, 1e12)
    assert found.trained == sum(p.numel() for p in trainable(prepare(model, settings)).values())


def test_layers_below_the_lowest_adapter_keep_nothing(whole: Any) -> None:
    top = LORA.model_copy(update={"target_modules": ("layers.31.mlp.up_proj",)})
    rows = _rows(64, 300)
    assert _told(whole, rows, top, 139e9).total < _told(whole, rows, LORA, 139e9).total - 10e9


def test_weights_are_there_twice_where_they_are_held_in_another_type() -> None:
    shape = SHAPE | {"hidden_size": 1024, "intermediate_size": 4096}
    base, narrow = _model(LlamaConfig(**shape), torch.float32), _model(LlamaConfig(**shape))
    rows = _rows(64, 300)
    assert _told(base, rows, LORA, 139e9).parts["laid_out"] == pytest.approx(base.num_parameters() * 2, rel=0.05)
    assert "laid_out" not in _told(narrow, rows, LORA, 139e9).parts
    assert "laid_out" not in _told(base, rows, LORA.model_copy(update={"precision": "float32"}), 139e9).parts
