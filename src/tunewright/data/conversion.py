"""Examples in other people's shapes: messages, ShareGPT, Alpaca, prompt and completion."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tunewright.data.table import plain
from tunewright.data.uploads import LEAST, SHAPES, fits
from tunewright.errors import DataError
from tunewright.records import Example
from tunewright.thoughts import together

_NAMED = 10
_FROM = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}


def convert(
    examples: Iterable[Example],
    to: str,
    refused: Callable[[str, str], None] | None = None,
    faulty: Sequence[tuple[str, str]] = (),
) -> Iterator[dict[str, Any]]:
    """The examples as rows of the shape `to`: "messages", "sharegpt", "alpaca", "prompt_completion", or the upload
    file of a tuning service: "openai", "together", "bedrock".

    An example that the shape cannot hold or the service would refuse (many turns or tools in a shape of one question
    and one answer) is left out and told to `refused`, its row and the reason. Without `refused`, or where too few rows
    or none are left, all of them are told in a `DataError` at the end: how many, and the first ten by name. So are then
    the `faulty` rows, which are no examples and known when the last one is taken. Raises `DataError` too for an unknown
    shape and a file the service would not take.
    """
    make = _SHAPES.get(to)
    if make is None:
        raise DataError(f"`{to}` is not a shape to convert to.", remedy=f"Shapes: {', '.join(sorted(_SHAPES))}.")
    count = size = 0
    left: list[tuple[str, str]] = []
    for example in examples:
        try:
            row = make(example if to == "messages" else _in_words(example))
        except DataError as error:
            left.append((error.where, error.message.rstrip(".")))
            if refused:
                refused(*left[-1])
            continue
        count += 1
        size += len(json.dumps(row, ensure_ascii=False).encode()) + 1 if to in SHAPES else 0
        yield row
    few = count < max(1, LEAST.get(to, 0))
    if (left and refused is None) or (few and (left or faulty)):
        raise _all(left, faulty, count, to)
    fits(to, count, size)


def _in_words(example: Example) -> Example:
    """The example with its thoughts written into the answers, where most shapes have no other place for them."""
    turns = tuple(
        dataclasses.replace(m, content=together(m.thought, m.content), thought="") if m.thought else m
        for m in example.messages
    )
    return dataclasses.replace(example, messages=turns)


def _all(left: Sequence[tuple[str, str]], faulty: Sequence[tuple[str, str]], count: int, to: str) -> DataError:
    """What is wrong with every row that is left out, the first ten by name."""
    out = [*faulty, *left]
    what = " or ".join([*(["are faulty"] if faulty else []), *([f"do not fit {to}"] if left else [])])
    named = "; ".join(f"{row}: {reason}" for row, reason in out[:_NAMED])
    more = f"; and {len(out) - _NAMED:,} more" if len(out) > _NAMED else ""
    least = LEAST.get(to, 0)
    few = f" {count:,} are left, and {to} takes no fewer than {least}." if count < least else ""
    return DataError(
        f"{len(out):,} of {len(out) + count:,} rows {what}: {named}{more}.{few}",
        remedy="Leave the rows out, or convert to messages or sharegpt." if left else "Mend the rows, or add others.",
    )


def _sharegpt(example: Example) -> dict[str, Any]:
    turns: list[dict[str, str]] = []
    for m in example.messages:
        if m.content.strip() or not m.tool_calls:
            turns.append({"from": _FROM[m.role], "value": m.content})
        turns += [{"from": "function_call", "value": json.dumps(dict(c), ensure_ascii=False)} for c in m.tool_calls]
    row: dict[str, Any] = {"conversations": turns}
    if example.tools:
        row["tools"] = json.dumps([t.get("function", t) for t in example.tools], ensure_ascii=False)
    return row


def _single(example: Example, shape: str) -> tuple[str, str, str]:
    """System text, question and answer of an example that has no more than these."""
    turns = list(example.messages)
    system = turns.pop(0).content if turns[0].role == "system" else ""
    if len(turns) != 2 or turns[0].role != "user" or example.tools or turns[1].tool_calls:
        raise DataError(
            f"has more than one question and one answer; {shape} cannot hold it.",
            where=example.row,
            remedy="Convert to messages or sharegpt instead.",
        )
    return system, turns[0].content, turns[1].content


def _alpaca(example: Example) -> dict[str, Any]:
    system, question, answer = _single(example, "alpaca")
    row = {"instruction": question, "input": "", "output": answer}
    return {**row, "system": system} if system else row


def _prompt_completion(example: Example) -> dict[str, Any]:
    system, question, answer = _single(example, "prompt_completion")
    return {"prompt": f"{system}\n\n{question}" if system else question, "completion": answer}


_SHAPES: dict[str, Callable[[Example], dict[str, Any]]] = {
    "messages": lambda example: dict(plain(example)),
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
    **SHAPES,
}
