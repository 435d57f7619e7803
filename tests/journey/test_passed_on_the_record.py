"""A gate that somebody passed stays passed in that run, with the reason, whenever the run is taken up again."""

from __future__ import annotations

import json

import pytest

from tests.command_line import colours, typed
from tests.report.pages import Page
from tunewright import journey
from tunewright.errors import Interrupted
from tunewright.records import RunRecord
from tunewright.store import read_json, write_json

# Sixteen cases: fewer than the gate wants.
SMALL = ("data.split.folds=0", "train.epochs=2")


@pytest.fixture
def folder(project):
    return project(colours(40), "arms: [base, tuned]\n")


def gate(ran, name: str) -> dict:
    return next(g for g in ran.document["gates"] if g["name"] == name)


def record(folder) -> RunRecord:
    return read_json(next(folder.glob(".tunewright/runs/*/run.json")), RunRecord)


def test_a_run_with_a_gate_passed_goes_on_with_the_printed_command(cli, folder):
    def training() -> bool:
        return any(folder.glob(".tunewright/runs/*/events.jsonl"))

    allow = {"suite_size": "a pilot"}
    with pytest.raises(Interrupted) as stopped:
        journey.run(journey.open_project(folder, SMALL, allow=allow, strict=True, should_stop=training))
    assert not list(folder.glob(".tunewright/runs/*/train.json"))
    went_on = cli(*typed(stopped.value.remedy), "--json")
    assert went_on.document["run"] == record(folder).id, went_on.err
    assert gate(went_on, "suite_size")["allowed_because"] == "a pilot"
    assert gate(went_on, "strict")["ok"] and gate(went_on, "parity")["ok"]
    assert "a pilot" in Page((folder / "report.html").read_text()).text


def test_evaluating_again_keeps_the_reason_and_a_new_one_takes_its_place(cli, folder):
    sets = [word for setting in SMALL for word in ("--set", setting)]
    trained = cli("train", folder, *sets, "--allow", "suite_size", "--because", "a pilot", "--strict")
    assert trained.code == 0, trained.out + trained.err
    assert (record(folder).allow, record(folder).strict) == ({"suite_size": "a pilot"}, True)
    again = ("evaluate", "--project", folder, "--json")
    first = cli(*again)
    assert gate(first, "suite_size")["allowed_because"] == "a pilot" and gate(first, "strict")["ok"]

    other = cli(*again, "--allow", "suite_size", "--because", "all there is")
    assert gate(other, "suite_size")["allowed_because"] == "all there is"
    assert gate(cli(*again), "suite_size")["allowed_because"] == "all there is"
    outcome = json.loads(next(folder.glob(".tunewright/runs/*/outcome.json")).read_text())
    assert "all there is" in {g["allowed_because"] for g in outcome["gates"]}
    assert "all there is" in Page((folder / "report.html").read_text()).text

    # A run of an earlier release, whose record does not know of gates passed.
    path = next(folder.glob(".tunewright/runs/*/run.json"))
    write_json(path, {k: v for k, v in read_json(path).items() if k not in ("allow", "strict")})
    bare = cli(*again)
    assert bare.code == 3 and gate(bare, "suite_size")["allowed_because"] is None
    assert "strict" not in {g["name"] for g in bare.document["gates"]}
