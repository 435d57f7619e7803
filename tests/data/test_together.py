"""Two looks that notice something of one kind are told as one finding, and nothing of either is lost."""

import json

from tunewright.data import audit
from tunewright.data.suites import Asked
from tunewright.data.together import one_a_code
from tunewright.recipe import DataSpec
from tunewright.records import Finding


def test_counts_rows_and_evidence_of_both_are_kept():
    one = Finding(
        code="leak_near", severity="warning", count=2, rows=("a:1", "b:1"), message="Two rows.", remedy="Look.",
        evidence={"train_rows": 2, "examples": [1, 2], "suites": {"x": 1}, "share": 0.5, "exact": True},
    )  # fmt: skip
    other = Finding(
        code="leak_near", severity="error", count=3, rows=("b:1", "c:1"), message="Three cases.", remedy="Look.",
        evidence={"train_rows": 1, "examples": [3], "suites": {"x": 2, "y": 4}, "share": 0.9, "groups": 7},
    )  # fmt: skip
    alone = Finding(code="pii", severity="warning", count=1, message="One.")
    found = one_a_code([one, alone, other])
    assert [f.code for f in found] == ["leak_near", "pii"] and found[1] == alone
    both = found[0]
    assert (both.severity, both.count, both.rows) == ("error", 5, ("a:1", "b:1", "c:1"))
    assert (both.message, both.remedy) == ("Two rows. Three cases.", "Look.")
    assert both.evidence == {
        "train_rows": 3, "examples": [1, 2, 3], "suites": {"x": 3, "y": 4}, "share": 0.5, "exact": True, "groups": 7,
    }  # fmt: skip
    assert one.evidence["suites"] == {"x": 1}, "what was merged is as it was"
    many = one_a_code([one.model_copy(update={"rows": tuple(f"r:{i}" for i in range(900))}), other, one])[0]
    assert len(many.rows) == 903 and many.count == 7


def test_a_leak_into_the_test_and_one_into_a_suite_are_one_finding(tmp_path):
    words = ["bread", "lamp", "chair", "kettle", "garden", "ribbon", "pencil", "blanket", "mirror"]
    questions = [f"What is the price of the {word} in the window, {i} of them?" for i, word in enumerate(words)]

    def write(name, asked):
        turns = [[{"role": "user", "content": q}, {"role": "assistant", "content": "Ten."}] for q in asked]
        (tmp_path / name).write_text("".join(json.dumps({"messages": t}) + "\n" for t in turns))

    write("train.jsonl", questions)
    write("test.jsonl", [questions[0], "Where is the door?"])
    asked = [Asked("suite.source (s.jsonl)", "s.jsonl:1", (questions[1],))]
    spec = DataSpec.model_validate({"train": "train.jsonl", "test": "test.jsonl"})
    result = audit(spec, root=tmp_path, store=tmp_path, asked=asked)
    (leak,) = [f for f in result.findings if f.code == "leak_exact"]
    assert leak.count == 2 and leak.evidence["train_rows"] == 2
    assert set(leak.rows) == {"test.jsonl:1", "train.jsonl:1", "s.jsonl:1", "train.jsonl:2"}
    assert leak.evidence["suites"] == {"suite.source (s.jsonl)": 1} and len(leak.evidence["examples"]) == 2
    assert "test row asks" in leak.message and "case asks" in leak.message
    assert result.dataset.ledger.set_aside["leak_exact"] == 2
