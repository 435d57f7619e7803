"""One raw row in a known shape to an `Example`, and back: the only place that knows the shapes' spelling."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tunewright.data.nested import lift, object_in
from tunewright.data.transcripts import spoken
from tunewright.records import Example, Message
from tunewright.text import normal
from tunewright.turns import ROLES, BadRow, answer_of, conversation, messages, spelled, text_of, tools_of

TURNS = ("messages", "conversations", "conversation", "chat", "dialog", "dialogue", "contents")
SYSTEMS = ("system", "system_prompt", "system_message", "systemInstruction", "system_instruction", "preamble")
# Earlier turns, or pairs of a question and its answer.
HISTORIES = ("history", "chat_history", "conversation_history")
# What a preference pair calls the better answer and the worse one, and what it calls the question.
_CHOSEN = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("preferred_output", "non_preferred_output"),
)
_ASKED = ("prompt", "instruction", "question", "query", "input")


class Columns(NamedTuple):
    """Which columns hold what; `turns` for conversations, the rest for one question and its answer. `system` is put
    before the turns, `context` behind the question."""

    input: str = ""
    output: str = ""
    turns: str = ""
    context: str = ""
    system: str = ""


def shape_of(row: Any) -> tuple[str, Columns] | None:
    """The shape a row has by its keys alone, or None. Tables that need their content seen are not decided here."""
    if not isinstance(row, Mapping):
        return None
    conversed = _conversed(row)
    chosen = next(((a, b) for a, b in _CHOSEN if a in row and b in row), None)
    if chosen and not (conversed and answered(turns_in(row[conversed[1].turns]))):
        asked = next((name for name in (*_ASKED, *TURNS) if name in row), "")
        return "preference", Columns(asked, chosen[0])
    if conversed:
        return conversed
    if "instruction" in row and "output" in row:
        return "alpaca", Columns("instruction", "output", context="input" if "input" in row else "")
    return None


def _conversed(row: Mapping[str, Any]) -> tuple[str, Columns] | None:
    for key in (*TURNS, "prompt"):
        if key not in row or (key == "prompt" and not _tree(row[key])):
            continue
        turns = turns_in(row[key])
        if turns is not None and (not turns or _says_who(turns[0])):
            first = turns[0] if turns else {}
            return "sharegpt" if "from" in first and "role" not in first else "messages", Columns(turns=key)
    return None


def _says_who(turn: Any) -> bool:
    """Whether a turn says in any way that is known who speaks: else it may be an entry of any list."""
    return isinstance(turn, Mapping) and ("role" in turn or "from" in turn or spelled(turn) != [turn])


def turns_in(given: Any) -> list[Any] | None:
    """A list of turns, be it written as JSON text or as Python prints it, as tables have to; None for anything else."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        given = _parsed(given.strip())
        # A text may begin with a bracket and be a list of anything.
        return given if isinstance(given, list) and given and isinstance(given[0], Mapping) else None
    if _tree(given):
        return _best(given)
    return given if isinstance(given, list) else None


def _tree(given: Any) -> bool:
    """Whether it is a turn with the replies to it, and the replies to these (OpenAssistant's)."""
    return isinstance(given, Mapping) and isinstance(given.get("replies"), list)


def _best(turn: Mapping[str, Any]) -> list[Any]:
    """The turns of a tree along the best-ranked replies, up to the last answer."""
    turns: list[Any] = []
    here: Any = turn
    while isinstance(here, Mapping):
        turns.append({key: value for key, value in here.items() if key != "replies"})
        replies = [reply for reply in here.get("replies") or () if isinstance(reply, Mapping)]
        ranked = [reply for reply in replies if isinstance(reply.get("rank"), int)]
        here = min(ranked, key=lambda reply: reply["rank"]) if ranked else next(iter(replies), None)
    while len(turns) > 1 and turns[-1].get("role") == "prompter":
        turns.pop()
    return turns


def _parsed(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def answered(turns: Any) -> bool:
    """Whether raw turns end with an answer."""
    try:
        return isinstance(turns, list) and bool(turns) and messages(turns[-1:])[-1].role == "assistant"
    except (BadRow, IndexError):
        return False


def _conversation(row: Mapping[str, Any], columns: Columns) -> Example:
    parsed = _before(row, columns, messages(_turns(row, columns)))
    return Example(conversation(parsed), tools=tools_of(row.get("tools") or row.get("functions")))


def _before(row: Mapping[str, Any], columns: Columns, turns: list[Message]) -> list[Message]:
    """The turns behind the row's own system text, where they have none."""
    said = _system(row.get(columns.system)) if columns.system else ""
    return [Message("system", said), *turns] if said.strip() and not (turns and turns[0].role == "system") else turns


def _system(given: Any) -> str:
    """A system text as it stands, in pieces, or as a turn in `parts`; "" for what is none."""
    if isinstance(given, Mapping):
        given = given.get("parts", given.get("content", given.get("text")))
    given = [given] if isinstance(given, Mapping) else given
    return text_of(given).removeprefix("SYSTEM: ") if isinstance(given, (str, list)) else ""


def _turns(row: Mapping[str, Any], columns: Columns) -> list[Any]:
    if columns.turns not in row:
        raise BadRow("mixed_format", f"no `{columns.turns}`, which the file's other rows have")
    turns = turns_in(row[columns.turns])
    turns = spoken(row[columns.turns]) if turns is None else turns
    if turns is None:
        raise BadRow("mixed_format", f"`{columns.turns}` is not a list of turns")
    if any(not isinstance(turn, Mapping) for turn in turns):
        raise BadRow("bad_row", "a turn that is not an object")
    return turns


def _pair(row: Mapping[str, Any], columns: Columns) -> Example:
    if columns.input not in row:
        raise BadRow("mixed_format", f"no `{columns.input}`, which the file's other rows have")
    if columns.output not in row:
        raise BadRow("empty_output", f"no `{columns.output}`")
    asked, tools = _asked(row, columns)
    answer = row[columns.output]
    if isinstance(answer, str) and _is_turn(held := object_in(answer)) and not _plain(row[columns.input]):
        answer = held  # a turn in a table's cell, behind turns
    return Example(conversation([*asked, *_answered(answer, bool(tools))]), tools=tools)


def _plain(given: Any) -> bool:
    """Whether a question is a text, and no turns in any form."""
    return isinstance(given, str) and turns_in(given) is None and object_in(given) is given


def _asked(row: Mapping[str, Any], columns: Columns) -> tuple[list[Message], tuple[dict[str, Any], ...]]:
    """What is asked, with all that goes before it: system text, earlier turns, what the question is about; and the
    tools that are offered."""
    given, tools = row[columns.input], _offered(row)
    held = object_in(given)
    if isinstance(held, Mapping) and isinstance(held.get("messages"), list):  # OpenAI's preference pairs; requests
        given = held
        given, tools = given["messages"], tools_of(given.get("tools"))
    turns = turns_in(given)
    if turns and _is_turn(turns[0]):
        return _before(row, columns, messages(turns)), tools
    question = answer_of(given) if isinstance(given, Mapping) else text_of(given)
    context = _context(row.get(columns.context)) if columns.context else ""
    if context.strip():
        question = f"{question}\n\n{context}" if question.strip() else context
    return _before(row, columns, [*_history(row), Message("user", question)]), tools


def _is_turn(given: Any) -> bool:
    """Whether it says who speaks, in a name we know: an object may have a field `role` for anything."""
    who = given.get("role", given.get("from")) if isinstance(given, Mapping) else None
    return isinstance(who, str) and who.strip().lower() in ROLES


def _context(given: Any) -> str:
    """What a question is about; several passages are set apart."""
    return "\n\n".join(map(text_of, given)) if isinstance(given, list) else text_of(given)


def _history(row: Mapping[str, Any]) -> list[Message]:
    """What was said before: pairs of a question and its answer (LLaMA-Factory's), or turns (Cohere's)."""
    name = next((name for name in HISTORIES if told(row, name)), "")
    before: list[Message] = []
    for turn in told(row, name):
        if isinstance(turn, Mapping):
            before += messages([turn])
        else:
            before += [Message("user", text_of(turn[0])), Message("assistant", text_of(turn[1]))]
    return before


def told(row: Mapping[str, Any], name: str) -> list[Any]:
    """The turns or pairs that a column of earlier turns holds; none where it holds anything else."""
    given = turns_in(row.get(name)) or []
    pairs = all(isinstance(turn, (list, tuple)) and len(turn) == 2 for turn in given)
    return given if pairs or all(map(_is_turn, given)) else []


def _offered(row: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The tools beside a question. A column of that name may be about anything else: then none."""
    if not row.get("tools"):
        return ()
    try:
        tools = tools_of(row["tools"])
    except BadRow:
        return ()
    return tools if all("name" in tool["function"] for tool in tools if isinstance(tool["function"], dict)) else ()


def _answered(given: Any, tools: bool) -> list[Message]:
    """The answer: turns, calls where `tools` are offered and it is a list of them, else text."""
    if isinstance(given, str) and not tools:
        return [Message("assistant", given)]
    turns = [given] if isinstance(given, Mapping) else turns_in(given)
    if turns and tools and all(isinstance(t, Mapping) and "name" in t and "arguments" in t for t in turns):
        return messages([{"role": "assistant", "tool_calls": turns}])
    if turns and _is_turn(turns[0]) and not isinstance(given, str):
        return messages(turns)
    return [Message("assistant", _first(given))]


def _first(given: Any) -> str:
    """An answer as text; of SQuAD's alternatives, which say where in the context they stand, the first."""
    if isinstance(given, Mapping) and "answer_start" in given and isinstance(given.get("text"), list):
        given = given["text"][0] if given["text"] else ""
    return answer_of(given)


def _labelled(row: Mapping[str, Any], columns: Columns) -> Example:
    given = row.get(columns.output)
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], (str, int)):
        row = {**row, columns.output: given[0]}  # annotation tools write a list where one label was chosen
    example = _pair(row, columns)
    label = example.answer.content.strip()
    return Example((*example.prompt, Message("assistant", label)), label=label)


def _preference(row: Mapping[str, Any], columns: Columns) -> Example:
    """The chosen answer is what is learnt; the rejected one read past."""
    chosen = _preferred(row, columns.output)
    if any(turn.role == "user" for turn in chosen):
        return Example(conversation(_before(row, columns, chosen)))
    if not columns.input:
        raise BadRow("mixed_format", "a chosen answer without a prompt")
    if columns.input not in row:
        raise BadRow("mixed_format", f"no `{columns.input}`, which the file's other rows have")
    asked, tools = _asked(row, columns)
    return Example(conversation([*asked, *chosen]), tools=tools)


def _preferred(row: Mapping[str, Any], name: str) -> list[Message]:
    """An answer of a pair; where no column asks, what was said before it too, in a conversation written as a text."""
    alone = not any(asked in row for asked in (*_ASKED, *TURNS))
    turns = spoken(row.get(name)) if alone else None
    return messages(turns) if turns else _answered(row.get(name), False)


def rejects(row: Mapping[str, Any], answer: Message) -> bool:
    """Whether a preference pair rejects `answer` too, white space and Unicode form aside: case or marks may be the
    point."""
    try:
        worse = next(_preferred(row, name) for _, name in _CHOSEN if name in row)[-1]
    except BadRow:
        return False
    same = normal(worse.content, strict=True) == normal(answer.content, strict=True)
    return same and worse.tool_calls == answer.tool_calls


PARSERS: dict[str, Callable[[Mapping[str, Any], Columns], Example]] = {
    "messages": _conversation,
    "sharegpt": _conversation,
    "alpaca": _pair,
    "prompt_completion": _pair,
    "labelled_text": _labelled,
    "preference": _preference,
}


def parse(row: Any, shape: str, columns: Columns) -> Example:
    """The example a raw row holds. Raises `BadRow`."""
    if not isinstance(row, Mapping):
        raise BadRow("mixed_format", "not an object, as the file's other rows are")
    row = lift(row, columns)
    own = shape_of(row)
    asks = own and own[1].turns in (columns.input, columns.output)
    if own and own[0] in ("messages", "sharegpt") and shape not in ("messages", "sharegpt") and not asks:
        raise BadRow("mixed_format", f"a row of shape {own[0]} in a file of shape {shape}")
    if own and shape in ("messages", "sharegpt") and own[0] != shape and row.get(own[1].turns):
        raise BadRow("mixed_format", f"a row of shape {own[0]} in a file of shape {shape}")
    return PARSERS[shape](row, columns)
