"""Tasks → conversations: asked for in words, by examples as earlier turns, or by examples inside one prompt."""

from __future__ import annotations

import json

from ..tokenizer import CALL, CALL_END, START, STOP
from . import arithmetic, extraction, labels, rewriting, talk, tools
from .task import Example, Random, Task

FAMILIES = {
    extraction.extraction: 0.42,
    extraction.question: 0.08,
    labels.by_wording: 0.07,
    labels.by_scene: 0.05,
    labels.by_subject: 0.06,
    labels.by_kind: 0.03,
    rewriting.by_rule: 0.11,
    rewriting.wrapped: 0.04,
    rewriting.find_kind: 0.04,
    rewriting.table_lookup: 0.04,
    arithmetic.sums: 0.04,
    arithmetic.stories: 0.02,
}
Segment = tuple[str, bool]  # text, and whether it is the assistant's to learn


def turn(role: str, content: str) -> list[Segment]:
    if role != "assistant":
        return [(f"{START}{role}\n{content}{STOP}\n", False)]
    return [(f"{START}assistant\n", False), (f"{content}{STOP}", True), ("\n", False)]


def render(messages: list[dict], offered: list[dict] | None = None) -> list[Segment]:
    """What the chat template renders (a test compares them), cut into what is learnt and what is given."""
    segments: list[Segment] = []
    if offered:
        first = messages[0]["content"] + "\n\n" if messages[0]["role"] == "system" else ""
        listed = "".join(json.dumps(tool, ensure_ascii=False) + "\n" for tool in offered)
        note = f'To use one, answer {CALL}{{"name": ..., "arguments": {{...}}}}{CALL_END}'
        segments += turn("system", f"{first}Tools:\n{listed}{note}")
        messages = messages[1:] if first else messages
    for message in messages:
        content = message["content"]
        for call in message.get("tool_calls", ()):
            body = json.dumps({"name": call["name"], "arguments": call["arguments"]}, ensure_ascii=False)
            content += ("\n" if content else "") + f"{CALL}\n{body}\n{CALL_END}"
        segments += turn(message["role"], content)
    return segments


def draw_distinct(task: Task, r: Random, count: int) -> list[Example]:
    return [task.draw(r) for _ in range(count)]


def as_turns(task: Task, r: Random, count: int) -> list[dict]:
    """Earlier turns show the task; the instruction stands in the system turn, before the first input, or nowhere."""
    examples = draw_distinct(task, r, count)
    place = r.choices(["system", "first", "every", "none"], [5, 1, 1, 2 if count > 2 else 0])[0]
    vague = count > 2 and task.vague and r.random() < 0.35
    instruction = r.choice(task.vague if vague else task.instructions)
    messages: list[dict] = [{"role": "system", "content": instruction}] if place == "system" else []
    for i, (given, wanted) in enumerate(examples):
        asked = f"{instruction}\n\n{given}" if place == "every" or (place == "first" and i == 0) else given
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": wanted}]
    return messages


def in_one_prompt(task: Task, r: Random, count: int) -> list[dict]:
    *shown, (given, wanted) = draw_distinct(task, r, count)
    left, right = r.choice(
        [("Input", "Output"), ("Text", "Answer"), ("Q", "A"), ("in", "out"), ("Example", "Result"), ("Note", "JSON")]
    )
    lines = "\n\n".join(f"{left}: {a}\n{right}: {b}" for a, b in shown)
    instruction = r.choice((*task.instructions, *task.vague))
    asked = f"{instruction}\n\n{lines}\n\n{left}: {given}\n{right}:"
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": wanted}]


def asked_plainly(task: Task, r: Random) -> list[dict]:
    given, wanted = task.draw(r)
    instruction = r.choice(task.instructions)
    between = r.choice(["\n\n", "\n", " ", "\n\nText: ", " Text: ", "\n\nInput:\n"])
    asked = f"{instruction}{between}{given}" if r.random() < 0.75 else f"{given}\n\n{instruction}"
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": wanted}]


def episode(r: Random, shots: bool) -> list[Segment]:
    """One conversation. With `shots`, mostly several examples of one task."""
    roll = r.random()
    if roll < 0.07:
        return render(*tools.conversation(r))
    if roll < 0.09:
        return render(talk.conversation(r))
    task = r.choices(list(FAMILIES), list(FAMILIES.values()))[0](r)
    if task.arbitrary:
        return render(as_turns(task, r, r.randint(3, 12)))
    if not shots or roll < 0.25:
        return render(asked_plainly(task, r) if r.random() < 0.7 else as_turns(task, r, 1))
    if roll < 0.40:
        return render(in_one_prompt(task, r, r.randint(2, 8)))
    return render(as_turns(task, r, r.randint(2, 12)))
