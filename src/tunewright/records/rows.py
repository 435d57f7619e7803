"""A conversation that a model learns from, and the same as token ids: slotted, for there may be millions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_calls` are `{"name": str, "arguments": dict}` mappings, in order. An answer that is not `learned`
    is read by those behind it and teaches nothing. `thought` is what an assistant thinks before its words."""

    role: str
    content: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    learned: bool = True
    # Draws of rows go by how these are shown: those of rows without thoughts stay what they were.
    thought: str = field(default="", repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The turn as chat templates take it (OpenAI's shape for tool calls, DeepSeek's for thoughts)."""
        turn: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.thought:
            turn["reasoning_content"] = self.thought
        if self.tool_calls:
            turn["tool_calls"] = [{"type": "function", "function": dict(call)} for call in self.tool_calls]
        return turn

    @classmethod
    def from_dict(cls, turn: Mapping[str, Any]) -> Message:
        """A turn in that shape, back."""
        calls = tuple(call.get("function", call) for call in turn.get("tool_calls") or ())
        thought = str(turn.get("reasoning_content") or "")
        return cls(str(turn["role"]), str(turn.get("content") or ""), calls, thought=thought)

    def as_row(self) -> dict[str, Any]:
        """The turn as rows hold it: `weight: 0` (OpenAI's spelling) where it is read and not learned."""
        return self.as_dict() if self.learned else {**self.as_dict(), "weight": 0}


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a dataset: a conversation whose final assistant turn is the answer wanted.

    `row` names where it came from (`file:record`, records from 1); `label` is the answer when it is a class label.
    `rewords` is the question that a synthetic row puts in other words: the two stay in one split. `fold` (from 1) is
    the one that the row is not trained on in, 0 where there is none.
    """

    messages: tuple[Message, ...]
    row: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    source: str = ""
    license: str | None = None
    group: str | None = None
    weight: float = 1.0
    synthetic: bool = False
    label: str | None = None
    rewords: str | None = None
    fold: int = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """All turns before the final assistant turn."""
        return self.messages[:-1]

    @property
    def answer(self) -> Message:
        """The final assistant turn."""
        return self.messages[-1]


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Supervised tokens of one example under a model's template, and those of them lost by cutting to length.

    `supervised` counts those lost as well; `refused` says why the row cannot be written for the model at all.
    """

    supervised: int
    lost: int = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A sequence that begins as its row's does: with `at` tokens of it, in which nothing is learned, before its `ids`.

    Conversations of many steps have one for every answer; whole, they would take memory by the square of the steps.
    """

    at: int
    ids: tuple[int, ...]
    weights: tuple[float, ...]
    prompt_length: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """One example as the model sees it.

    `ids` are token ids; `weights[i]` is the loss weight of predicting `ids[i]` (0 where nothing is supervised; the
    first position is always 0). `prompt_length` is the number of tokens before the final assistant turn's first
    supervised token. `earlier` are answers that the template writes otherwise once more turns follow: each is learned
    in a sequence of its own, the conversation up to it, as it is when it is asked for.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    prompt_length: int
    row: str = ""
    earlier: tuple[Branch, ...] = ()

    @property
    def supervised(self) -> int:
        """Supervised tokens of this sequence, without those of `earlier`."""
        return sum(1 for w in self.weights if w > 0)

    def with_earlier(self, others: Iterable[Rendered]) -> Rendered:
        """The row with other sequences that are learned with it."""
        return replace(self, earlier=tuple(_branch(self, each) for each in others))


def _branch(row: Rendered, of: Rendered) -> Branch:
    learned = next((place for place, weight in enumerate(of.weights) if weight > 0), len(of.ids))
    same = next((i for i, (a, b) in enumerate(zip(row.ids, of.ids, strict=False)) if a != b), len(row.ids))
    at = min(learned, same)
    return Branch(at, of.ids[at:], of.weights[at:], of.prompt_length)


def sequences(rows: Iterable[Rendered]) -> Iterator[Rendered]:
    """All that `rows` have to learn from, as sequences without others inside, those of a row one after the other."""
    for row in rows:
        for one in row.earlier:
            weights = (0.0,) * one.at + one.weights
            yield Rendered(row.ids[: one.at] + one.ids, weights, one.prompt_length, row.row)
        yield replace(row, earlier=()) if row.earlier else row


@dataclass(frozen=True, slots=True)
class Generation:
    """What an engine produced for one prompt: ids with the stop token where one was met, and wall seconds."""

    output_ids: tuple[int, ...]
    seconds: float
    stopped: bool = True
