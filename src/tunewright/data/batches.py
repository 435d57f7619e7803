"""What a batch was asked and what it answered: two files of a service, joined by `custom_id`, or Gemini's `key`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.data.files import read
from tunewright.errors import DataError
from tunewright.store import write_text

# Of what was asked, this is part of an example.
_ASKED = ("system", "systemInstruction", "system_instruction", "messages", "contents", "tools")


def joined(requests: Path, results: Path, out: Path) -> dict[int, str]:
    """Write a row for each record of `results` to `out`, its request and its answer; and say which have none, and why.

    Both are as OpenAI, Mistral, Anthropic and Gemini take and give them. Raises `DataError` where none has its request.
    """
    asked = {_id(raw.value): _request(raw.value) for raw in read(requests)}
    rows: list[dict[str, Any]] = []
    missing: dict[int, str] = {}
    for raw in read(results):
        name, (answer, why) = _id(raw.value), _answer(raw.value)
        request = asked.get(name)
        if request is None:
            why = f"{'the request has no turns' if name in asked else 'no request has its custom_id'} (`{name}`)"
        if why:
            missing[raw.number] = why
        # A place is kept for what is missing: rows are called by where they stand in the file of results.
        rows.append({} if why or request is None else _together(request, answer))
    if len(missing) == len(rows):
        raise DataError(
            f"none of its {len(rows):,} records can be used: {next(iter(missing.values()), 'it is empty')}.",
            where=str(results),
            remedy=f"Name the file that this batch was made from in place of {requests.name}: --requests FILE",
        )
    write_text(out, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    return missing


def _id(value: Any) -> str:
    return str(value.get("custom_id") or value.get("key") or "") if isinstance(value, Mapping) else ""


def _request(value: Any) -> dict[str, Any] | None:
    """What was asked: OpenAI's `body`, Anthropic's `params`, Gemini's `request`."""
    held = next(filter(None, (_inside(value, name) for name in ("body", "params", "request"))), {})
    asked = {name: held[name] for name in _ASKED if held.get(name)}
    return asked if "messages" in asked or "contents" in asked else None


def _together(request: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The row: the answer as a column beside the turns, or (Gemini's) as the last of them."""
    said = [*request.get("contents", ()), *answer.get("contents", ())]
    return {**request, **answer, **({"contents": said} if said else {})}


def _answer(value: Any) -> tuple[dict[str, Any], str]:
    """What was answered, as a column beside the turns; or why nothing was."""
    response, result = _inside(value, "response"), _inside(value, "result")
    choices = _inside(response, "body").get("choices")
    if choices:
        return {"choices": choices}, ""
    if result.get("type") == "succeeded" and result.get("message"):
        return {"answer": result["message"]}, ""
    candidate: Mapping[str, Any] = next(iter(response.get("candidates") or ()), {})
    if _inside(candidate, "content").get("parts"):
        return {"contents": [{"role": "model", **candidate["content"]}]}, ""
    failed = _inside(value, "error") or _inside(_inside(response, "body"), "error") or _inside(result, "error")
    told = failed.get("message") or failed.get("type") or result.get("type") or response.get("status_code")
    told = told or candidate.get("finishReason") or _inside(response, "promptFeedback").get("blockReason")
    return {}, f"the request was not answered{f': {told}' if told else ''}"


def _inside(value: Any, name: str) -> Mapping[str, Any]:
    held = value.get(name) if isinstance(value, Mapping) else None
    return held if isinstance(held, Mapping) else {}
