"""What one row shows by itself: turns out of order, tool calls that cannot be made, personal data, untaught facts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable

from tunewright.data.within import kinds, strings
from tunewright.records import Example
from tunewright.text import Also, find, language

_NUMBER = re.compile(r"(?<![\w.,])\d[\d.,]+\d(?!\w)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]+)*")
_FIGURE = re.compile(r"\d+")
# Characters of a free answer and of a long one, and words of a sentence; what is shorter is a value or a label.
_FREE, _LONG, _SENTENCE = 12, 40, 3
_STEMS = (
    *("fuck", "shit", "asshole", "bitch", "cunt", "dickhead", "wanker", "bastard", "whore", "slut"),
    *("kill yourself", "kys"),
)
_RUDE = re.compile(
    r"\b(?:fuck\w*|motherfuck\w*|shit(?:ty|head)?|bullshit|asshole|bitch(?:es)?|cunt|dickhead|wanker|bastard|whore|slut"
    r"|kill yourself|kys)\b",
    re.I,
)


def inspect(example: Example, also: Also | None = None) -> Iterator[tuple[str, str]]:
    """Codes and reasons of what is wrong with, or worth knowing of, one example. URLs are noted as `url`.

    `also` finds personal data beside our own patterns: start, end and kind.
    """
    order = _order(example)
    if order:
        yield "role_order", order
    for m in example.messages:
        for text in (m.content, m.thought) if m.thought else (m.content,):
            for span in find(text, also):
                yield _sort(span.kind, span.secret), span.kind
    calls = [m.tool_calls for m in example.messages if m.tool_calls]
    if example.tools or calls:
        fault = _calls(example)
        if fault:
            yield "tool_call_invalid", fault
        for name, text in strings((example.tools, calls)):
            for kind, secret in kinds(name, text, also):
                yield _sort(kind, secret), kind
    rude = _rude(example)
    if rude:
        yield "inappropriate", rude
    if example.label is None and len(example.answer.content) >= _FREE:
        fact = _fact(example)
        if fact:
            yield "teaches_facts", fact


def _sort(kind: str, secret: bool) -> str:
    """The code that a find counts under."""
    return "secret" if secret else "url" if kind == "url" else "pii"


def _rude(example: Example) -> str:
    """The first abusive word, or ""."""
    text = "\n".join([f"{m.thought}\n{m.content}" if m.thought else m.content for m in example.messages])
    folded = text.casefold()
    # Most rows hold none of the stems, which is told in a tenth of the time that the pattern takes.
    found = _RUDE.search(text) if any(stem in folded for stem in _STEMS) else None
    return found.group().lower() if found else ""


def _order(example: Example) -> str:
    """What is unusual about the order of turns, or ""."""
    before = ""
    for i, m in enumerate(example.messages):
        if m.role == "system" and i:
            return "a system turn after the first"
        if m.role == before and m.role in ("user", "assistant") and not m.tool_calls:
            return f"two {m.role} turns in a row"
        if m.role == "assistant" and before in ("", "system"):
            return "the assistant speaks first"
        if m.role == "tool" and before not in ("assistant", "tool"):
            return "a tool answers that nobody called"
        before = m.role
    return ""


def _calls(example: Example) -> str:
    """What is wrong with the first wrong tool call, or ""."""
    schemas = {}
    for tool in example.tools:
        function = tool.get("function", tool)
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            schemas[function["name"]] = function.get("parameters")
        else:
            return "a tool without a name"
    for m in example.messages:
        for call in m.tool_calls:
            name, arguments = call.get("name"), call.get("arguments")
            if not name:
                return "a call without a name"
            if not isinstance(arguments, Mapping):
                return f"arguments of `{name}` are not a JSON object"
            if schemas and name not in schemas:
                return f"`{name}` is not among the row's tools"
            if isinstance(schemas.get(name), Mapping):
                wrong = _against(json.dumps(schemas[name], sort_keys=True), arguments)
                if wrong:
                    return f"`{name}`: {wrong}"
    return ""


@lru_cache(maxsize=2048)
def _validator(schema: str) -> Any:
    """A validator for the schema, or None when the schema itself is none."""
    parsed = json.loads(schema)
    if parsed.get("type") != "object" and "properties" not in parsed:
        return None
    if not isinstance(parsed.get("$schema", ""), str):
        return None
    kind = jsonschema.validators.validator_for(parsed)
    try:
        kind.check_schema(parsed)
    except jsonschema.SchemaError:
        return None
    # What a row names is not fetched: a reference leads to the schema itself or to the standard's own.
    return kind(parsed, registry=Registry())


def _against(schema: str, arguments: Mapping[str, Any]) -> str:
    """The first thing wrong, or "": a schema that cannot be followed here says nothing of the call."""
    try:
        validator = _validator(schema)
        wrong = next(validator.iter_errors(dict(arguments)), None) if validator else None
    except (Unresolvable, RecursionError, ValueError):
        return ""
    return str(wrong.message)[:120] if wrong else ""


def _fact(example: Example) -> str:
    """A number or name of the answer that the prompt does not give and arithmetic cannot, or "".

    A short answer states a number only in a sentence, and no names: those may be what a prompt asks to choose from.
    """
    prompt = " ".join(m.content for m in example.prompt)
    answer = example.answer.content
    long = len(answer) >= _LONG
    # Where a prompt has two figures, a third may come of them.
    if "=" not in answer and (long or len(answer.split()) >= _SENTENCE) and len(_FIGURE.findall(prompt)) < 2:
        for number in _NUMBER.findall(answer):
            if number.rstrip(".,") not in prompt:
                return f"number {number.rstrip('.,')}"
    if not long:
        return ""
    low = prompt.lower()
    names = [name for name in _NAME.findall(answer) if name.lower() not in low]
    # In German every noun begins with a capital letter.
    return f"name {names[0]}" if len(names) >= 2 and language.told(answer) != "de" else ""
