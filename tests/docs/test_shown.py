"""The page of projects is made from what their runs wrote, and from nothing else."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tunewright.records import ArmScore, DatasetRecord, Evaluation, Gate, Ledger, RunRecord, Verdict

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def maker(monkeypatch):
    spec = importlib.util.spec_from_file_location("make_shown", DOCS / "make_shown.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arm(name: str, score: float) -> ArmScore:
    return ArmScore(name=name, score=score, low=score - 0.05, high=score + 0.05, cases=240, seconds=0.021)


def a_project(root: Path) -> None:
    run = root / ".tunewright/runs/r1"
    data = root / ".tunewright/datasets/d1"
    for folder in (run, data):
        folder.mkdir(parents=True)
    (root / "tunewright.yaml").write_text(
        "model: seedling\ntask: Name it\ndata: {train: [../far/a.jsonl], test: b.csv}\n"
    )
    record = RunRecord(
        id="r1", created="2026-11-25T10:00:00Z", recipe={}, overrides=("train.epochs=1",), dataset="d1",
        resolved={"effective_batch_size": 16}, base="seedling", base_sha256="0", renderer="0", versions={},
    )  # fmt: skip
    verdict = Verdict(
        decision="do_not_ship", against="classifier", difference=-0.258, low=-0.3, high=-0.21, p=0.001, reason="worse"
    )
    gate = Gate(name="cheaper_means", ok=False, message="a classifier does as well.")
    outcome = Evaluation(arms=(arm("classifier", 0.888), arm("tuned", 0.63)), verdict=verdict, gates=(gate,))
    ledger = Ledger(read=420, kept=412, set_aside={"exact_duplicate": 8})
    dataset = DatasetRecord(id="d1", sources=(), ledger=ledger, splits={"train": 330, "validation": 41, "test": 41})
    refused = {
        "kind": "safe",
        "cases": 250,
        "before": 0.03,
        "after": 0.0,
        "rise": -0.03,
        "rise_low": -0.05,
        "rise_high": -0.01,
    }
    for path, record_ in (
        (run / "run.json", record),
        (run / "outcome.json", outcome),
        (data / "dataset.json", dataset),
    ):
        path.write_text(record_.model_dump_json())
    (run / "train.json").write_text(json.dumps({"seconds": 329.4, "steps": 280}))
    (run / "trials.json").write_text(json.dumps({"refusals": [refused]}))


def test_every_number_of_a_project_is_its_runs(maker, tmp_path, monkeypatch):
    a_project(tmp_path / "bank")
    (tmp_path / "not one").mkdir()
    page = tmp_path / "page.md"
    page.write_text(f"before\n{maker.MARKS[0]}\nold\n{maker.MARKS[1]}\nafter\n")
    monkeypatch.setattr(sys, "argv", ["make_shown.py", str(tmp_path), "--on", "one core", "--page", str(page)])
    maker.main()
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    for words in (
        "| bank | 412 of 420 | TF-IDF + logistic regression 88.8 % [83.8, 93.8] | **63.0 % [58.0, 68.0]** |",
        "| −25.8 [−30.0, −21.0] | 5 m 29 s | do not ship | 3 |",
        "tunewright init bank --data a.jsonl --test b.csv --task 'Name it'\ntunewright run bank --set train.epochs=1\n",
        "280 steps of 16.",
        "| **tuned** | 63.0 % | 58.0 to 68.0 | 240 | 0.021 |",
        "Gate `cheaper_means`: a classifier does as well.",
        "Refused of 250 safe prompts: 3.0 % → 0.0 %, −3.0 [−5.0, −1.0] points.",
        "Run on 2026-11-25, one core;",
    ):
        assert words in text
    maker.main()
    assert page.read_text() == text
    with pytest.raises(SystemExit, match="no project"):
        maker.shown(tmp_path / "not one", "one core")


def test_the_page_has_its_marks(maker):
    begin, end = maker.MARKS
    assert (DOCS / "shown.md").read_text().count(begin) == (DOCS / "shown.md").read_text().count(end) == 1
