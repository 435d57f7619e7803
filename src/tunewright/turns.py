"""Raw turns to messages: roles by their many names, tool calls with their arguments as objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.records import Message

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
SPEAKERS = {
    **ROLES,
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "function_call": "function_call",
}


class BadRow(Exception):
    """A row that cannot be an example. `code` is the finding it counts under; the ledger names it so too."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def text_of(value: Any) -> str:
    """A cell or a turn's content as text; numbers as written, parts joined. Raises `BadRow` for anything else."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        # Tables write NaN, which alone is not what it is, where there is nothing.
        return "" if value != value else str(value)
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in value]
        if all(isinstance(part, str) for part in parts):
            return "".join(parts)  # type: ignore[arg-type]  # all are text, just checked
    raise BadRow("bad_row", "content that is not text")


def answer_of(value: Any) -> str:
    """An answer as text; a JSON object or list is written out as JSON."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return text_of(value)


def message(turn: Any, speakers: Mapping[str, str], role_key: str, content_key: str) -> Message:
    """One raw turn. Raises `BadRow` with `role_order` for a role nobody knows."""
    if not isinstance(turn, Mapping):
        raise BadRow("bad_row", "a turn that is not an object")
    given = turn.get(role_key)
    role = speakers.get(given.strip().lower()) if isinstance(given, str) else None
    if role is None:
        raise BadRow("role_order", f"unknown role {given!r}" if given else "a turn without a role")
    content = turn.get(content_key)
    if role == "function_call":
        return Message("assistant", "", (tool_call(content),))
    calls = turn.get("tool_calls") or ()
    if not isinstance(calls, (list, tuple)):
        raise BadRow("bad_row", "tool_calls that are not a list")
    if turn.get("function_call"):
        calls = (*calls, turn["function_call"])
    if not calls and content_key not in turn and role != "assistant":
        raise BadRow("bad_row", f"a {role} turn without content")
    return Message(role, text_of(content), tuple(tool_call(call) for call in calls))


def tool_call(call: Any) -> dict[str, Any]:
    """A call as `{"name", "arguments"}`. Arguments that are no JSON object stay as they are, for the check to find."""
    if isinstance(call, str):
        try:
            call = json.loads(call)
        except (ValueError, RecursionError):
            return {"name": "", "arguments": call}
    if not isinstance(call, Mapping):
        return {"name": "", "arguments": call}
    inner = call.get("function", call)
    if not isinstance(inner, Mapping):
        return {"name": str(inner), "arguments": call.get("arguments", {})}
    arguments = inner.get("arguments", inner.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError):
            return {"name": str(inner.get("name") or ""), "arguments": arguments}
    return {"name": str(inner.get("name") or ""), "arguments": arguments}


def tools_of(given: Any) -> tuple[dict[str, Any], ...]:
    """Tool descriptions in OpenAI's wrapping. Raises `BadRow` when they are no list of objects."""
    if not given:
        return ()
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise BadRow("tool_call_invalid", "tools that are not JSON") from None
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, (list, tuple)) or not all(isinstance(tool, Mapping) for tool in given):
        raise BadRow("tool_call_invalid", "tools that are no list of objects")
    return tuple(dict(t) if "function" in t else {"type": "function", "function": dict(t)} for t in given)


def conversation(turns: list[Message]) -> tuple[Message, ...]:
    """The turns, when the last one is an answer. Raises `BadRow` with `empty_output` when it is not or is empty."""
    if not turns:
        raise BadRow("empty_output", "a conversation without turns")
    last = turns[-1]
    if last.role != "assistant":
        raise BadRow("empty_output", f"no answer: the last turn is the {last.role}'s")
    if not last.content.strip() and not last.tool_calls:
        raise BadRow("empty_output", "an empty answer")
    if len(turns) == 1:
        raise BadRow("role_order", "an answer without a question")
    return tuple(turns)


def with_ids(turns: Sequence[Mapping[str, Any]], form: str) -> list[dict[str, Any]]:
    """Turns with an id for each call: `form`, a format of its turn's place and its own; a tool's turn names the call
    that it answers. One that answers none has no `tool_call_id`."""
    found: list[dict[str, Any]] = []
    waiting: list[str] = []
    for place, turn in enumerate(turns):
        one = dict(turn)
        if one.get("tool_calls"):
            waiting = [form.format(place, number) for number in range(len(one["tool_calls"]))]
            one["tool_calls"] = [{**call, "id": own} for call, own in zip(one["tool_calls"], waiting, strict=True)]
        elif one.get("role") == "tool" and waiting:
            one["tool_call_id"] = waiting.pop(0)
        found.append(one)
    return found


def with_call_ids(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turns as OpenAI's services want them: an id for each call, and arguments as JSON text."""
    found = with_ids(turns, "call_{}_{}")
    for one in found:
        if one.get("tool_calls"):
            one["content"] = one.get("content") or None
            one["tool_calls"] = [_in_text(call) for call in one["tool_calls"]]
    return found


def _in_text(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function") or {key: value for key, value in call.items() if key != "id"})
    if not isinstance(function.get("arguments"), str):
        function["arguments"] = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
    return {"id": call["id"], "type": "function", "function": function}
