"""Tool calls, tools and marks are read as the turns are: looked into, repaired, redacted, counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunewright.data import fix, load
from tunewright.data.within import hiding, kinds, strings
from tunewright.recipe import DataSpec
from tunewright.text import Redactor

from .helpers import finding, jsonl, run

KEY = "sk-proj-" + "abcdefghijklmnopqrstuv1"
WHOLE: dict[str, Any] = {"split": {"test": 0, "validation": 0}}


def called(arguments: Any, asked: str = "log in", **more: Any) -> dict[str, Any]:
    call = {"function": {"name": "login", "arguments": arguments}}
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    return {"messages": turns, **more}


def plain(count: int) -> list[dict[str, Any]]:
    turns = [
        [{"role": "user", "content": f"say {i}"}, {"role": "assistant", "content": f"said {i}"}] for i in range(count)
    ]
    return [{"messages": both} for both in turns]


def fixed(root: Path, *codes: str, **more: Any) -> Any:
    spec = DataSpec.model_validate({"train": "train.jsonl", **WHOLE, **more})
    return fix(spec, codes, root=root, store=root / ".tunewright").audit


def test_what_a_tool_call_holds_is_found_and_replaced_as_in_any_turn(tmp_path: Path) -> None:
    given = json.dumps({"api_key": KEY, "to": [{"mail": "ann@x.org"}], "password": "hunter2222"})
    rows = [*plain(5), called(given), called("{}", f"Is it {KEY} of Ann@x.org?")]
    jsonl(tmp_path / "train.jsonl", rows)
    result = run(tmp_path, **WHOLE)
    secret, pii = finding(result, "secret"), finding(result, "pii")
    assert secret is not None and secret.rows == pii.rows == ("train.jsonl:6", "train.jsonl:7")  # type: ignore[union-attr]
    assert secret.evidence["reasons"] == {"api_key": 2, "password": 1}
    after = fixed(tmp_path, "secret", "pii")
    written = (after.path / "train.jsonl").read_text("utf-8")
    assert KEY not in written and "x.org" not in written.lower() and "hunter" not in written
    examples = load(after.path, "train")
    assert examples[5].answer.tool_calls[0]["arguments"] == {
        "api_key": "[API_KEY_1]",
        "to": [{"mail": "[EMAIL_1]"}],
        "password": "[PASSWORD_1]",
    }
    assert examples[6].prompt[0].content == "Is it [API_KEY_1] of [EMAIL_1]?", "one value, one placeholder"
    assert finding(after, "secret") is finding(after, "pii") is None
    assert after.dataset.ledger.changed == 2 and finding(after, "encoding") is None


def test_tools_and_groups_are_redacted_too_and_still_fit_the_calls(tmp_path: Path) -> None:
    city = {"type": "string", "enum": ["ann@x.org", "bob@x.org"]}
    schema = {"type": "object", "properties": {"of": city}}
    tool = {"name": "login", "description": "for ann@x.org", "parameters": schema}
    rows = [called({"of": "bob@x.org"}, tools=[tool]), *({**row, "customer": "ann@x.org"} for row in plain(5))]
    jsonl(tmp_path / "train.jsonl", rows)
    split = {"test": 0, "validation": 0, "group": "customer"}
    found = finding(run(tmp_path, split=split), "pii")
    assert found is not None and found.rows == ("train.jsonl:1",)
    after = fixed(tmp_path, "pii", split=split)
    assert "x.org" not in (after.path / "train.jsonl").read_text("utf-8")
    assert finding(after, "pii") is finding(after, "tool_call_invalid") is None
    assert {e.group for e in load(after.path, "train")} == {None, "[EMAIL_2]"}


def test_half_a_character_is_repaired_wherever_it_stands(tmp_path: Path) -> None:
    half = "hi \ud83d"
    tool = {"name": "login", "description": half, "parameters": {"type": "object", "properties": {}}}
    odd = [
        called(json.dumps({"text": half, "\ud83d": 1})),
        called({"text": [half]}, "again"),
        called("{}", "a tool", tools=[tool]),
        called("{}", "a mark", label=half, rewords=half, license=half),
        called("{}", "a group", group=half),
        called("{}", "a call", customer=half),
        called("{}", half),
    ]
    jsonl(tmp_path / "train.jsonl", [*plain(5), *map(json.dumps, odd)])
    result = run(tmp_path, split={"test": 0, "validation": 0, "group": "customer"})
    examples = load(result.path, "train")[5:]
    assert examples[0].answer.tool_calls[0]["arguments"] == {"text": "hi \ufffd", "\ufffd": 1}
    assert examples[1].answer.tool_calls[0]["arguments"] == {"text": ["hi \ufffd"]}
    assert examples[2].tools[0]["function"]["description"] == "hi \ufffd"
    assert (examples[3].label, examples[3].rewords, examples[3].license) == ("hi \ufffd",) * 3
    assert examples[4].group == examples[5].group == examples[6].prompt[0].content == "hi \ufffd"
    assert result.dataset.ledger.changed == 7 and finding(result, "encoding").count == 7  # type: ignore[union-attr]


def test_mojibake_in_a_call_is_repaired_as_in_the_turn_beside_it(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [*plain(5), called({"drink": "cafÃ©"}, "un cafÃ©")])
    example = load(run(tmp_path, **WHOLE).path, "train")[5]
    assert example.prompt[0].content == "un café" and example.answer.tool_calls[0]["arguments"] == {"drink": "café"}


def test_arguments_that_are_nested_too_deeply_are_a_bad_row_and_no_crash(tmp_path: Path) -> None:
    deep = [called(f'{{"x": {"[" * n}{"]" * n}}}', f"deep {n}") for n in (600, 60_000)]
    jsonl(tmp_path / "train.jsonl", [*plain(50), *deep])
    result = run(tmp_path)
    ledger = result.dataset.ledger
    assert ledger.sums() and ledger.set_aside == {"bad_row": 1} and ledger.used == 51
    assert finding(result, "tool_call_invalid").rows == ("train.jsonl:52",)  # type: ignore[union-attr]


def test_a_field_is_read_beside_its_name() -> None:
    value = {"a": ["x", {"b": "y"}], "c": 1, "d": "z"}
    assert list(strings(value)) == [("", "a"), ("a", "x"), ("", "b"), ("b", "y"), ("", "c"), ("", "d"), ("d", "z")]
    assert kinds("password", "hunter2222") == (("password", True),) and kinds("note", "hunter2222") == ()
    assert kinds("ann@x.org", "fine") == (), "what the name holds is the name's"
    hide = hiding(Redactor())
    assert hide("password", "hunter2222 it is") == "[PASSWORD_1] it is"
    assert hide("ann@x.org", "fine") == "fine" and hide("", "ann@x.org") == "[EMAIL_1]"
    assert hide("ann@x.org", "bob@x.org") == "[EMAIL_2]"
