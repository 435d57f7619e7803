"""Rows as services and data sets spell them: read as they are meant, and nothing of them lost without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tunewright.data import convert, load, recognise
from tunewright.errors import DataError
from tunewright.records import Example, Message

from .helpers import jsonl, run

Q, A, S = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}, {"role": "system", "content": "S."}
ASKED = (Message("user", "Q"), Message("assistant", "A"))
TOLD = (Message("system", "S."), *ASKED)
CALL = Message("assistant", "", ({"name": "f", "arguments": {"x": 1}},))
CALLED = (Message("user", "Q"), CALL, Message("tool", "1"), Message("assistant", "A"))
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}


def first(root: Path, row: Any) -> Example:
    """The first row of a file of such rows, as it is trained."""
    jsonl(root / "train.jsonl", [row] * 3)
    return load(run(root, split={"test": 0, "validation": 0}).path, "train")[0]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"system": "S.", "messages": [Q, A]}, TOLD),
        ({"system": [{"text": "S."}], "messages": [{**Q, "content": [{"text": "Q"}]}, A]}, TOLD),
        ({"messages": [{**Q, "role": "User"}, {**A, "role": "Chatbot"}]}, ASKED),
        ({"messages": [{"role": "USER", "message": "Q"}, {"role": "model", "content": "A"}]}, ASKED),
        ({"conversations": [{"role": "human", "value": "Q"}, {"role": "gpt", "value": "A"}]}, ASKED),
        ({"conversation": [{"input": "Q", "output": "A"}]}, ASKED),
        ({"conversation": [{"system": "S.", "human": "Q", "assistant": "A"}]}, TOLD),
        ({"messages": json.dumps([Q, A])}, ASKED),
        ({"messages": str([Q, A])}, ASKED),
        ({"prompt": [S, Q], "completion": [A]}, TOLD),
        ({"prompt": [S, Q], "chosen": [A], "rejected": [Q]}, TOLD),
        ({"system": "S.", "question": "Q", "chosen": "A", "rejected": "B"}, TOLD),
        ({"input": {"messages": [S, Q]}, "preferred_output": [A], "non_preferred_output": [Q]}, TOLD),
        (
            {
                "conversations": [{"from": "human", "value": "Q"}],
                "chosen": {"from": "gpt", "value": "A"},
                "rejected": {"from": "gpt", "value": "B"},
            },
            ASKED,
        ),
        ({"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"}, ASKED),
        ({"system_prompt": "S.", "question": "Q", "response": "A"}, TOLD),
        ({"system": "S.", "Prompt": "Q", "Response": "A"}, TOLD),
        ({"text": "### Human: Q### Assistant: A"}, ASKED),
        ({"text": "<s>[INST] <<SYS>>S.<</SYS>> Q [/INST] A </s>"}, TOLD),
        ({"text": "<|im_start|>system\nS.<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA"}, TOLD),
        ({"text": "<bos><start_of_turn>user\nQ<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"}, ASKED),
        ({"text": "<|system|>\nS.</s>\n<|user|>\nQ</s>\n<|assistant|>\nA</s>"}, TOLD),
        (
            {
                "text": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS.<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
            },
            TOLD,
        ),
        ({"text": "S.\n\n### Instruction:\nQ\n\n### Response:\nA"}, TOLD),
        ({"system": "SYSTEM: S.", "chat": "USER: Q\n\n\nASSISTANT: A <|endoftext|>\n\n\n"}, TOLD),
        ({"instruction": "Q", "context": "C", "response": "A"}, (Message("user", "Q\n\nC"), ASKED[1])),
        ({"Frage": "Q", "Antwort": "A", "Kategorie": "k"}, ASKED),
        ({"email": "Q", "reply": "A"}, ASKED),
        ({"question": "Q", "contexts": ["C", "D"], "answer": "A"}, (Message("user", "Q\n\nC\n\nD"), ASKED[1])),
        (
            {"question": "Q", "context": "C", "answers": {"text": ["A", "A"], "answer_start": [0, 0]}},
            (Message("user", "Q\n\nC"), ASKED[1]),
        ),
        ({"message": "Q", "chat_history": [], "preamble": "S.", "response": "A"}, TOLD),
        ({"messages": [Q], "response": "A"}, ASKED),
        ({"messages": [Q], "choices": [{"message": A}]}, ASKED),
        ({"request": {"system": "S.", "messages": [Q]}, "response": {"choices": [{"message": A}]}}, TOLD),
        ({"inputs": {"messages": [S, Q]}, "outputs": {"message": A}}, TOLD),
        ({"input": json.dumps({"messages": [Q]}), "output": json.dumps(A)}, ASKED),
        ({"inputs": json.dumps({"question": "Q"}), "outputs": {"answer": "A"}}, ASKED),
        ({"prompt": {"text": "Q"}, "response": {"text": "A"}}, ASKED),
        ({"text": "Q", "labels": ["a", "b"]}, (ASKED[0], Message("assistant", '["a", "b"]'))),
        ({"prompt": "Q", "completion": {"role": "admin"}}, (ASKED[0], Message("assistant", '{"role": "admin"}'))),
    ],
)
def test_rows_are_read_as_they_are_meant(tmp_path: Path, row: Any, wanted: tuple[Message, ...]) -> None:
    assert first(tmp_path, row).messages == wanted


@pytest.mark.parametrize(
    "row",
    [
        {
            "tools": [{"name": "f", "input_schema": SCHEMA}],
            "messages": [
                Q,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "1"}]},
                A,
            ],
        },
        {
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}],
            "contents": [
                {"role": "user", "parts": [{"text": "Q"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": 1}}]},
                {"role": "model", "parts": [{"text": "A"}]},
            ],
        },
    ],
    ids=["anthropic", "gemini"],
)
def test_calls_and_results_within_a_turn(tmp_path: Path, row: Any) -> None:
    example = first(tmp_path, row)
    assert example.messages == CALLED
    assert example.tools == (TOOL,)


def test_turns_have_the_keys_of_all_in_parquet(tmp_path: Path) -> None:
    call = {"type": "tool_use", "name": "f", "input": {"x": 1}}
    turns = [
        {"role": None, "from": "human", "content": None, "value": "Q"},
        {"role": "assistant", "content": [{"type": "text", "text": "A", "functionCall": None}, call]},
        {"role": "user", "content": [{"type": "tool_result", "content": "1", "response": None}]},
        {"role": None, "from": "gpt", "content": None, "value": "A"},
    ]
    wanted = (Message("user", "Q"), Message("assistant", "A", CALL.tool_calls), *CALLED[2:])
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{"messages": turns[:1] + turns[3:]}] * 3), tmp_path / "a.parquet"
    )
    assert load(run(tmp_path, "a.parquet", split={"test": 0, "validation": 0}).path, "train")[0].messages == ASKED
    assert first(tmp_path, {"messages": turns}).messages == wanted


def test_calls_beside_a_question(tmp_path: Path) -> None:
    calls, tools = json.dumps([{"name": "f", "arguments": {"x": 1}}]), json.dumps([TOOL["function"]])
    example = first(tmp_path, {"query": "Q", "answers": calls, "tools": tools})
    assert (example.messages, example.tools) == ((Message("user", "Q"), CALL), (TOOL,))
    assert first(tmp_path, {"query": "Q", "answer": "A", "tools": "hammer, saw"}).messages == ASKED


def test_an_answer_of_weight_0_is_read_and_not_learned(tmp_path: Path) -> None:
    wrong = {"role": "assistant", "content": "wrong", "weight": 0}
    example = first(tmp_path, {"messages": [Q, wrong, Q, {**A, "weight": 1}]})
    assert [m.learned for m in example.messages] == [True, False, True, True]
    assert next(convert([example], "messages"))["messages"][1] == wrong
    assert next(convert([example] * 10, "openai"))["messages"][1] == wrong
    # Behind the last answer that is learned nothing teaches.
    assert first(tmp_path, {"messages": [Q, A, Q, wrong]}).messages == ASKED
    jsonl(tmp_path / "train.jsonl", [{"messages": [Q, A]}, {"messages": [Q, {**wrong, "train": False}]}])
    assert run(tmp_path).dataset.ledger.set_aside == {"empty_output": 1}


def test_an_answer_that_declines_is_an_answer(tmp_path: Path) -> None:
    no = (ASKED[0], Message("assistant", "I will not"))
    assert (
        first(tmp_path, {"messages": [Q, {"role": "assistant", "content": None, "refusal": "I will not"}]}).messages
        == no
    )
    parts = [{"type": "refusal", "refusal": "I will not"}]
    assert first(tmp_path, {"messages": [Q, {"role": "assistant", "content": parts}]}).messages == no
    assert first(tmp_path, {"messages": [Q, {**A, "refusal": None}]}).messages == ASKED


def test_labels_in_lists_and_in_words(tmp_path: Path) -> None:
    rows: list[Any] = [{"text": f"This is it {i}", "label": [["x", "y"][i % 2]]} for i in range(20)]
    jsonl(tmp_path / "train.jsonl", rows)
    assert run(tmp_path).dataset.labels == ("x", "y")
    rows = [{"text": f"This is it {i}", "label": i % 2, "label_text": ["x", "y"][i % 2]} for i in range(20)]
    assert recognise(jsonl(tmp_path / "train.jsonl", rows)).output == "label_text"
    rows = [{"premise": f"P {i}", "hypothesis": f"H {i}", "label": i % 2} for i in range(20)]
    reading = recognise(jsonl(tmp_path / "train.jsonl", rows))
    assert (reading.input, reading.context, reading.output) == ("premise", "hypothesis", "label")


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    rows: list[Any] = [{"question": "Q", "answer": "A", "id": "a-1", "thought": f"I think it is {i}"} for i in range(9)]
    assert recognise(jsonl(tmp_path / "a.jsonl", rows)).reason.endswith("; not read: `thought`")
    rows = [{"messages": [Q, {**A, "reasoning_content": "Now let me see"}]}] * 9
    assert recognise(jsonl(tmp_path / "a.jsonl", rows)).reason.endswith("; not read: `messages.reasoning_content`")
    rows = [{"prompt": "Q", "completion": "A", "meta": {"note": "says a word"}, "log": [{"by": "Ann and Bob too"}]}] * 9
    assert recognise(jsonl(tmp_path / "a.jsonl", rows)).not_read == ("log", "meta.note")


def test_what_was_said_before_goes_before(tmp_path: Path) -> None:
    wanted = (Message("user", "P"), Message("assistant", "B"), *ASKED)
    turns = [{"role": "USER", "message": "P"}, {"role": "CHATBOT", "message": "B"}]
    for earlier in (turns, json.dumps(turns), [["P", "B"]]):
        row = {"message": "Q", "chat_history": earlier, "response": "A"}
        assert first(tmp_path, row).messages == wanted
        assert "`chat_history` goes before the question" in recognise(tmp_path / "train.jsonl").reason
    row = {"message": "Q", "chat_history": "they had said hello", "response": "A"}
    assert recognise(jsonl(tmp_path / "a.jsonl", [row] * 3)).not_read == ("chat_history",)


def test_of_a_tree_the_best_ranked_replies_are_learnt(tmp_path: Path) -> None:
    again = {"role": "prompter", "text": "more", "replies": []}
    best = {"role": "assistant", "text": "A", "rank": 0, "replies": [again]}
    tree = {"role": "prompter", "text": "Q", "replies": [{**best, "text": "B", "rank": 1}, best]}
    row = {"message_tree_id": "x", "tree_state": "ready_for_export", "prompt": tree}
    assert first(tmp_path, row).messages == ASKED
    assert "best-ranked replies are learnt" in recognise(tmp_path / "train.jsonl").reason


def test_one_turn_a_row_is_no_example(tmp_path: Path) -> None:
    for who, thread in ((("prompter", "assistant"), "parent_id"), (("User", "Bot"), "conversation_id")):
        rows = [{thread: f"m{i // 2}", "role": who[i % 2], "text": f"This is said {i}"} for i in range(30)]
        with pytest.raises(DataError, match=f"one turn a row: `role` says who speaks, `{thread}`") as caught:
            recognise(jsonl(tmp_path / "a.jsonl", rows))
        assert '"messages"' in caught.value.remedy
    parts = [{"body": f"It is on its way {i}", "author": {"type": "admin"}} for i in range(2)]
    rows = [{"id": f"a{i}", "source": {"body": f"Where is it {i}?"}, "parts": {"list": parts}} for i in range(9)]
    with pytest.raises(DataError, match="no shape fits") as caught:
        recognise(jsonl(tmp_path / "a.jsonl", rows))
    assert "`parts.list` is not told apart by who speaks" in caught.value.remedy


def test_what_people_thought_of_an_answer_is_said_to_be_passed_over(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i}?", "response": f"It is {i}.", "rating": i % 5} for i in range(9)]
    assert recognise(jsonl(tmp_path / "a.jsonl", rows)).not_read == ("rating",)
    slots = [{"utterance": f"Play {i}", "intent": "play", "slots": {"song": "x"}, "meta": {"n": 1}} for i in range(9)]
    assert recognise(jsonl(tmp_path / "a.jsonl", slots)).not_read == ("slots",), "half of the answer, perhaps"


def test_answers_that_are_lists_are_said_to_be_learnt_as_json(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i}?", "answers": [f"It is {i}.", "This."]} for i in range(9)]
    assert "`answers`, learnt as JSON where it is a list" in recognise(jsonl(tmp_path / "a.jsonl", rows)).reason


def test_one_side_of_a_batch_is_no_example(tmp_path: Path) -> None:
    """Requests alone would teach a model to say what it was asked."""
    turns = [[{"role": "user", "content": f"What is {i}?"}] for i in range(9)]
    asked = [{"custom_id": f"r{i}", "body": {"model": "m", "messages": given}} for i, given in enumerate(turns)]
    reading = recognise(jsonl(tmp_path / "a.jsonl", asked))
    assert (reading.turns, reading.output) == ("body.messages", "")
    replies = [
        {"custom_id": f"r{i}", "response": {"body": {"choices": [{"message": {"content": f"It is {i}."}}]}}}
        for i in range(9)
    ]
    with pytest.raises(DataError, match="no shape fits") as caught:
        recognise(jsonl(tmp_path / "a.jsonl", replies))
    assert "tunewright data convert RESULTS --requests REQUESTS" in caught.value.remedy


def test_a_system_of_short_words_is_no_prompt(tmp_path: Path) -> None:
    rows = [{"system": ["linux", "mac"][i % 2], "question": f"Which is {i}?", "answer": f"It is {i}"} for i in range(9)]
    reading = recognise(jsonl(tmp_path / "a.jsonl", rows))
    assert reading.system == "" and "`system` is not read: its words are no prompts" in reading.reason
    named = [{**row, "system_prompt": row["system"]} for row in rows]
    assert recognise(jsonl(tmp_path / "a.jsonl", named)).system == "system_prompt"


def test_many_columns_are_told_in_short(tmp_path: Path) -> None:
    many = {f"col_{k}": f"some words of {k}" for k in range(300)}
    wide = [{name: f"{said} in {i}" for name, said in many.items()} for i in range(9)]
    with pytest.raises(DataError, match=r"300 hold text: `col_0`, .*`col_7` and 292 more\.") as caught:
        recognise(jsonl(tmp_path / "a.jsonl", wide))
    with pytest.raises(DataError) as caught:
        recognise(tmp_path / "a.jsonl", input="col_1x", output="col_2")
    assert caught.value.remedy.startswith("Did you mean `col_1`?") and len(caught.value.remedy) < 200
    rows = [{"prompt": "Q", "completion": "A", **row} for row in wide]
    reading = recognise(jsonl(tmp_path / "a.jsonl", rows))
    assert reading.reason.endswith("`col_7` and 292 more") and len(reading.not_read) == 300


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "Q", "completion": "A", "label": False}, "`label` says of each row whether it is wanted"),
        ({"text": "Q", "label": "x", "answer": "reject"}, "`answer` says of each row whether it is wanted"),
        ({"question": "Q", "choices": ["a", "b"], "answer": 1}, "`answer` names one of the `choices`"),
        ({"question": "Q", "A": "one", "B": "two", "answer": "A"}, "`answer` names one of the `A`, `B`, which"),
        ({"question": "Q", "option_1": "one", "option_2": "two", "answer": "2"}, "one of the `option_1`, `option_2`,"),
    ],
)
def test_answers_that_nobody_wants_are_refused(tmp_path: Path, row: Any, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        recognise(jsonl(tmp_path / "a.jsonl", [row] * 9))
    assert caught.value.exit_code == 2
    if "--input" in caught.value.remedy:
        flags = caught.value.remedy.split()
        names = [flags[flags.index(flag) + 1].rstrip(".") for flag in ("--input", "--output")]
        assert recognise(tmp_path / "a.jsonl", input=names[0], output=names[1]).output == names[1]


def test_keys_and_writers_are_neither_texts_nor_labels(tmp_path: Path) -> None:
    keys: list[Any] = [{"type": "conversation", "id": f"c{i}", "at": f"2024-01-0{i} 10:00"} for i in range(9)]
    posts = [{"type": "post", "user": f"U{i % 3}", "said": f"Good day for once {i}"} for i in range(30)]
    for rows in (keys, posts):
        with pytest.raises(DataError, match="no shape fits"):
            recognise(jsonl(tmp_path / "a.jsonl", rows))


def test_a_table_without_names_loses_no_row(tmp_path: Path) -> None:
    for line in ("{i},Where is parcel number {i} now?,They are on the way {i}", "{k},Short,It is a longer text {i}"):
        text = "".join(line.format(i=i, k=i % 3) + "\n" for i in range(30))
        (tmp_path / "a.csv").write_text(text, "utf-8")
        with pytest.raises(DataError, match="has no line of names"):
            recognise(tmp_path / "a.csv")
