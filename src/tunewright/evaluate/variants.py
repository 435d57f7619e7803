"""Ways to say a task: templates around one instruction, and a person's own. Which is best is for validation to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tunewright.evaluate.scorers import expected_text
from tunewright.records import Example

# A longer answer shown as a pattern would crowd out the question.
LONGEST_PATTERN = 600


class Variant(NamedTuple):
    """An instruction and where it stands: `system` (at the end of the system message) or `question` (after it)."""

    name: str
    text: str
    place: str = "system"


def variants(task: str, form: str, train: Sequence[Example], *, count: int, own: Sequence[str] = ()) -> list[Variant]:
    """The first `count` of our templates filled with the task and the form of the answer, then a person's own texts.

    The plainest come first, so that of equally good ones the plainest is taken. Deterministic. A template that needs a
    training answer is left out where none is short enough.
    """
    pattern = _pattern(train)
    made = [make(task, form, pattern) for make in TEMPLATES]
    ours = [variant for variant in made if variant is not None][:count]
    return [*ours, *(Variant(f"own {number}", text.strip()) for number, text in enumerate(own, 1) if text.strip())]


def _pattern(train: Sequence[Example]) -> str:
    """A training answer of middling length; empty where that is too long to show."""
    answers = sorted({expected_text(e.answer).strip() for e in train}, key=_by_length)
    middle = answers[len(answers) // 2] if answers else ""
    return middle if len(middle) <= LONGEST_PATTERN else ""


def _by_length(text: str) -> tuple[int, str]:
    return len(text), text


def _plain(task: str, form: str, pattern: str) -> Variant:
    return Variant("plain", f"{task}\n{form}")


def _beside(task: str, form: str, pattern: str) -> Variant:
    return Variant("beside the question", f"{task}\n{form}", "question")


def _patterned(task: str, form: str, pattern: str) -> Variant | None:
    text = f"{task}\n{form}\nAn answer has this form; what it says depends on the question:\n{pattern}"
    return Variant("with a pattern", text) if pattern else None


def _headed(task: str, form: str, pattern: str) -> Variant:
    rules = "- Write nothing before or after the answer.\n- Use only what the message says."
    return Variant("under headings", f"# Task\n{task}\n\n# Answer\n{form}\n\n# Rules\n{rules}")


def _role(task: str, form: str, pattern: str) -> Variant:
    return Variant("as a role", f"You are a careful specialist with a single job. {task}\n{form}\nDo nothing else.")


def _form_first(task: str, form: str, pattern: str) -> Variant:
    return Variant("form first", f"{form}\n{task}")


TEMPLATES: tuple[Callable[[str, str, str], Variant | None], ...] = (
    _plain,
    _beside,
    _patterned,
    _headed,
    _role,
    _form_first,
)
