"""One raw row in a known shape to an `Example`, and back: the only place that knows the shapes' spelling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tunewright.records import Example, Message
from tunewright.text import normal
from tunewright.turns import ROLES, SPEAKERS, BadRow, answer_of, conversation, message, text_of, tools_of

TURNS = ("messages", "conversations", "conversation", "chat", "dialog", "dialogue")


class Columns(NamedTuple):
    """Which columns hold what; `turns` for conversations, the rest for one question and its answer."""

    input: str = ""
    output: str = ""
    turns: str = ""
    context: str = ""


def shape_of(row: Any) -> tuple[str, Columns] | None:
    """The shape a row has by its keys alone, or None. Tables that need their content seen are not decided here."""
    if not isinstance(row, Mapping):
        return None
    for key in TURNS:
        turns = row.get(key)
        if isinstance(turns, list) and (not turns or isinstance(turns[0], Mapping)):
            first = turns[0] if turns else {}
            if "from" in first and "role" not in first:
                return "sharegpt", Columns(turns=key)
            return "messages", Columns(turns=key)
    if "chosen" in row and "rejected" in row:
        return "preference", Columns("prompt" if "prompt" in row else "", "chosen")
    if "instruction" in row and "output" in row:
        return "alpaca", Columns("instruction", "output", context="input" if "input" in row else "")
    return None


def _messages(row: Mapping[str, Any], columns: Columns) -> Example:
    turns = _turns(row, columns)
    parsed = [message(turn, ROLES, "role", "content") for turn in turns]
    return Example(conversation(parsed), tools=tools_of(row.get("tools") or row.get("functions")))


def _sharegpt(row: Mapping[str, Any], columns: Columns) -> Example:
    turns = _turns(row, columns)
    key, content = ("role", "content") if turns and "role" in turns[0] else ("from", "value")
    parsed = [message(turn, SPEAKERS, key, content) for turn in turns]
    system = row.get("system")
    if isinstance(system, str) and system.strip() and (not parsed or parsed[0].role != "system"):
        parsed.insert(0, Message("system", system))
    return Example(conversation(parsed), tools=tools_of(row.get("tools")))


def _turns(row: Mapping[str, Any], columns: Columns) -> list[Any]:
    turns = row.get(columns.turns)
    if columns.turns not in row:
        raise BadRow("mixed_format", f"no `{columns.turns}`, which the file's other rows have")
    if not isinstance(turns, list):
        raise BadRow("mixed_format", f"`{columns.turns}` is not a list of turns")
    if any(not isinstance(turn, Mapping) for turn in turns):
        raise BadRow("bad_row", "a turn that is not an object")
    if turns and "role" not in turns[0] and "from" not in turns[0]:
        raise BadRow("role_order", "a turn without a role")
    return turns


def _alpaca(row: Mapping[str, Any], columns: Columns) -> Example:
    example = _pair(row, columns)
    history = row.get("history") or []
    system = row.get("system")
    before: list[Message] = []
    if isinstance(system, str) and system.strip():
        before.append(Message("system", system))
    for turn in history if isinstance(history, list) else ():
        if isinstance(turn, (list, tuple)) and len(turn) == 2:
            before += [Message("user", text_of(turn[0])), Message("assistant", text_of(turn[1]))]
    return Example((*before, *example.messages))


def _pair(row: Mapping[str, Any], columns: Columns) -> Example:
    if columns.input not in row:
        raise BadRow("mixed_format", f"no `{columns.input}`, which the file's other rows have")
    question = text_of(row[columns.input])
    context = text_of(row.get(columns.context)) if columns.context else ""
    if context.strip():
        question = f"{question}\n\n{context}" if question.strip() else context
    if columns.output not in row:
        raise BadRow("empty_output", f"no `{columns.output}`")
    answer = answer_of(row[columns.output])
    return Example(conversation([Message("user", question), Message("assistant", answer)]))


def _labelled(row: Mapping[str, Any], columns: Columns) -> Example:
    example = _pair(row, columns)
    label = example.answer.content.strip()
    return Example((example.messages[0], Message("assistant", label)), label=label)


def _preference(row: Mapping[str, Any], columns: Columns) -> Example:
    """The chosen answer is what is learnt; the rejected one is read past."""
    chosen = row.get(columns.output)
    if isinstance(chosen, list) and chosen and isinstance(chosen[0], Mapping):
        return Example(conversation([message(turn, ROLES, "role", "content") for turn in chosen]))
    if not columns.input:
        raise BadRow("mixed_format", "a chosen answer without a prompt")
    prompt = row.get(columns.input)
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], Mapping):
        before = [message(turn, ROLES, "role", "content") for turn in prompt]
        return Example(conversation([*before, Message("assistant", text_of(chosen))]))
    return _pair(row, columns)


def rejects(row: Mapping[str, Any], answer: Message) -> bool:
    """Whether a preference pair rejects `answer` too, white space and Unicode form aside: case or marks may be the
    point."""
    given = row.get("rejected")
    turns = given if isinstance(given, list) and given else [{"role": "assistant", "content": given}]
    try:
        worse = message(turns[-1], ROLES, "role", "content")
    except BadRow:
        return False
    same = normal(worse.content, strict=True) == normal(answer.content, strict=True)
    return same and worse.tool_calls == answer.tool_calls


PARSERS: dict[str, Callable[[Mapping[str, Any], Columns], Example]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt_completion": _pair,
    "labelled_text": _labelled,
    "preference": _preference,
}


def parse(row: Any, shape: str, columns: Columns) -> Example:
    """The example a raw row holds. Raises `BadRow`."""
    if not isinstance(row, Mapping):
        raise BadRow("mixed_format", "not an object, as the file's other rows are")
    own = shape_of(row)
    if own and own[0] in ("messages", "sharegpt") and shape not in ("messages", "sharegpt"):
        raise BadRow("mixed_format", f"a row of shape {own[0]} in a file of shape {shape}")
    if own and shape in ("messages", "sharegpt") and own[0] != shape and row.get(own[1].turns):
        raise BadRow("mixed_format", f"a row of shape {own[0]} in a file of shape {shape}")
    return PARSERS[shape](row, columns)
