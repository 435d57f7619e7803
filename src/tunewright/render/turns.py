"""Where the assistant's words lie in a rendered conversation.

An assistant turn begins where the generation prompt of the turns before it ends, and ends with the template's
terminator; both are found in the conversation up to it, then checked (K2). Most templates write the same once more
turns follow: all answers are learned in one text. Where a template writes an earlier turn otherwise then (it drops
thoughts, moves tools), nobody is ever asked for what the longer text holds: such an answer is learned in a text of its
own, which ends with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunewright.errors import RenderError
from tunewright.records import Message
from tunewright.render.habits import Habits
from tunewright.thoughts import END, FIELDS, apart, together
from tunewright.turns import with_ids

RenderText = Callable[[Sequence[Message], bool], str]
# How a template is given thoughts: in fields of their own, in the words of the answer, or not at all.
Form = Literal["fields", "words"] | None
_THOUGHT_REMEDY = (
    "The answer holds what was thought before it: to learn that too, set model.thinking: true in the recipe; else "
    "leave the thoughts out of the answers."
)
_TAKEN_OUT = (
    "This template takes out what was thought before an answer, or has no place for it: name one of yours that writes "
    "it (model.template: FILE), or leave model.thinking off and the thoughts out of the answers."
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Characters `start:end` of the text are what the assistant said in message `index`, terminator included."""

    index: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A conversation up to an answer, as the template writes it, and its answers that are written as when asked for."""

    text: str
    turns: list[Turn]


def passages(messages: Sequence[Message], render: RenderText, habits: Habits, row: str) -> list[Passage]:
    """The conversation up to its last answer, and up to each earlier one that is written otherwise there.

    Each answer is looked at as if it were the last, which is how it is asked for, and falls to the first passage that
    begins so. The whole conversation comes first. Raises `RenderError` when what stands between a generation prompt and
    its terminator is not the assistant's message.
    """
    found: list[Passage] = []
    places = [index for index, message in enumerate(messages) if message.role == "assistant"]
    for index in reversed(places):
        head, whole = render(messages[:index], True), render(messages[: index + 1], False)
        if not whole.startswith(head):
            raise _unasked(row, index, messages[index], head, whole)
        end = _end(messages[index], whole, len(head), habits, row, index)
        passage = next((one for one in found if one.text.startswith(whole[:end])), None)
        if passage is None:
            found.append(passage := Passage(whole[:end], []))
        passage.turns.insert(0, Turn(index, len(head), end))
    return found


def _end(message: Message, whole: str, start: int, habits: Habits, row: str, index: int) -> int:
    """One past the terminator of the turn that starts at `start` and is the last of `whole`.

    What a template writes behind the terminator of a last turn alone (Phi-3 an end of text) is no part of the turn.
    """
    ends = sorted(
        {at + len(token) for token in habits.ends for at in _places(whole, token, start)},
        reverse=True,
    )
    if not ends:
        raise RenderError(
            f"turn {index + 1} does not end with the template's terminator {habits.ends[0]!r}: a model tuned on it "
            "would never learn to stop.",
            where=row,
            remedy="Add the terminator after assistant turns in the chat template, or name the token that it ends them "
            "with as `eos_token_id` in the model's generation_config.json.",
        )
    # Where a last turn's end is the terminator once more, the turn's own is the one before.
    own = next((end for end in ends if _is_said(message, whole[start:end], habits)), None)
    if own is None:
        raise _changed(message, whole[start : ends[0]], habits, row, index)
    return own


def _places(text: str, token: str, start: int) -> list[int]:
    found, at = [], text.find(token, start)
    while at >= 0:
        found.append(at)
        at = text.find(token, at + 1)
    return found


def _is_said(message: Message, said: str, habits: Habits) -> bool:
    """Whether `said` is the message between what the template writes around any answer.

    White space at an answer's ends may be cut, as many templates do: it is written nowhere, when asked least of all.
    """
    if message.tool_calls:
        if message.thought not in said:
            return False
        ends = max((end for end in habits.ends if said.endswith(end)), key=len)
        called = Counter(str(call["name"]) for call in message.tool_calls)
        # Some templates write the first of several calls and drop the rest.
        names = all(said.count(name) >= times for name, times in called.items())
        # A call behind a terminator would never be reached when asked.
        reached = not any(end in said.removesuffix(ends) for end in habits.ends if end not in message.content)
        return names and reached and message.content.strip() in said
    if message.thought:
        inner = said.removesuffix(habits.behind + habits.ends[0])
        whole = apart(inner, opened=habits.opens)
        wanted = (message.thought.strip(), message.content.strip(), True)
        return inner != said and (whole.thought, whole.answer.strip(), whole.ended) == wanted
    inner = said.removeprefix(habits.before).removesuffix(habits.behind + habits.ends[0])
    if len(inner) + len(habits.before + habits.behind + habits.ends[0]) != len(said):
        return False
    return inner in message.content and inner.strip() == message.content.strip()


def _changed(message: Message, said: str, habits: Habits, row: str, index: int) -> RenderError:
    words = together(message.thought, message.content) if message.thought else habits.before + message.content
    wanted = words + habits.behind + habits.ends[0]
    called = [str(call["name"]) for call in message.tool_calls]
    if called and not any(name in said for name in called):
        return RenderError(
            f"the chat template does not write tool calls: turn {index + 1} would be learned without them.\n"
            f"    the data calls:     {', '.join(called)}\n"
            f"    the template says:  {said!r}",
            where=row,
            remedy="Write the calls into the answers' own words, in the form that the base was trained on, or use a "
            "template that writes them.",
        )
    calls = f", and calls {', '.join(called)}" if called else ""
    return RenderError(
        f"the template changes what the assistant says in turn {index + 1}.\n"
        f"    the data says:      {wanted!r}{calls}\n"
        f"    the template says:  {said!r}",
        where=row,
        remedy=_of_thoughts(message)
        or "Change the data to the form the template writes, or use a template that leaves answers alone.",
    )


def _unasked(row: str, index: int, message: Message, head: str, whole: str) -> RenderError:
    same = next((i for i, (a, b) in enumerate(zip(head, whole, strict=False)) if a != b), min(len(head), len(whole)))
    cut = max(0, same - 40)
    return RenderError(
        f"the chat template asks for the answer in turn {index + 1} with a prompt that it does not write before it: "
        "what was learned could not be asked for.\n"
        f"    as a prompt:      …{head[cut : same + 40]!r}\n"
        f"    with the answer:  …{whole[cut : same + 40]!r}",
        where=row,
        remedy=_of_thoughts(message)
        or "Use a template that writes an answer behind the prompt it is asked for with (`add_generation_prompt`).",
    )


def _of_thoughts(message: Message) -> str:
    """What to do where it may be the answer's thought that cannot be written."""
    return _TAKEN_OUT if message.thought else _THOUGHT_REMEDY if END in message.content else ""


def with_system_in_user(messages: Sequence[Message]) -> Sequence[Message]:
    """The turns for a template without a place for a system's: its words stand before those of the user's first."""
    if len(messages) < 2 or (messages[0].role, messages[1].role) != ("system", "user"):
        return messages
    system, user = messages[:2]
    return [Message("user", f"{system.content}\n\n{user.content}"), *messages[2:]]


def as_dicts(
    messages: Sequence[Message], *, numbered: bool = False, form: Form = None, opens: bool = False
) -> list[dict[str, Any]]:
    """Messages as templates take them; `numbered` calls have ids of nine letters and digits, as Mistral's want.

    Thoughts are given in `form`. A prompt that `opens` one asks for it: in words an answer without has an empty one.
    """
    turns = [{**m.as_dict(), **_thought(m, form, opens)} for m in messages]
    if form is None:
        for turn in turns:
            turn.pop("reasoning_content", None)
    return with_ids(turns, "call{:03d}{:02d}") if numbered else turns


def _thought(message: Message, form: Form, opens: bool) -> dict[str, str]:
    """What a template is given of a turn for its thought."""
    if form == "fields" and message.thought:
        return dict.fromkeys(FIELDS, message.thought)
    if form == "words" and message.role == "assistant" and (message.thought or opens):
        return {"content": together(message.thought, message.content)}
    return {}


def as_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Tools in the shape templates take: `{"type": "function", "function": {…}}`."""
    if not tools:
        return None
    return [dict(t) if "function" in t else {"type": "function", "function": dict(t)} for t in tools]
