"""Raw turns to messages: roles by their many names, tool calls with their arguments as objects."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.records import Example, Message
from tunewright.thoughts import BEGIN, END, FIELDS, Said, apart

# Who speaks, by the names that services and data sets give them; case says nothing.
ROLES = {
    "system": "system",
    "developer": "system",
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), "function_call"),
}
_ROLE_KEYS = ("role", "from")
_CONTENT_KEYS = ("content", "value", "message", "text", "parts")
_CALLS = ("functionCall", "function_call", "toolUse")
# Types of pieces that hold thoughts; a redacted one can be read by its maker alone.
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
_RESULTS = ("functionResponse", "function_response", "toolResult")
# Keys of a turn that is a question with its answer, in the order they are said in.
_TOLD = {
    "system": ("system",),
    "user": ("user", "human", "input", "question", "prompt"),
    "assistant": ("assistant", "bot", "gpt", "output", "answer", "response"),
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
        parts = [part.get("text", part.get("refusal")) if isinstance(part, dict) else part for part in value]
        if all(isinstance(part, str) for part in parts):
            return "".join(parts)  # type: ignore[arg-type]  # all are text, just checked
        kinds = [part["type"] for part in value if isinstance(part, dict) and isinstance(part.get("type"), str)]
        other = next((kind for kind in kinds if kind != "text"), "")
        raise BadRow("bad_row", f"content that is not text{f': {other}' if other else ''}")
    raise BadRow("bad_row", "content that is not text")


def answer_of(value: Any) -> str:
    """An answer as text; a JSON object or list is written out as JSON."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return text_of(value)


def messages(turns: Any) -> list[Message]:
    """Raw turns, in any spelling that is known, as messages. Raises `BadRow`."""
    found: list[Message] = []
    for given in turns:
        # Nearly all turns are plain, and there are millions of them.
        plain = isinstance(given, Mapping) and isinstance(given.get("content"), str) and "role" in given
        if plain and given["role"] is not None:
            found.append(_message(given))
        else:
            found += map(_message, spelled(given))
    return found


def spelled(turn: Any) -> list[Any]:
    """A raw turn as turns with `role` and `content`: one, or those of a question with its answer, or of the results
    and words that one turn holds. What is spelled in no known way stays as it is."""
    if not isinstance(turn, Mapping):
        return [turn]
    role = _present(turn, _ROLE_KEYS)
    if role is None:
        told = [(who, turn[key]) for who, keys in _TOLD.items() for key in keys if key in turn]
        return [{"role": who, "content": said} for who, said in told if said or who != "system"] or [turn]
    content = _present(turn, _CONTENT_KEYS)
    one = {**turn, "role": turn[role]}
    given = turn[content] if content else None
    if content:
        one["content"] = given
    pieces = given if isinstance(given, list) else ()
    if any(isinstance(piece, Mapping) and _sort(piece) for piece in pieces):
        return _unpacked(one, pieces)
    return [one]


def _present(turn: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The first of `keys` that says something, else the first there: Parquet gives every turn the keys of all."""
    there = [key for key in keys if key in turn]
    return next((key for key in there if turn[key] is not None), there[0] if there else None)


def _sort(piece: Mapping[str, Any]) -> str:
    """What a piece of a turn's content is besides words: "call", "result", or "" (Anthropic's, Bedrock's, Gemini's)."""
    if piece.get("type") == "tool_use" or any(isinstance(piece.get(name), Mapping) for name in _CALLS):
        return "call"
    if piece.get("type") == "tool_result" or any(isinstance(piece.get(name), Mapping) for name in _RESULTS):
        return "result"
    return ""


def _unpacked(turn: dict[str, Any], pieces: Sequence[Any]) -> list[Any]:
    """A turn whose content holds calls or results: each result is a tool's turn, before what else is said."""
    words: list[Any] = []
    calls: list[Any] = []
    results: list[Any] = []
    for piece in pieces:
        sort = _sort(piece) if isinstance(piece, Mapping) else ""
        if not sort:
            words.append(piece)
            continue
        inner = next((piece[name] for name in (*_CALLS, *_RESULTS) if isinstance(piece.get(name), Mapping)), piece)
        if sort == "call":
            given: Any = next((inner[name] for name in ("input", "args", "arguments") if inner.get(name)), {})
            calls.append({"name": inner.get("name"), "arguments": given})
        else:
            given = inner.get("response") if inner.get("content") is None else inner["content"]
            results.append({"role": "tool", "content": _result(given)})
    rest = {**turn, "content": words, **({"tool_calls": calls} if calls else {})}
    return [*results, rest] if words or calls else results


def _result(given: Any) -> Any:
    """What a tool gave back, as text where it is an object."""
    if isinstance(given, list):
        return [{"text": answer_of(p["json"])} if isinstance(p, Mapping) and "json" in p else p for p in given]
    return json.dumps(given, ensure_ascii=False) if isinstance(given, Mapping) else given


def _message(turn: Any) -> Message:
    """One turn of `role` and `content`. Raises `BadRow` with `role_order` for a role nobody knows."""
    if not isinstance(turn, Mapping):
        raise BadRow("bad_row", "a turn that is not an object")
    given = turn.get("role")
    role = ROLES.get(given.strip().lower()) if isinstance(given, str) else None
    if role is None:
        raise BadRow("role_order", f"unknown role {given!r}" if given else "a turn without a role")
    content = turn.get("content")
    if role == "function_call":
        return Message("assistant", "", (tool_call(content),))
    calls = turn.get("tool_calls") or ()
    if not isinstance(calls, (list, tuple)):
        raise BadRow("bad_row", "tool_calls that are not a list")
    if turn.get("function_call"):
        calls = (*calls, turn["function_call"])
    if not calls and "content" not in turn and role != "assistant":
        raise BadRow("bad_row", f"a {role} turn without content")
    learned = role != "assistant" or not _unwanted(turn)
    thought, content = _thought(turn, content) if role == "assistant" else ("", content)
    # OpenAI's word for an answer that declines: there is no other text then.
    said = text_of(content) or text_of(turn.get("refusal"))
    return Message(role, said, tuple(tool_call(call) for call in calls), learned, thought)


def _thought(turn: Mapping[str, Any], content: Any) -> tuple[str, Any]:
    """What an assistant's turn says in fields of its own that it thought, or in pieces of its content (Anthropic's and
    Gemini's); and the content without these."""
    given = next((said for name in FIELDS if isinstance(said := turn.get(name), str) and said.strip()), "")
    pieces = content if isinstance(content, list) else []
    inner = [p for p in pieces if isinstance(p, Mapping) and (p.get("type") in _THOUGHTS or p.get("thought") is True)]
    if inner:
        content = [piece for piece in pieces if not any(piece is one for one in inner)]
        told = (one.get("thinking", one.get("text")) for one in inner)
        given = given or "\n".join(one for one in told if isinstance(one, str))
    return given.strip(), content


def with_thoughts(example: Example, beside: str = "") -> Example:
    """The example with the thoughts that its answers begin with apart from them; `beside` is the last one's where it
    begins with none. Raises `BadRow` with `empty_output` where that has no words but those of its thought."""
    *earlier, last = (_apart(m) if m.role == "assistant" else m for m in example.messages)
    if not last.content.strip() and not last.tool_calls:
        raise BadRow("empty_output", "a thought and no answer")
    found = (*earlier, last if last.thought else dataclasses.replace(last, thought=beside.strip()))
    label = last.content.strip() if example.label == example.answer.content else example.label
    return example if found == example.messages else dataclasses.replace(example, messages=found, label=label)


def without_thoughts(example: Example) -> Example:
    """The example without what was thought in fields of its own: itself where there is none."""
    if not any(m.thought for m in example.messages):
        return example
    return dataclasses.replace(example, messages=tuple(dataclasses.replace(m, thought="") for m in example.messages))


def thought_of(message: Message) -> str:
    """What was thought before an answer, be it told apart or in its words; "" for none."""
    return _apart(message).thought if message.role == "assistant" else ""


def _apart(message: Message) -> Message:
    said = answer_apart(message.content)
    if said.answer == message.content:
        return message
    return dataclasses.replace(message, content=said.answer, thought=message.thought or said.thought)


def answer_apart(text: str) -> Said:
    """An answer of a file and its thought, also where that was begun by the prompt, as R1's answers are kept."""
    return apart(text, opened=END in text and not text.lstrip().startswith((BEGIN, "<thinking>")))


def _unwanted(turn: Mapping[str, Any]) -> bool:
    """Whether the file says that this answer is read and not learned: `weight: 0` (OpenAI's) or `train: false`."""
    weight = turn.get("weight")
    return turn.get("train") is False or (isinstance(weight, (int, float)) and weight == 0)


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
    return tuple(_tool(one) for tool in given for one in _declared(tool))


def _declared(tool: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The functions of one entry: Gemini lists several under one name; a tool is itself."""
    for name in ("functionDeclarations", "function_declarations"):
        inner = tool.get(name)
        if isinstance(inner, list) and all(isinstance(one, Mapping) for one in inner):
            return inner
    return (tool,)


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if "function" in tool:
        return dict(tool)
    # Anthropic's name for what everybody else calls the parameters.
    return {"type": "function", "function": {"parameters" if k == "input_schema" else k: v for k, v in tool.items()}}


def conversation(turns: list[Message]) -> tuple[Message, ...]:
    """The turns, when the last one is an answer. Raises `BadRow` with `empty_output` when it is not or is empty.

    Where the last answers are not to be learned, the turns end with the last one that is: the rest would teach nothing.
    """
    if not turns:
        raise BadRow("empty_output", "a conversation without turns")
    if turns[-1].role != "assistant":
        raise BadRow("empty_output", f"no answer: the last turn is the {turns[-1].role}'s")
    end = max((place for place, turn in enumerate(turns, 1) if turn.role == "assistant" and turn.learned), default=0)
    if not end:
        raise BadRow("empty_output", "no answer to learn: each has a weight of 0")
    turns = turns[:end]
    last = turns[-1]
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
