"""K10: killed at any point, inside a save too, and resumed: the same losses, order, optimiser and final weights."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.families import model_of, rows, seeing
from tunewright.errors import Interrupted, RunError
from tunewright.models import quantised
from tunewright.train import FitResult, Settings, fit, loop, streams
from tunewright.train.memory import Room
from tunewright.train.step import Computer

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(
    rank=4,
    alpha=8.0,
    dropout=0.1,
    effective_batch_size=4,
    steps=24,
    learning_rate=5e-3,
    loraplus_lr_ratio=2.0,
    adam_beta2=0.9,
    checkpoints=8,
    seed=3,
)
_CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from tests.invariants.test_k10_resume import run
from tunewright.train import checkpoint
if len(sys.argv) > 3:
    # Die inside the save of this step: when the weights are written and the state is not.
    real = checkpoint.write_json
    def killed(path, value):
        if value["step"] == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, value)
    checkpoint.write_json = killed
print("ready", flush=True)
run(Path(sys.argv[2]), resume=True)
"""


def run(folder: Path, resume: bool = False, **more: Any) -> FitResult:
    return fit(model_of("llama"), rows(10), rows(4, seed=9), SETTINGS, directory=folder, resume=resume, **more)


def _events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["type"] == kind]


def _losses(folder: Path) -> list[tuple[int, float]]:
    return [(event["step"], event["loss"]) for event in _events(folder, "step")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed, in one thread as the children are."""
    folder = tmp_path_factory.mktemp("whole")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run(folder)
    torch.set_num_threads(threads)
    return folder


def _same_end(folder: Path, whole: Path) -> None:
    assert _losses(folder) == _losses(whole)
    assert [(e["step"], e["loss"]) for e in _events(folder, "validation")] == [
        (e["step"], e["loss"]) for e in _events(whole, "validation")
    ]
    for name in ("adapter_model.safetensors", "optimizer.safetensors"):
        ours, theirs = (load_file(f / "checkpoints" / "step-24" / name) for f in (folder, whole))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def _child(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", _CHILD, str(ROOT), str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_again_and_again(tmp_path: Path, whole: Path) -> None:
    """SIGKILL inside a save, then at two arbitrary moments; the last start runs through."""
    child = _child(tmp_path, "6")
    assert child.wait(timeout=120) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "checkpoints").glob("step-*")] == ["step-3"]
    draw = random.Random(0)
    for _ in range(2):
        child = _child(tmp_path)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(draw.uniform(0.05, 0.6))
        child.kill()
        child.wait(timeout=60)
    child = _child(tmp_path)
    _, errors = child.communicate(timeout=180)
    assert child.returncode == 0, errors
    _same_end(tmp_path, whole)


def test_stopped_by_request(tmp_path: Path, whole: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seen: list[int] = []
    told: Any = lambda event: seen.append(event["step"]) if event["type"] == "step" else None  # noqa: E731
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path, on_event=told, should_stop=lambda: len(seen) >= 11)
    assert "step 11 of 24" in str(stopped.value)
    run(tmp_path, resume=True)
    torch.set_num_threads(threads)
    _same_end(tmp_path, whole)


@pytest.mark.parametrize("stopped_at", [3, 8])
def test_stopped_while_it_is_scored(tmp_path: Path, whole: Path, stopped_at: int) -> None:
    """The step is saved all the same and scored when the run goes on, so the choice is an undisturbed run's."""
    scores, calls = [0.1, 0.5, 0.7, 0.2, 0.6, 0.3, 0.3, 0.9], 0

    def score(model: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == stopped_at:
            raise Interrupted("stopped")
        return scores[calls - 1 - (calls > stopped_at)]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.raises(Interrupted, match=f"step {3 * stopped_at} of 24; the state is saved"):
        run(tmp_path, score=score)
    assert (tmp_path / "checkpoints" / f"step-{3 * stopped_at}").is_dir()
    result = run(tmp_path, resume=True, score=score)
    torch.set_num_threads(threads)
    assert calls == 9 and result.best_step == 24 and result.validation_score == 0.9
    assert [event["score"] for event in _events(tmp_path, "validation")] == scores
    _same_end(tmp_path, whole)


@pytest.mark.parametrize("stopped_at", [3, 24])
def test_stopped_while_the_loss_over_validation_rows_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    """It waits for one micro-batch; the step is saved and measured when the run goes on, at the last step too."""
    monkeypatch.setattr(loop, "first_room", lambda *_: Room(60, False))
    real, read, seen, judged = Computer.summed_loss, [0], [0], []

    def counted(self: Computer, batches: Any) -> Any:
        read[0] += seen[-1] == stopped_at
        return real(self, batches)

    def told(event: dict[str, Any]) -> None:
        seen.append(event["step"])

    def score(model: Any) -> float:
        judged.append(seen[-1])
        return 0.5

    monkeypatch.setattr(Computer, "summed_loss", counted)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        straight = run(tmp_path / "whole", on_event=told, score=score)
        in_all, read[0], seen[-1] = read[0], 0, 0
        with pytest.raises(Interrupted, match=f"step {stopped_at} of 24; the state is saved"):
            run(tmp_path / "two", on_event=told, score=score, should_stop=lambda: read[0] > 0)
        assert read[0] == 1 < in_all
        judged.clear()
        result = run(tmp_path / "two", resume=True, on_event=told, score=score)
    finally:
        torch.set_num_threads(threads)
    assert judged == list(range(stopped_at, 25, 3)) and result.best_step == straight.best_step
    _same_end(tmp_path / "two", tmp_path / "whole")


def test_only_best_and_last_are_kept_and_the_best_is_given(tmp_path: Path) -> None:
    scores = iter([0.1, 0.5, 0.9, 0.2, 0.9, 0.3, 0.3, 0.3])
    result = run(tmp_path, score=lambda model: next(scores))
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir() if not path.name.startswith("."))
    losses = {event["step"]: event["loss"] for event in _events(tmp_path, "validation")}
    # Steps 9 and 15 score alike; the lower validation loss decides.
    best = 9 if losses[9] <= losses[15] else 15
    assert result.best_step == best
    assert kept == sorted([f"step-{best}", "step-24"])
    saved = load_file(result.best / "adapter_model.safetensors")
    for name, parameter in result.model.named_parameters():
        if parameter.requires_grad:
            assert torch.equal(saved[name.replace(".default", "")], parameter)


def test_other_settings_do_not_continue_a_run(tmp_path: Path) -> None:
    run(tmp_path)
    other = SETTINGS.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(RunError, match="other settings"):
        fit(model_of("llama"), rows(10), [], other, directory=tmp_path, resume=True)


@pytest.mark.parametrize(("method", "dequantise"), [("full", "auto"), ("qlora", "once"), ("qlora", "each_pass")])
def test_other_methods_resume_too(method: str, dequantise: str, tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "method": method,
            "rank": 4,
            "effective_batch_size": 4,
            "steps": 6,
            "learning_rate": 1e-3,
            "checkpoints": 2,
            "dequantise": dequantise,
        }
    )
    one, two = tmp_path / "one", tmp_path / "two"
    fit(model_of("llama"), rows(10), [], settings, directory=one)
    seen: list[Any] = []
    with pytest.raises(Interrupted):
        fit(
            model_of("llama"),
            rows(10),
            [],
            settings,
            directory=two,
            on_event=seen.append,
            should_stop=lambda: seen[-1].get("step") == 4,
        )
    fit(model_of("llama"), rows(10), [], settings, directory=two, resume=True)
    assert _losses(one) == _losses(two)
    name = "model.safetensors" if method == "full" else "adapter_model.safetensors"
    ours, theirs = (load_file(folder / "checkpoints" / "step-6" / name) for folder in (one, two))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_what_never_learns_is_no_hindrance(tmp_path: Path) -> None:
    """No text gets into a vision tower: its adapters have no gradient, and AdamW keeps no moments of them."""
    settings = Settings(
        rank=2, target_modules=("q_proj", "v_proj"), effective_batch_size=4, steps=6, learning_rate=5e-3, checkpoints=2
    )
    one, two = tmp_path / "one", tmp_path / "two"
    fit(seeing(), rows(10), [], settings, directory=one)
    seen: list[Any] = []
    stop = lambda: seen[-1].get("step") == 4  # noqa: E731
    with pytest.raises(Interrupted):
        fit(seeing(), rows(10), [], settings, directory=two, on_event=seen.append, should_stop=stop)
    fit(seeing(), rows(10), [], settings, directory=two, resume=True)
    assert _losses(one) == _losses(two)
    for name in ("adapter_model.safetensors", "optimizer.safetensors"):
        ours, theirs = (load_file(folder / "checkpoints" / "step-6" / name) for folder in (one, two))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
        assert any("vision_tower" in key for key in ours) == name.startswith("adapter")


def test_a_run_that_has_only_skipped_steps_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop, "_gradients", lambda *_: float("nan"))
        run(tmp_path, should_stop=lambda: True)
    run(tmp_path, resume=True)
    assert [step for step, _ in _losses(tmp_path)] == list(range(1, 25))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_what_is_free_when_it_goes_on_changes_no_bit(
    method: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Micro-batches follow the free memory, and sums in other micro-batches round otherwise: a run keeps its own."""
    settings = Settings.model_validate(
        {"method": method, "rank": 4, "effective_batch_size": 4, "steps": 6, "learning_rate": 5e-3, "checkpoints": 2}
    )
    monkeypatch.setattr(streams, "LEAST", 2)
    before, (one, two) = torch.get_num_threads(), (tmp_path / "one", tmp_path / "two")
    seen: list[Any] = []

    def tune(folder: Path, tokens: int, kept: bool, **more: Any) -> None:
        monkeypatch.setattr(loop, "first_room", lambda *_: Room(tokens, False))
        monkeypatch.setattr(quantised, "fits_beside", lambda model, _: kept and bool(quantised.layers(model)))
        fit(model_of("llama"), rows(10), rows(4, seed=9), settings, directory=folder, **more)

    torch.set_num_threads(threads)
    try:
        tune(one, 120, True)
        stop = lambda: seen[-1].get("step") == 4  # noqa: E731
        with pytest.raises(Interrupted):
            tune(two, 120, True, on_event=seen.append, should_stop=stop)
        tune(two, 400, False, resume=True)
    finally:
        torch.set_num_threads(before)
    assert _losses(one) == _losses(two)
    assert [e["micro_batch_tokens"] for e in _events(two, "start")] == [120, 120]
    for name in ("adapter_model.safetensors", "optimizer.safetensors"):
        ours, theirs = (load_file(folder / "checkpoints" / "step-6" / name) for folder in (one, two))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_much_less_memory_than_before_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(loop, "first_room", lambda *_: Room(1_000, False))
    with pytest.raises(Interrupted):
        run(tmp_path, on_event=seen.append, should_stop=lambda: seen[-1].get("step") == 4)
    monkeypatch.setattr(loop, "first_room", lambda *_: Room(50, False))
    run(tmp_path, resume=True)
    assert [e["micro_batch_tokens"] for e in _events(tmp_path, "start")] == [1_000, 150]


if os.name != "posix":
    pytestmark = pytest.mark.skip(reason="needs POSIX signals")
