"""K7: a step's gradients equal those of one example at a time, however it is laid out and by however many processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft.tuners.lora.bnb import Linear4bit as PeftLinear4bit
from safetensors.torch import load_file

from tests.train.families import CONFIGS, model_of, rows
from tests.train.together import tune
from tunewright.models import quantised
from tunewright.train import Settings, fit, streams
from tunewright.train.adapters import prepare, trainable
from tunewright.train.choice import choose
from tunewright.train.plain import fit_plainly, gradients
from tunewright.train.step import Computer

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=8)
EXPECTED = {
    "llama": "forest by fused",
    "mistral": "forest by fused",
    "qwen2": "forest by fused",
    "qwen3": "forest by modules",
    "mixtral": "forest by modules",
    "qwen-moe": "forest by modules",
    "phi3": "forest by modules",
    "gemma3": "forest by modules",
    "gpt-neox": "forest by modules",
    "mistral-sliding": "forest by fused",
    "gemma2": "forest by modules",
    "granite": "forest by modules",
    "gemma3-sliding": "forest by modules",
    # What cannot be computed as a forest falls back, and says why.
    "gpt-oss": "padded by modules",
    "bloom": "padded by modules",
    "bamba": "padded by modules",
}


def _tuned(family: str, settings: Settings = SETTINGS) -> Any:
    model = prepare(model_of(family), settings)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    return model.eval()


def _gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in trainable(model).items() if p.grad is not None}
    model.zero_grad()
    return found


def _apart(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of any tensor that has a gradient to speak of."""
    assert got.keys() == want.keys()
    largest = max(float(grad.norm()) for grad in want.values())
    return max(float((got[n] - want[n]).norm() / want[n].norm().clamp(min=1e-4 * largest)) for n in want)


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_gets_a_layout_with_equal_gradients(family: str) -> None:
    model, examples = _tuned(family), rows()
    choice = choose(model, examples, SETTINGS)
    assert choice.how == EXPECTED[family]
    assert bool(choice.refused) == (choice.how != "forest by fused")
    batches = choice.computer.lay_out(examples, 10_000)
    loss = choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _gradients(model)
    want_loss = gradients(model, examples)
    assert loss == pytest.approx(want_loss, rel=1e-6)
    assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(("budget", "size"), [(10_000, 8), (150, 8), (1, 8), (10_000, 3)])
def test_any_micro_batch_any_sharing(fused: bool, share: bool, budget: int, size: int) -> None:
    model, examples = _tuned("llama"), rows()
    computer = Computer(model, "float32", "forest", fused=fused, share=share)
    batches = [b for i in range(0, 8, size) for b in computer.lay_out(examples[i : i + size], budget)]
    assert sum(batch.examples for batch in batches) == 8
    loss = computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _gradients(model)
    assert loss == pytest.approx(gradients(model, examples), rel=1e-6)
    assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize(("family", "fused"), [("mistral-sliding", True), ("gemma2", False), ("gemma3-sliding", False)])
@pytest.mark.parametrize(("share", "budget"), [(True, 10_000), (False, 10_000), (True, 150)])
def test_windows_and_caps_are_exact_in_any_micro_batch(family: str, fused: bool, share: bool, budget: int) -> None:
    model, examples = _tuned(family), rows()
    computer = Computer(model, "float32", "forest", fused=fused, share=share)
    batches = computer.lay_out(examples, budget)
    loss = computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _gradients(model)
    assert loss == pytest.approx(gradients(model, examples), rel=1e-6)
    assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize("preset", ["minimal", "standard", ("down_proj",), ("up_proj", "o_proj")])
def test_any_set_of_adapted_layers(preset: str | tuple[str, ...]) -> None:
    settings = SETTINGS.model_copy(update={"target_modules": preset})
    model, examples = _tuned("llama", settings), rows()
    choice = choose(model, examples, settings)
    assert choice.how == "forest by fused"
    batches = choice.computer.lay_out(examples, 10_000)
    choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _gradients(model)
    gradients(model, examples)
    assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize(
    ("method", "rank", "ratio"), [("lora", 4, 1), ("lora", 16, 4), ("qlora", 4, 1), ("full", 4, 1)]
)
def test_a_whole_run_has_the_losses_of_its_plain_twin(method: str, rank: int, ratio: float, tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "method": method,
            "rank": rank,
            "alpha": 2 * rank,
            "loraplus_lr_ratio": ratio,
            "adam_beta2": 0.999 if ratio == 1 else 0.95,
            "effective_batch_size": 5,
            "epochs": 2,
            "learning_rate": 1e-3 if method == "full" else 5e-3,
            "micro_batch_tokens": 200,
            "schedule": "cosine",
            "weight_decay": 0.1,
        }
    )
    told: list[Any] = []
    fit(model_of("llama"), rows(12), [], settings, directory=tmp_path, on_event=told.append)
    losses = [event["loss"] for event in told if event["type"] == "step"]
    plain = fit_plainly(model_of("llama"), rows(12), settings)
    assert losses == pytest.approx(plain, abs=1e-5)
    assert losses[-1] < losses[0]


def test_an_example_of_several_sequences_is_one_example_and_all_of_it_is_learnt(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"effective_batch_size": 6, "epochs": 2.0, "micro_batch_tokens": 200})
    alone = rows(12)
    whole = [last.with_earlier([first]) for first, last in zip(alone[::2], alone[1::2], strict=True)]
    told: list[Any] = []
    fit(model_of("llama"), whole, whole[:2], settings, directory=tmp_path, on_event=told.append)
    steps = [event for event in told if event["type"] == "step"]
    assert [step["examples"] for step in steps] == [6, 6]
    assert steps[0]["supervised_tokens"] == sum(row.supervised for row in alone)
    # The first step sees all rows: its loss is that of all sequences before anything is learnt.
    assert steps[0]["loss"] == pytest.approx(gradients(prepare(model_of("llama"), settings), alone), rel=1e-6)
    assert [step["loss"] for step in steps] == pytest.approx(fit_plainly(model_of("llama"), whole, settings), abs=1e-5)


@pytest.mark.parametrize("dequantise", ["once", "each_pass"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral-sliding", "phi3", "gpt-neox"])
def test_on_a_base_in_4_bits_gradients_are_those_of_peft_and_bitsandbytes(family: str, dequantise: str) -> None:
    settings = SETTINGS.model_copy(update={"method": "qlora", "dequantise": dequantise})
    model, examples = _tuned(family, settings), rows()
    adapted = [m for m in model.modules() if hasattr(m, "lora_A")]
    assert {type(m) for m in adapted} == {PeftLinear4bit}
    assert {type(m.base_layer) for m in adapted} == {Linear4bit}
    choice = choose(model, examples, settings)
    assert choice.how == EXPECTED[family]
    assert choice.computer.kept == (choice.computer.decoder is not None and dequantise == "once")
    for budget in (10_000, 150):
        batches = choice.computer.lay_out(examples, budget)
        loss = choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
        got = _gradients(model)
        assert loss == pytest.approx(gradients(model, examples), rel=1e-6)
        assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize("recompute", [False, True])
def test_weights_in_4_bits_are_read_back_once_each_way_or_once_for_all(
    recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = _tuned("llama", SETTINGS.model_copy(update={"method": "qlora"})), rows()
    read: list[int] = []
    really = quantised.weight_of
    monkeypatch.setattr(quantised, "weight_of", lambda layer, *of: read.append(id(layer)) or really(layer, *of))
    found = []
    for kept in (False, True):
        computer = Computer(model, "float32", "forest", fused=True, share=True, kept=kept)
        computer.recompute(recompute)
        read.clear()
        batches = computer.lay_out(examples, 10_000)
        assert len(batches) == 1
        computer.accumulate(batches, sum(batch.weight for batch in batches))
        # Seven weights in each of three blocks. What the forward pass read back last is still there for the backward
        # pass: the last block's, and queries, keys and values of the block before, which lie elsewhere in the last.
        assert len(read) == (0 if kept else 2 * 7 * 3 - 7 - 3)
        found.append(_gradients(model))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of `together` by two processes on this machine."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.train.together", str(folder)]
    started = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given, "RANK": str(rank)}, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=180)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    return folder


def _told(folder: Path, kind: str, key: str = "loss") -> list[Any]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event[key] for event in map(json.loads, lines) if event["type"] == kind]


def _saved(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "checkpoints" / "step-6" / "adapter_model.safetensors"))


def test_two_processes_take_the_steps_of_one(by_two: Path, tmp_path: Path) -> None:
    tune(tmp_path)
    for kind in ("step", "validation"):
        assert _told(by_two / "whole", kind) == pytest.approx(_told(tmp_path, kind), rel=1e-5)
    assert _told(by_two / "whole", "step", "examples") == [5] * 6
    assert _told(by_two / "whole", "start", "processes") == [2]
    got, want = _saved(by_two / "whole"), _saved(tmp_path)
    assert _apart(got, want) <= 1e-3  # six steps of Adam enlarge the rounding of the first
    assert _told(by_two / "whole", "step", "grad_norm")[0] == pytest.approx(_told(tmp_path, "step", "grad_norm")[0])


def test_two_processes_stop_and_resume_bit_for_bit(by_two: Path) -> None:
    assert _told(by_two / "resumed", "start", "step") == [0, 3, 4]
    for kind in ("step", "validation"):
        assert _told(by_two / "resumed", kind) == _told(by_two / "dropping", kind)
    got, want = _saved(by_two / "resumed"), _saved(by_two / "dropping")
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_one_process_short_of_memory_changes_no_loss(by_two: Path) -> None:
    assert _told(by_two / "short", "step") == pytest.approx(_told(by_two / "whole", "step"), rel=1e-5)


def test_a_full_disk_ends_every_process(by_two: Path) -> None:
    assert (by_two / "disk-0").read_text() == "first"
    assert "no space left" in (by_two / "disk-1").read_text()


# Nothing of these is in a step's meaning: the seed and the effective batch size are all of it.
WAYS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "one thread": (1, 2, {}),
    "never two parts": (2, 100_000, {}),
    "small micro-batches": (2, 2, {"micro_batch_tokens": 150}),
    "two rows at a time": (2, 2, {"micro_batch_size": 2}),
    "nothing shared": (2, 2, {"share": False}),
    "layers computed again": (2, 2, {"activation_checkpointing": True}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_has_the_same_losses_whichever_way_its_steps_are_computed(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(name: str, threads: int, least: int, more: dict[str, Any]) -> list[float]:
        torch.set_num_threads(threads)
        monkeypatch.setattr(streams, "LEAST", least)
        settings = Settings.model_validate(
            {"rank": 4, "alpha": 8, "effective_batch_size": 5, "steps": 6, "learning_rate": 5e-3, **more}
        )
        fit(model_of("llama"), rows(12), rows(4, seed=9), settings, directory=tmp_path / name)
        return [loss for kind in ("step", "validation") for loss in _told(tmp_path / name, kind)]

    before = torch.get_num_threads()
    try:
        want = losses("by two parts", 2, 2, {})
        assert losses(way, *WAYS[way]) == pytest.approx(want, abs=1e-5)
    finally:
        torch.set_num_threads(before)
