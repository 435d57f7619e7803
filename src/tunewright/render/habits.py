"""What a chat template does with answers, calls and tools, found by trying it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tunewright.errors import RenderError
from tunewright.records import Message
from tunewright.thoughts import BEGIN, END

# The conversation as the template writes it; as a prompt where the flag is set. Raises `RenderError` for one refused.
Write = Callable[[Sequence[Message], bool], str]
# Stands for words: no template and no data has it.
MARK = "\ue000"
_ASKED = Message("user", "x")
_MARKED = Message("assistant", MARK)
_CALLING = Message("assistant", "", ({"name": "f", "arguments": {}},))


@dataclass(frozen=True, slots=True)
class Habits:
    """How a template writes what the assistant says.

    A turn is `before`, the words, `behind` and one of `ends`: the first of them ends words, and calls are ended by the
    last where a template ends them otherwise. The model has to write all four, for none is in its prompt. `unwritten`
    ends a prompt and is not written again before the answer. `opens`: a prompt begins the thought before an answer.
    `added` are the ends, of words and of calls, that a template writes with the next turn alone: a last turn is given
    them.
    """

    ends: tuple[str, ...]
    before: str
    behind: str
    unwritten: str
    opens: bool = False
    added: tuple[str, str] = ("", "")


def found(tokenizer: PreTrainedTokenizerBase, write: Write, stops: Sequence[str], opens: bool = False) -> Habits:
    """`stops` are the tokens that the model is known to stop at: a turn with calls may end with one of them instead.
    `opens`: thoughts are written, and a prompt begins one.

    Raises `RenderError` for a template that ends an answer with no token, or would end it before its words.
    """
    head = write((_ASKED,), True)
    opened, _, tail = write((_ASKED, _MARKED), False).partition(MARK)
    added = ("", "")
    if not tail.strip():
        tail, added = _begun_next(write, tuple(stops))
    end = _first(tokenizer, tail)
    before, unwritten = "", ""
    if opened.startswith(head):
        before = opened.removeprefix(head)
    elif head.startswith(opened) and not _open(head.removeprefix(opened)):
        # An answer inside a thought that only the prompt opens would be read as the thought.
        unwritten = head.removeprefix(opened)
    if end in before:
        raise RenderError(
            f"the chat template ends an answer with {end!r} and writes it before the answer's words too: a model tuned "
            "with it would stop before them.",
            remedy="Use a template with an end-of-turn token of its own.",
        )
    called = _taken(write, (_ASKED, _CALLING)) + added[1]
    calling = called.removeprefix(head.removesuffix(unwritten))
    other = max((stop for stop in stops if calling.rstrip().endswith(stop)), key=len, default="")
    return Habits(
        ends=(end, other) if other and end not in calling else (end,),
        before=before,
        behind=tail[: len(tail) - len(tail.lstrip())],
        unwritten=unwritten,
        opens=opens,
        added=added,
    )


def _begun_next(write: Write, stops: Sequence[str]) -> tuple[str, tuple[str, str]]:
    """What follows an answer that the template ends with no token of its own, and the tokens behind words and calls.

    GLM's models end a turn by beginning the next one: with the user's token after words, with the tool's after calls,
    and stop at both. Empty where the next turn begins with nothing that the model is known to stop at.
    """

    def first(text: str) -> str:
        return max((stop for stop in stops if text.lstrip().startswith(stop)), key=len, default="")

    tail = _taken(write, (_ASKED, _MARKED, _ASKED)).partition(MARK)[2]
    calling = _taken(write, (_ASKED, _CALLING))
    answered = _taken(write, (_ASKED, _CALLING, Message("tool", "y")))
    words = first(tail)
    calls = first(answered.removeprefix(calling)) if answered.startswith(calling) else ""
    return (tail, (words, calls or words)) if words else ("", ("", ""))


def takes(write: Write, messages: Sequence[Message]) -> bool:
    """Whether the template writes such a conversation and does not refuse it."""
    return bool(_taken(write, messages))


def places_a_system(write: Write) -> bool:
    """Whether a system's words are in the conversation, and at one place in it when asked and when answered.

    Gemma's first two refuse them; Mistral's put them before the user's last turn, and nowhere behind an answer.
    """
    system, asked, said = Message("system", MARK), _ASKED, Message("assistant", "z")
    whole = _taken(write, (system, asked, said))
    head = _taken(write, (system, asked))
    return MARK in whole and MARK in head and whole[: head.index(MARK) + 1] == head[: head.index(MARK) + 1]


def begins_thoughts(write: Write) -> bool:
    """Whether a prompt begins the thought before an answer (DeepSeek-R1's does), which only the answer ends."""
    return _open(write((_ASKED,), True).removeprefix(_taken(write, (_ASKED,))))


def takes_fields(write: Write) -> bool:
    """Whether thoughts that are given in fields of their own are written."""
    return MARK in _taken(write, (_ASKED, Message("assistant", "z", thought=MARK)))


def _taken(write: Write, messages: Sequence[Message]) -> str:
    """The conversation as written, empty where it is refused."""
    try:
        return write(messages, False)
    except RenderError:
        return ""


def _first(tokenizer: PreTrainedTokenizerBase, tail: str) -> str:
    """The token that `tail` begins with, white space aside."""
    begun = [t for t in _tokens(tokenizer) if tail.lstrip().startswith(t)]
    if not begun:
        raise RenderError(
            f"the chat template ends an assistant turn with {tail!r}, which is no token of this tokenizer: "
            "a model tuned with it would never learn to stop.",
            remedy="Use a template that writes an end-of-turn token after assistant turns; or, where the model ends a "
            "turn by beginning the next, name that token as `eos_token_id` in its generation_config.json.",
        )
    return max(begun, key=len)


def _tokens(tokenizer: PreTrainedTokenizerBase) -> Iterable[str]:
    added = (str(t) for t in tokenizer.added_tokens_decoder.values())
    return {t for t in (*tokenizer.all_special_tokens, *added) if t}


def _open(text: str) -> bool:
    return text.count(BEGIN) > text.count(END)
