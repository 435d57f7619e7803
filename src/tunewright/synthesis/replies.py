"""A teacher's reply to drafts of rows: JSON is found wherever it stands in the reply, whole or cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.synthesis.requests import Request

_MOST = 200_000
_INPUTS = ("input", "question", "text", "paraphrase", "prompt", "rewording", "user")
_OUTPUTS = ("output", "answer", "label", "completion", "response", "assistant")
_LISTS = ("inputs", "rows", "examples", "items", "data", "paraphrases", "rewordings", "results")

# What assistants say of themselves, and how they decline.
SELF = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|\bi(?:'| a)m (?:just |only )?an? (?:ai|(?:large )?language model)\b|\bals ki(?:-| )"
    r"|\ben tant qu'(?:ia|intelligence artificielle)\b|\bcomo (?:una )?(?:ia|inteligencia artificial)\b",
    re.I,
)
DECLINED = re.compile(
    r"\bi(?:'m| am) sorry,? (?:but )?i (?:can(?:no|')t|am (?:unable|not able)|won't)\b"
    r"|\bi (?:can(?:no|')t|am unable to|am not able to|won't) "
    r"(?:help|assist|comply|fulfil|provide|generate|create|write|do that|do this|produce)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """One row as a teacher wrote it. `fault` and `detail` say why it is none: `refused`, `unparseable`, `missing`,
    `refusal`, `empty` or `wrong_form`; "" so far."""

    request: Request
    place: int
    input: str = ""
    output: str = ""
    fault: str = ""
    detail: str = ""


def drafts(request: Request, place: int, text: str, *, refused: str = "") -> tuple[list[Draft], int]:
    """The reply as exactly as many drafts as were asked for, and how many more it held, which are left.

    `place` numbers the request. What is not there is a draft too, with its fault: so the sums come out. `refused` says
    why the server would not answer.
    """
    if refused:
        return [Draft(request, place, fault="refused", detail=refused)] * request.wanted, 0
    body = text[:_MOST]
    values = list(_values(body))
    items = [item for value in values for item in _flat(value)]
    pairs = [pair for item in items if (pair := _pair(item, request)) is not None]
    found = [_draft(request, place, *pair) for pair in pairs[: request.wanted]]
    lacking = request.wanted - len(found)
    if not lacking:
        return found, len(pairs) - len(found)
    if DECLINED.search(body) or SELF.search(body):
        fault, detail = "refusal", body.strip()[:200]
    elif values and len(items) == len(pairs):
        fault, detail = "missing", f"{len(found)} of {request.wanted} were given"
    else:
        fault, detail = "unparseable", body.strip()[:200] or "nothing was said"
    return [*found, *(Draft(request, place, fault=fault, detail=detail) for _ in range(lacking))], 0


def _values(text: str) -> Iterator[Any]:
    """Every JSON object or list in the text, outermost first; of one that is cut off, the whole ones inside."""
    decoder = json.JSONDecoder()
    at = 0
    for opening in re.finditer(r"[\[{]", text):
        if opening.start() < at:
            continue
        try:
            value, at = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        yield value


def _flat(value: Any) -> Iterator[Any]:
    """The rows in a JSON value: in a list, in a list under some name, or the value itself."""
    if isinstance(value, list):
        yield from value
        return
    held = [value[name] for name in _LISTS if isinstance(value.get(name), list)]
    if not held and len(value) == 1:
        held = [inner for inner in value.values() if isinstance(inner, list)]
    yield from held[0] if held else [value]


def _pair(item: Any, request: Request) -> tuple[str, Any] | None:
    """Input and output of one row; None for what is none."""
    if isinstance(item, str):
        return (item, request.target) if _needs_no_output(request) else None
    if not isinstance(item, Mapping):
        return None
    asked = next((item[name] for name in _INPUTS if isinstance(item.get(name), str)), None)
    if asked is None:
        return None
    if request.kind == "paraphrase":
        return asked, None
    answered = next((item[name] for name in _OUTPUTS if name in item), None)
    if answered is None and _needs_no_output(request):
        answered = request.target
    return None if answered is None else (asked, answered)


def _needs_no_output(request: Request) -> bool:
    """Whether the answer is known before: the row's own, or the label that was asked for."""
    return request.kind == "paraphrase" or (request.kind == "augment" and bool(request.form.labels))


def _draft(request: Request, place: int, asked: str, answered: Any) -> Draft:
    asked = asked.strip()
    if request.kind == "paraphrase":
        output, wrong = request.seeds[0].answer.content, ""
    else:
        output, wrong = request.form.settled(answered)
        wrong = wrong or _off_target(request, output)
    fault, detail = "", ""
    if not asked or not (output or request.seeds[0].answer.tool_calls):
        fault, detail = "empty", "no input" if not asked else "no output"
    elif SELF.search(asked) or (request.kind != "paraphrase" and _declines(request, output)):
        fault, detail = "refusal", (asked if SELF.search(asked) else output)[:200]
    elif wrong:
        fault, detail = "wrong_form", wrong
    return Draft(request, place, asked, output, fault, detail)


def _declines(request: Request, output: str) -> bool:
    """Whether the answer refuses, and those shown do not."""
    shown = any(SELF.search(e.answer.content) or DECLINED.search(e.answer.content) for e in request.seeds)
    return not shown and bool(SELF.search(output) or DECLINED.search(output))


def _off_target(request: Request, output: str) -> str:
    if request.target is None:
        return ""
    found: Any = output
    if request.field is not None:
        try:
            found = json.loads(output).get(request.field)
        except (ValueError, AttributeError):
            found = None
    return "" if found == request.target else f"`{request.target}` was asked for, not `{str(found)[:60]}`"
