"""Ctrl-C, SIGTERM and a full disk: what was done is kept, the code says what happened, and the journey goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.command_line import colours
from tunewright import journey
from tunewright.errors import RunError, StorageError
from tunewright.joins.telling import Silent
from tunewright.joins.workshop import begin_run
from tunewright.store import read_lines

RECIPE = """
model: seedling
data:
  train: [rows.jsonl]
  split: {test: 0.3, validation: 0.1}
arms: [base, tuned]
train: {epochs: 12, effective_batch_size: 8, checkpoints: 2, precision: float32}
"""


@pytest.fixture(autouse=True)
def one_thread():
    """The order of a sum depends on the number of threads; equal to the last digit needs the same number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in colours(110)))
    (tmp_path / "tunewright.yaml").write_text(RECIPE)
    return tmp_path


def losses(folder: Path) -> list[float]:
    return [e["loss"] for e in read_lines(next(folder.glob(".tunewright/runs/*/events.jsonl"))) if e["type"] == "step"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_training_saves_and_a_resumed_run_ends_as_if_uninterrupted(folder, number, tmp_path_factory):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from tunewright.cli import main; main()", "train", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        events = list(folder.glob(".tunewright/runs/*/events.jsonl"))
        if events and len(events[0].read_text().splitlines()) > 4:
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert "saved" in err
    assert "--resume" in err
    assert "Traceback" not in err
    done = len(losses(folder))
    result, _ = journey.train(journey.open_project(folder), resume=True)
    assert result.steps > done
    assert len(losses(folder)) == result.steps

    # The same run without a stop: the same losses to the last digit.
    whole = tmp_path_factory.mktemp("whole")
    for name in ("rows.jsonl", "tunewright.yaml"):
        (whole / name).write_text((folder / name).read_text())
    straight, _ = journey.train(journey.open_project(whole))
    assert losses(whole) == losses(folder)
    assert straight.best_step == result.best_step


def test_a_full_disk_says_what_is_kept(folder, monkeypatch):
    from tunewright.train import checkpoint

    real = checkpoint.write_json

    def full(path, value):
        if value.get("step", 0) > 60:
            raise OSError(28, "No space left on device", str(path))
        real(path, value)

    monkeypatch.setattr(checkpoint, "write_json", full)
    with pytest.raises(StorageError) as caught:
        journey.train(journey.open_project(folder))
    assert caught.value.exit_code == 1
    assert "is kept" in str(caught.value)
    kept = list(folder.glob(".tunewright/runs/*/checkpoints/step-*"))
    assert len(kept) == 1
    assert not list(folder.glob(".tunewright/runs/*/checkpoints/.*"))
    monkeypatch.undo()
    result, _ = journey.train(journey.open_project(folder), resume=True)
    assert result.steps > 60


def test_a_run_of_other_settings_is_not_resumed(folder):
    from tunewright.errors import Interrupted, RunError

    def training() -> bool:
        return any((folder / ".tunewright/runs").glob("*/events.jsonl"))

    with pytest.raises(Interrupted):
        journey.train(journey.open_project(folder, should_stop=training))
    with pytest.raises(RunError, match="other settings"):
        journey.train(journey.open_project(folder, ["train.rank=4"]), resume=True)


def test_a_journey_stopped_after_training_goes_on_with_evaluation_and_export(folder, monkeypatch):
    from tunewright.errors import RunError
    from tunewright.joins import stages

    real = stages.evidence_page

    def torn(evidence):
        if evidence.verdict is not None:  # the baseline's page is written, the verdict's is not
            raise OSError(28, "No space left on device")
        return real(evidence)

    monkeypatch.setattr(stages, "evidence_page", torn)
    with pytest.raises(OSError, match="No space"):
        journey.run(journey.open_project(folder, ["arms=[base,tuned]"]))
    monkeypatch.undo()
    before = losses(folder)
    outcome = journey.run(journey.open_project(folder, ["arms=[base,tuned]"]), resume=True)
    assert losses(folder) == before
    assert any(g.name == "parity" for g in outcome.gates)
    with pytest.raises(RunError, match="finished"):
        journey.run(journey.open_project(folder, ["arms=[base,tuned]"]), resume=True)


def test_a_run_that_another_process_trains_is_left_alone(folder):
    project = journey.open_project(folder)
    run = begin_run(project)
    with run.alone(), pytest.raises(RunError, match="another process"):
        journey.train(project, run=run)
    assert not run.trained.exists()


class Watching(Silent):
    """Remembers what was told of the scoring of validation cases."""

    def __init__(self):
        self.told = []

    def progress(self, name, done, total, note=""):
        if note == "validation":
            self.told.append((done, total))


def test_a_stop_while_validation_is_scored_waits_for_one_batch(folder, monkeypatch):
    from tunewright.errors import Interrupted
    from tunewright.joins import workshop

    monkeypatch.setattr(workshop, "TorchEngine", partial(workshop.TorchEngine, batch_rows=4))
    tell = Watching()
    begun = lambda: any(done for done, _ in tell.told)  # noqa: E731
    with pytest.raises(Interrupted, match="saved"):
        journey.train(journey.open_project(folder, tell=tell, should_stop=begun))
    done, total = tell.told[-1]
    assert 0 < done < total
    before = len(losses(folder))
    result, _ = journey.train(journey.open_project(folder), resume=True)
    assert len(losses(folder)) == result.steps > before
    events = next(folder.glob(".tunewright/runs/*/events.jsonl"))
    scored = {e["step"]: e["score"] for e in read_lines(events) if e["type"] == "validation"}
    assert set(scored) == {before, result.steps} and None not in scored.values()


def test_ctrl_c_while_the_validation_loss_is_computed_waits_for_one_micro_batch_and_the_run_goes_on(
    cli, folder, monkeypatch, tmp_path_factory
):
    from tunewright.train.step import Computer

    read, real = [], Computer.summed_loss

    def summed_loss(self, batches):
        if list(folder.glob(".tunewright/runs/*/events.jsonl")) and losses(folder):
            read.append(batches)
            if len(read) == 1:
                os.kill(os.getpid(), signal.SIGINT)
        return real(self, batches)

    whole = tmp_path_factory.mktemp("whole")
    for name in ("rows.jsonl", "tunewright.yaml"):
        (whole / name).write_text((folder / name).read_text())
    settings = ("--set", "train.micro_batch_size=4", "--set", "train.epochs=2")
    monkeypatch.setattr(Computer, "summed_loss", summed_loss)
    stopped = cli("train", folder, *settings)
    assert stopped.code == 130 and "saved" in stopped.err and "--resume" in stopped.err, stopped.err
    assert len(read) == 1
    went_on = cli("train", folder, *settings, "--resume", "--json")
    assert went_on.code == 0, went_on.out
    assert len(read) > 3, "there was more than one micro-batch to stop after"
    assert cli("train", whole, *settings).code == 0
    assert losses(folder) == losses(whole)
    pairs = [next(where.glob(".tunewright/runs/*/adapter/*.safetensors")).read_bytes() for where in (folder, whole)]
    assert pairs[0] == pairs[1]


@pytest.mark.parametrize(
    ("note", "sets"),
    [
        ("general text", ("gates.forgetting=9",)),
        ("perplexity", ("suite.scorers=[choice, perplexity]",)),
    ],
)
def test_ctrl_c_while_perplexity_is_read_waits_for_one_batch_and_the_run_goes_on(cli, folder, monkeypatch, note, sets):
    from tunewright.cli.terminal import Terminal
    from tunewright.joins import workshop

    monkeypatch.setattr(workshop, "TorchEngine", partial(workshop.TorchEngine, batch_rows=4))
    told, real = [], Terminal.progress

    def progress(self, name, done, total, said=""):
        real(self, name, done, total, said)
        if name in ("evaluate", "forgetting") and said == note:
            told.append((done, total))
            if len(told) == 1:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Terminal, "progress", progress)
    settings = [word for one in ("train.epochs=1", *sets) for word in ("--set", one)]
    stopped = cli("run", folder, *settings)
    assert stopped.code == 130 and "--resume" in stopped.err, stopped.err
    ((done, total),) = told
    assert 0 < done < total
    run = next(folder.glob(".tunewright/runs/*"))
    kept = {(p["arm"], p["case"]): p["text"] for p in read_lines(run / "predictions.jsonl")}
    trained = (run / "train.json").read_bytes()
    went_on = cli("run", folder, "--resume", "--json")
    assert went_on.code in (0, 3), went_on.out
    assert went_on.document["run"] == run.name and (run / "train.json").read_bytes() == trained
    after = {(p["arm"], p["case"]): p["text"] for p in read_lines(run / "predictions.jsonl")}
    assert kept.items() <= after.items()
    assert told[-1] == (total, total)
