"""Examples as the files that tuning services take, refused where the service would refuse them later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunewright.errors import DataError
from tunewright.records import Example
from tunewright.turns import with_call_ids

# What the services say of a file, as read in November 2026: fewest rows, most bytes.
LEAST = {"openai": 10}
MOST_BYTES = {"openai": 512 * 10**6, "together": 100 * 10**9}
# Words that a prompt for Amazon's Nova models must not hold: the tuning job would fail.
_RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")


def openai(example: Example) -> dict[str, Any]:
    """OpenAI's chat format: arguments of tool calls are JSON texts, and tool turns name the call they answer."""
    turns = with_call_ids([m.as_row() for m in example.messages])
    if any(turn["role"] == "tool" and "tool_call_id" not in turn for turn in turns):
        raise _refused(example, "openai", "a tool turn answers no call")
    row: dict[str, Any] = {"messages": turns}
    return {**row, "tools": [dict(t) for t in example.tools]} if example.tools else row


def together(example: Example) -> dict[str, Any]:
    """Together's conversational format: system, user and assistant only, user and assistant in turns."""
    _alternating(example, "together")
    return {"messages": [{"role": m.role, "content": m.content} for m in example.messages]}


def bedrock(example: Example) -> dict[str, Any]:
    """Amazon Bedrock's conversation format (schema `bedrock-conversation-2024`)."""
    _alternating(example, "bedrock")
    for m in example.messages:
        word = next((w for w in _RESERVED if w in m.content), None) if m.role != "assistant" else None
        if word:
            raise _refused(example, "bedrock", f"the {m.role}'s turn holds `{word}`, which Nova models reserve")
    turns = list(example.messages)
    system = turns.pop(0).content if turns[0].role == "system" else ""
    row: dict[str, Any] = {"schemaVersion": "bedrock-conversation-2024"}
    if system:
        row["system"] = [{"text": system}]
    return {**row, "messages": [{"role": m.role, "content": [{"text": m.content}]} for m in turns]}


def _alternating(example: Example, service: str) -> None:
    turns = [m for i, m in enumerate(example.messages) if i or m.role != "system"]
    for i, m in enumerate(turns):
        if m.role != ("user", "assistant")[i % 2]:
            raise _refused(example, service, f"turn {i + 1} is the {m.role}'s; user and assistant must take turns")
        if m.tool_calls or example.tools:
            raise _refused(example, service, "tools have no place in this format")
        if not m.content.strip():
            raise _refused(example, service, f"turn {i + 1} is empty")


def fits(service: str, rows: int, size: int) -> None:
    """Raise `DataError` where a service takes no file of so many rows and bytes."""
    if rows < LEAST.get(service, 0):
        raise DataError(
            f"{service} takes no fewer than {LEAST[service]} rows; there are {rows}.", remedy="Add examples."
        )
    if size > MOST_BYTES.get(service, size):
        most = MOST_BYTES[service] / 10**6
        raise DataError(
            f"{service} takes no file above {most:,.0f} MB; this one has {size / 10**6:,.1f} MB.",
            remedy="Leave rows out, or split the file.",
        )


def _refused(example: Example, service: str, why: str) -> DataError:
    return DataError(
        f"{service} would refuse this row: {why}.",
        where=example.row,
        remedy="Leave the row out, or use another format.",
    )


SHAPES: dict[str, Callable[[Example], dict[str, Any]]] = {"openai": openai, "together": together, "bedrock": bedrock}
