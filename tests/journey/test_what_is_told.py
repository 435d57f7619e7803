"""What a journey says on its way: what tuning must beat, what computes, and what a server was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from tests.command_line import colours
from tunewright import advising, journey, models
from tunewright.joins import answering, trained, workshop
from tunewright.joins.telling import Silent
from tunewright.project import RunFolder
from tunewright.store import read_json


class Told(Silent):
    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        found = self.lines[name] = []
        yield found


def test_the_server_is_asked_with_the_prompt_that_was_chosen_unless_the_plain_one_is_wanted(
    project, scripted, monkeypatch
):
    scripted.say = lambda text: "red"
    ways = answering.prompt_variants
    monkeypatch.setattr(answering, "prompt_variants", lambda *given, **more: ways(*given, **more)[-1:])
    server = f"external: {{url: '{scripted.url}', model: big"
    folder = project(
        colours(60),
        'task: "Name a colour"\ngates: {suite_size: 4}\nsuite: {cases: 6}\n'
        f"arms: [base, {{prompted: {{instructions: [One lower-case word.]}}}}, {{{server}}}}}]\n",
    )
    told = Told()
    opened = journey.open_project(folder, tell=told)
    run = workshop.begin_run(opened)
    found = journey.baseline(opened, run)
    assert len(scripted.asked) == 6
    assert all("One lower-case word." in str(body["messages"]) for body in scripted.asked)
    assert any("tuning must beat that" in line for line in told.lines["baseline"])
    assert read_json(run.outcome)["hurdle"]["arm"] == found.hurdle.arm
    recipe = folder / "tunewright.yaml"
    recipe.write_text(recipe.read_text().replace("model: big", "model: big, prompt: plain"))
    scripted.asked.clear()
    plain = journey.open_project(folder)
    journey.baseline(plain, workshop.begin_run(plain))
    assert len(scripted.asked) == 6
    assert not any("One lower-case word." in str(body["messages"]) for body in scripted.asked)


def test_cores_that_do_not_compute_are_not_claimed(project, monkeypatch):
    opened = journey.open_project(project())
    opened.__dict__["device"] = "cpu"
    monkeypatch.setattr(workshop.psutil, "cpu_count", lambda: 2)
    for threads, words in ((1, "1 of 2 CPU cores"), (2, "2 CPU cores")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert opened.machine_words == words


def test_rows_that_could_not_be_packed_are_told_with_the_reason(tmp_path):
    start = {"type": "start", "layout": "forest by modules", "refused": ["forest by fused: all weights move"]}
    (tmp_path / "events.jsonl").write_text(json.dumps(start) + "\n")
    assert trained.words(RunFolder(tmp_path)) == []
    start |= {
        "layout": "padded by modules",
        "refused": [*start["refused"], "forest by modules: attention drops scores"],
    }
    (tmp_path / "events.jsonl").write_text(json.dumps(start) + "\n")
    (line,) = trained.words(RunFolder(tmp_path))
    assert line == "rows are padded, not packed, which is slower: attention drops scores"


def test_the_plan_says_what_dropout_costs_beside_itself(project):
    rows = [
        {"messages": [{"role": "system", "content": "You name colours. " * 20}, *r["messages"]]} for r in colours(60)
    ]
    folder = project(rows, "gates: {suite_size: 4}\n")
    plain, dropping = (
        advising.plan_of(journey.open_project(folder, ["train.effective_batch_size=8", f"train.dropout={rate}"]))
        for rate in (0, 0.1)
    )
    assert [r["option"] for r in plain.rejected] == ["qlora", "full"]
    assert [r["option"] for r in dropping.rejected] == ["qlora", "full", "shared prefixes"]
    times = float(dropping.rejected[-1]["why"].partition(" times the tokens")[0].rpartition(" ")[2])
    # Eight rows of a hundred shared tokens and a few of their own.
    assert 3 < times < 8
    # It takes longer, too, if not so much: what a layer takes in any step is the same.
    assert 1.3 < dropping.hours["expected"] / plain.hours["expected"] < 1.5 * times


def test_on_a_gpu_the_plan_goes_by_what_the_loop_gives_itself(project, monkeypatch):
    """A step is more than is free, and is computed in parts that are not."""
    opened = journey.open_project(project(colours(400)), ["train.effective_batch_size=64"])
    opened.__dict__["device"] = "cpu"
    free = advising.plan_of(opened).memory_gb["weights"] + 0.6
    opened.__dict__["device"] = "cuda"
    monkeypatch.setattr(advising, "_free_gb", lambda project: free)
    monkeypatch.setattr(models.probe, "rate", lambda *asked: 100.0)
    plan = advising.plan_of(opened)
    assert plan.heaviest in ("trial", "step")
    assert plan.fits and plan.memory_gb["high"] <= plan.free_gb + 1e-3
    monkeypatch.setattr(advising, "_free_gb", lambda project: plan.memory_gb["weights"])
    less = advising.plan_of(opened)
    assert less.memory_gb["low"] > less.free_gb and less.advice.outcome == "postpone"


def test_what_is_free_is_what_a_container_leaves_and_what_pytorch_holds_unused(project, monkeypatch):
    opened = journey.open_project(project())
    opened.__dict__["device"] = "cpu"
    base = models.quantised.bytes_of(opened.base.model)
    monkeypatch.setattr(advising, "free_memory", lambda: 10**9)
    assert advising._free_gb(opened) == pytest.approx(1 + base / 1e9)
    opened.__dict__["device"] = "cuda"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10 * 10**9, 80 * 10**9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 50 * 10**9)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 20 * 10**9)
    assert advising._free_gb(opened) == pytest.approx(40 + base / 1e9)
