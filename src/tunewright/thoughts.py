"""What is thought before an answer: told apart from the answer, and put before it."""

from __future__ import annotations

import re
from typing import NamedTuple

# What turns call a field of thoughts: DeepSeek and vLLM, OpenRouter, Ollama.
FIELDS = ("reasoning_content", "reasoning", "thinking")
BEGIN, END = "<think>", "</think>"
_BEGUN = re.compile(r"\s*<(think(?:ing)?)>")


class Said(NamedTuple):
    """What was said: the thought before it ("": none), the answer, and whether the thought ended.

    What is said within a thought that never ends is no answer: that is empty.
    """

    thought: str
    answer: str
    ended: bool = True


def apart(text: str, *, opened: bool = False) -> Said:
    """The thought that `text` begins with and the answer behind it, without white space between; `opened`: the thought
    was begun before the text."""
    begun = None if opened else _BEGUN.match(text)
    if not begun and not opened:
        return Said("", text)
    start, end = (begun.end(), f"</{begun[1]}>") if begun else (0, END)
    thought, found, answer = text[start:].partition(end)
    return Said(thought.strip(), answer.lstrip(), bool(found))


def together(thought: str, answer: str) -> str:
    """An answer behind its thought, as Qwen3 and DeepSeek's distillates write the two."""
    return f"{BEGIN}\n{thought}\n{END}\n\n{answer}"
