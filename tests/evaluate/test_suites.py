import json

import pytest

from tunewright.errors import DataError, RecipeError, ScorerError
from tunewright.evaluate import make_suite
from tunewright.recipe import SuiteSpec

from .conftest import example


def test_labels_become_choice_and_a_label_slice(tickets):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    assert suite.scorers == ("choice", "exact")
    assert suite.labels == ("billing", "delivery", "other", "refund")
    assert {c.slices["label"] for c in suite.cases} == set(suite.labels)
    assert suite.id == make_suite(tickets, SuiteSpec(), seed=9).id


def test_json_answers_become_json_fields_with_telling_slices():
    rows = [
        example(f"q {i}", json.dumps({"category": "ab"[i % 2], "order": i, "note": f"n{i}"}), f"r:{i}")
        for i in range(40)
    ]
    suite = make_suite(rows, SuiteSpec(), seed=0)
    assert suite.primary == "json_fields"
    assert suite.cases[0].slices == {"category": "a"}
    named = make_suite(rows, SuiteSpec(slices=("order",)), seed=0)
    assert named.cases[3].slices == {"order": "3"}


def test_numbers_and_prose_and_tool_calls_get_their_scorers():
    numbers = [example(f"q{i}", f"think\n#### {i}", f"r:{i}") for i in range(9)]
    assert make_suite(numbers, SuiteSpec(), seed=0).primary == "numeric"
    calls = [example(f"q{i}", '<tool_call>{"name": "f"}</tool_call>', f"r:{i}") for i in range(9)]
    assert make_suite(calls, SuiteSpec(), seed=0).primary == "tool_calls"


def test_cases_are_drawn_by_seed_and_kept_in_order(tickets):
    a, b = (make_suite(tickets, SuiteSpec(cases=10), seed=s) for s in (1, 2))
    assert len(a.cases) == len(b.cases) == 10
    assert [c.id for c in a.cases] != [c.id for c in b.cases]
    numbers = [int(c.id.split(":")[1]) for c in a.cases]
    assert numbers == sorted(numbers)


def test_nothing_held_out_and_synthetic_rows_are_refused(tickets):
    with pytest.raises(DataError, match="held out"):
        make_suite([], SuiteSpec(), seed=0)
    with pytest.raises(DataError, match="synthetic"):
        make_suite([*tickets, example("x", "billing", "m:1", synthetic=True)], SuiteSpec(), seed=0)


def test_a_scorer_or_slice_that_does_not_exist_is_refused(tickets):
    with pytest.raises(ScorerError):
        make_suite(tickets, SuiteSpec(scorers=("jason",)), seed=0)
    with pytest.raises(RecipeError, match="colour"):
        make_suite(tickets, SuiteSpec(slices=("colour",)), seed=0)


def test_a_file_of_cases(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text(
        '{"input": "hi", "expected": "hello", "slices": {"kind": "greeting"}}\n\n'
        '{"id": "two", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    )
    suite = make_suite(path, SuiteSpec(scorers=("exact",)), seed=0)
    assert [c.id for c in suite.cases] == ["cases.jsonl:1", "two"]
    assert suite.cases[0].slices == {"kind": "greeting"}
    assert suite.cases[1].expected == "b"


def test_a_file_of_cases_is_read_as_rows_are(tmp_path):
    call = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    tool = {"name": "f", "parameters": {}}
    path = tmp_path / "cases.jsonl"
    path.write_text(
        json.dumps({"messages": turns, "tools": json.dumps([tool])})
        + "\n"
        + json.dumps({"input": "b", "expected": {"k": 1}})
        + "\n"
        + json.dumps({"messages": [{"role": "developer", "content": "own"}, *turns]})
    )
    plain, pair, own = make_suite(path, SuiteSpec(scorers=("exact",)), seed=0, system="You route.").cases
    assert plain.messages == ({"role": "system", "content": "You route."}, {"role": "user", "content": "a"})
    assert plain.expected == '<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>'
    assert plain.tools == ({"type": "function", "function": tool},)
    assert pair.messages[0]["role"] == "system" and pair.expected == '{"k": 1}'
    assert [m["content"] for m in own.messages] == ["own", "a"]


def test_a_slice_may_be_called_as_the_answers_are(tickets):
    found = make_suite(tickets, SuiteSpec(slices=("kind",)), seed=0, output="kind")
    assert {c.slices["kind"] for c in found.cases} == {c.expected for c in found.cases}
    fields = [example(f"q{i}", json.dumps({"label": "ab"[i % 2], "order": i}), f"r:{i}") for i in range(40)]
    sliced = make_suite(fields, SuiteSpec(slices=("label",)), seed=0)
    assert {c.slices["label"] for c in sliced.cases} == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"messages": [{"content": "a"}, {"role": "assistant", "content": "b"}]}', "a turn without a role"),
        ('{"input": "a", "expected": "b", "tools": ["search"]}', "no list of objects"),
        ("", "no cases"),
        ("{", "broken JSON"),
        ("[1]", "not an object"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "no case"),
        ('{"id": 1, "input": "a", "expected": "b"}\n{"id": 1, "input": "a", "expected": "b"}', "twice"),
    ],
)
def test_a_bad_file_of_cases_says_where(tmp_path, text, says):
    path = tmp_path / "cases.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        make_suite(path, SuiteSpec(), seed=0)
    assert "cases.jsonl" in caught.value.where
    with pytest.raises(DataError, match="no such file"):
        make_suite(tmp_path / "none.jsonl", SuiteSpec(), seed=0)


def test_long_prose_is_scored_by_overlap():
    prose = " ".join(f"word{i}" for i in range(30))
    rows = [example(f"q{i}", f"{prose} {i}", f"r:{i}") for i in range(9)]
    assert make_suite(rows, SuiteSpec(), seed=0).primary == "rouge_l"


def test_cases_with_a_near_twin_in_training_are_a_slice_of_their_own(tickets):
    plain = make_suite(tickets, SuiteSpec(), seed=0)
    marked = make_suite(tickets, SuiteSpec(), seed=0, near={"t.jsonl:3", "train.jsonl:9"})
    twins = [c.id for c in marked.cases if c.slices["near a training row"] == "yes"]
    assert twins == ["t.jsonl:3"]
    assert [c.messages for c in marked.cases] == [c.messages for c in plain.cases]
    assert make_suite(tickets, SuiteSpec(), seed=0, near={"train.jsonl:9"}) == plain
