"""Logs of other tools: lm-evaluation-harness samples in, Inspect logs out."""

import json

import pytest

from tunewright import journey
from tunewright.errors import DataError
from tunewright.exchange import inspect_log, read_samples
from tunewright.joins import stages
from tunewright.joins.workshop import begin_run
from tunewright.records import ArmScore, Case, Prediction, Suite
from tunewright.store import write_json, write_text


def sample(i, right, said="7", filter="strict-match", **more):
    """A line as the harness writes it for a generating task with two filters."""
    return {
        "doc_id": i, "doc": {"question": f"q{i}"}, "target": "#### 7",
        "arguments": {"gen_args_0": {"arg_0": f"Question: q{i}\nAnswer:", "arg_1": {"until": ["Question:"]}}},
        "resps": [[f"it is {said}"]], "filtered_resps": [said], "filter": filter, "metrics": ["exact_match"],
        "doc_hash": f"h{i}", "prompt_hash": "p", "target_hash": "t", "exact_match": float(right), **more,
    }  # fmt: skip


@pytest.fixture
def log(tmp_path):
    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        return path

    return write


def test_two_logs_are_compared_case_by_case(cli, log):
    tuned = log("samples_a.jsonl", [sample(i, i < 70, filter=f) for i in range(100) for f in ("strict-match", "flex")])
    base = log("samples_b.jsonl", [sample(i, i < 40, filter=f) for i in range(100) for f in ("strict-match", "flex")])
    ran = cli("exchange", "harness", tuned, base, "--json")
    assert ran.code == 0, ran.err
    found = ran.document
    assert found["metric"] == "exact_match" and found["filter"] == "strict-match"
    assert found["verdict"]["difference"] == pytest.approx(0.3) and found["verdict"]["decision"] == "ship"
    assert {a["name"]: (a["score"], a["cases"]) for a in found["arms"]} == {"base": (0.4, 100), "tuned": (0.7, 100)}
    swapped = cli("exchange", "harness", base, tuned, "--filter", "flex")
    assert swapped.code == 3 and "Do not ship" in swapped.out


def test_what_a_sample_says(log):
    read = read_samples(log("s.jsonl", [sample(3, True, "7")]), arm="base")
    case, answer = read.suite.cases[0], read.predictions[0]
    assert case.messages[0]["content"] == "Question: q3\nAnswer:" and case.expected == "#### 7"
    assert (answer.text, answer.score, answer.case) == ("7", 1.0, "3")
    choice = {
        "doc_id": 0, "doc": {}, "target": 1, "arguments": [["p", " no"], ["p", " yes"]], "filter": "none",
        "resps": [[["-3.5", "False"]], [["-1.25", "False"]]], "filtered_resps": [["-3.5", "False"], ["-1.25", "False"]],
        "metrics": ["acc", "perplexity"], "acc": 1.0, "perplexity": 12.0,
    }  # fmt: skip
    read = read_samples(log("c.jsonl", [choice]), arm="base")
    assert (read.predictions[0].text, read.metric, read.suite.cases[0].expected) == ("1", "acc", "1")


def test_mistakes_are_told(cli, log):
    good = log("good.jsonl", [sample(i, 1) for i in range(3)])
    other = log("other.jsonl", [sample(i, 1, doc_hash="x") for i in range(3)])
    for arguments, says in (
        ((good, other), "3 cases differ"),
        ((good, good, "--filter", "flex"), "Filters: strict-match"),
        ((good, good, "--metric", "f1"), "good.jsonl:1"),
        ((log("rows.jsonl", [{"prompt": "x"}]), good), "--log_samples"),
        ((good.parent / "none.jsonl", good), "no such file"),
    ):
        ran = cli("exchange", "harness", *arguments)
        assert ran.code == 2 and says in ran.err, (arguments, ran.err)
    with pytest.raises(DataError, match="lies from 0 to 1"):
        read_samples(log("p.jsonl", [sample(0, 2)]), arm="a", metric="exact_match")


def test_a_run_becomes_inspect_logs(cli, project, tmp_path):
    folder = project(recipe="arms: [base]\n")
    opened = journey.open_project(folder)
    run = begin_run(opened)
    lines = [
        Prediction(case=c.id, arm="base", text=c.expected, score=1.0, seconds=0.5, scores=dict.fromkeys(
            opened.suite.scorers, 1.0)).model_dump_json() for c in opened.suite.cases
    ]  # fmt: skip
    write_text(run.predictions, "\n".join(lines) + "\n")
    write_json(run.outcome, stages.decided(opened, stages.stored(run)).model_dump(mode="json"))
    ran = cli("exchange", "inspect", "--project", folder, "--out", tmp_path / "logs", "--json")
    assert ran.code == 0, ran.err
    path = ran.document["logs"][0]
    with open(path) as file:
        log = json.load(file)
    assert log["version"] == 2 and log["status"] == "success" and len(log["samples"]) == len(opened.suite.cases)
    first = log["samples"][0]
    assert first["output"]["completion"] == first["target"] and first["input"][0]["role"] == "user"
    assert log["results"]["scores"][0]["metrics"]["mean"]["value"] == 1.0
    inspect_ai = pytest.importorskip("inspect_ai.log")
    assert inspect_ai.read_eval_log(path).samples[0].output.completion == first["target"]


def test_a_failed_scorer_has_no_value():
    case = Case(id="c", messages=({"role": "user", "content": "q"},), expected="x")
    suite = Suite(id="s", cases=(case,), scorers=("numeric",), primary="numeric")
    failed = Prediction(case="c", arm="base", text="y", score=None, seconds=0, scores={"numeric": None}, error="no")
    arm = ArmScore(name="base", score=0, low=0, high=1, cases=0, seconds=0)
    made = inspect_log(suite, [failed], arm, task="t", model="m", run="r", created="2026-01-01T00:00:00+00:00")
    assert made["results"]["scores"] == [] and made["samples"][0]["scores"]["numeric"]["explanation"] == "no"
