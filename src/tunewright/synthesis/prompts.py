"""What a teacher is told. Plain words, one reply form: a JSON object and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence

OPENING = "You write examples that another model will learn from. Reply with one JSON object and nothing else."

PARAPHRASE = """Here is what a person wrote{task}:

{text}

Write {count} other wordings of it, as different people would put it: other words, another order, another length.
The meaning stays: names, numbers, dates and codes are kept as they are, nothing is added, nothing is left out. The
language stays. Do not answer it.{again}

Reply with this JSON object: {{"inputs": ["…"]}}"""

AUGMENT = """{task}Each example has an input and its output. These have {what}:

{shown}
{others}
Write {count} new examples with {what}. Invent other cases than those shown, as different people would put them, in the
same language, of about the same length. The output keeps exactly the form shown. Use no real person's data.{again}

Reply with this JSON object: {{"rows": [{{"input": "…", "output": …}}]}}"""

GENERATE = """{task}Each example has an input and its output. Some examples:

{shown}
{others}
Write {count} new examples of the same kind. Invent other cases than those shown, as different people would put them, in
the same language, of about the same length. The output keeps exactly the form shown. Use no real person's data.{again}

Reply with this JSON object: {{"rows": [{{"input": "…", "output": …}}]}}"""


def paraphrase(text: str, count: int, *, task: str | None, part: int) -> str:
    """The request for other wordings of one text; `part` tells apart several requests for the same text."""
    about = f" (the task is: {task.rstrip('.')})" if task else ""
    return PARAPHRASE.format(task=about, text=text, count=count, again=_again(part))


def augment(
    pairs: Sequence[tuple[str, str]], count: int, *, what: str, labels: Sequence[str], task: str | None, part: int
) -> str:
    """The request for new rows of one class, described by `what`, from `pairs` of that class."""
    return AUGMENT.format(
        task=_task(task),
        what=what,
        shown=_shown(pairs),
        others=_labels(labels, "The outputs of other examples are, for comparison:"),
        count=count,
        again=_again(part),
    )


def generate(
    pairs: Sequence[tuple[str, str]], count: int, *, labels: Sequence[str], task: str | None, part: int
) -> str:
    """The request for new rows of any class."""
    others = _labels(labels, "An output is one of:")
    return GENERATE.format(task=_task(task), shown=_shown(pairs), others=others, count=count, again=_again(part))


def _task(task: str | None) -> str:
    return f"The task is: {task.rstrip('.')}.\n\n" if task else ""


def _shown(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(json.dumps({"input": asked, "output": answered}, ensure_ascii=False) for asked, answered in pairs)


def _labels(labels: Sequence[str], intro: str) -> str:
    return f"\n{intro} {json.dumps(list(labels), ensure_ascii=False)}\n" if labels else ""


def _again(part: int) -> str:
    return f"\nThe most obvious ones are there already; this is request {part} for more." if part > 1 else ""
