"""Conversations written as one text: turns by the marks of who speaks."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

_WHO = {
    **dict.fromkeys(("human", "user", "instruction", "[inst]"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "ai", "model", "response", "output", "[/inst]"), "assistant"),
    **dict.fromkeys(("function response", "tool", "ipython", "observation"), "tool"),
    "system": "system",
    "input": "input",
}
# Each way of marking by itself: who is named in the first group. A text is told by one of them alone.
_MARKS = (
    re.compile(r"<\|im_start\|>\s*(system|user|assistant|tool)\s*\n"),
    re.compile(
        r"<\|(?:start_header_id|header_start)\|>(system|user|assistant|tool|ipython)<\|(?:end_header_id|header_end)\|>"
    ),
    re.compile(r"<start_of_turn>(system|user|model)\s*\n"),
    re.compile(r"<\|(system|user|assistant)\|>"),
    re.compile(r"(\[/?INST\])"),
    re.compile(r"#{2,3} ?(Human|User|Assistant|System|Instruction|Input|Response|Output):?[ \n]", re.I),
    re.compile(r"(?:^|\n)(Human|User|Assistant|GPT|Bot|AI|System|Function response|Tool|Observation): ?", re.I),
)
_ENDS = re.compile(
    r"\s*(?:</?s>|<bos>|<eos>|<end_of_turn>|<\|(?:im_end|end|endoftext|end_of_text|begin_of_text|eot|eot_id|eom_id)\|>)\s*"
)
_SYS = re.compile(r"^\s*<<SYS>>(.*?)<</SYS>>", re.S)


def spoken(text: Any) -> list[dict[str, str]] | None:
    """The turns of a text in which user and assistant are marked, the user's first; None where they are not."""
    if not isinstance(text, str):
        return None
    for mark in _MARKS:
        turns = list(_turns(text, mark))
        asked = next((turn["role"] for turn in turns if turn["role"] != "system"), "")
        if asked == "user" and any(turn["role"] == "assistant" for turn in turns):
            return turns
    return None


def _turns(text: str, mark: re.Pattern[str]) -> Iterator[dict[str, str]]:
    """What stands before the first mark, if anything, is the system's; an `Input` belongs to the instruction."""
    found = list(mark.finditer(text))
    begin = _said(text[: found[0].start()]) if found else ""
    if begin:
        yield {"role": "system", "content": begin}
    held: dict[str, str] | None = None
    for here, behind in itertools.zip_longest(found, found[1:]):
        role = _WHO[here.group(1).lower()]
        said = _said(text[here.end() : behind.start() if behind else len(text)])
        inner = _SYS.match(said) if role == "user" else None
        if inner:
            yield {"role": "system", "content": inner.group(1).strip()}
            said = said[inner.end() :].strip()
        if role == "input" and held:
            held["content"] = f"{held['content']}\n\n{said}".strip()
            continue
        if held:
            yield held
        held = {"role": role, "content": said}
    # A last mark with nothing behind it is where the next turn would have begun.
    if held and (held["content"] or held["role"] == "assistant"):
        yield held


def _said(text: str) -> str:
    return _ENDS.sub("\n", text).strip()
