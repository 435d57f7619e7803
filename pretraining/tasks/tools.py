"""Conversations with tools: listed in the system turn, called by the assistant, answered by a tool turn."""

from __future__ import annotations

import json
from dataclasses import dataclass

from . import banks
from .task import Random

VERBS = {
    "find": ("Find {}.", "Can you find {}?", "I am looking for {}."),
    "add": ("Please add {}.", "Add {}.", "I would like to add {}."),
    "remove": ("Remove {}.", "Please take out {}.", "Get rid of {}."),
    "book": ("Book {}, please.", "I want to book {}.", "Can you book {}?"),
    "count": ("Count {}.", "How many are there of {}?"),
    "send": ("Send {}.", "Please send {}.", "Could you send {}?"),
    "open": ("Open {}.", "I need {} opened."),
    "measure": ("Measure {}.", "What are the measures of {}?"),
    "translate": ("Translate {}.", "I need {} translated."),
    "list": ("List {}.", "Show me {}."),
}
NOUNS = banks.words("""
    room letter plant tool sample ship lesson parcel book map photo file contact note event path garden
    shelf list page team boat
""")
ARGUMENTS = {  # name: kind of value, the words that bring it
    "name": ("coined", ("called {}", "named {}")),
    "city": ("city", ("in {}",)),
    "date": ("date", ("on {}", "for {}")),
    "time": ("time", ("at {}",)),
    "person": ("person", ("for {}", "with {}")),
    "color": ("color", ("in {}", "that is {}")),
    "code": ("code", ("with the code {}", "marked {}")),
    "count": ("count", ("{} times", "up to {}")),
    "language": ("language", ("in {}",)),
    "email": ("email", ("to {}",)),
    "material": ("material", ("made of {}",)),
    "country": ("country", ("from {}",)),
    "price": ("money", ("below {}", "for {}")),
    "room": ("room", ("near {}",)),
}
ASIDES = ("Hello!", "Hi, how are you?", "What can you do?", "Thanks a lot.", "Tell me something nice.", "Who are you?")


@dataclass(frozen=True)
class Tool:
    verb: str
    noun: str
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.verb}_{self.noun}"

    def schema(self) -> dict:
        properties = {a: {"type": "integer" if a == "count" else "string"} for a in self.arguments}
        return {
            "name": self.name,
            "description": f"{self.verb.capitalize()} a {self.noun}",
            "parameters": {"type": "object", "properties": properties, "required": list(self.arguments)},
        }


def tool(r: Random) -> Tool:
    return Tool(r.choice(sorted(VERBS)), r.choice(NOUNS), tuple(r.sample(sorted(ARGUMENTS), r.choice([1, 1, 2, 2, 3]))))


def request(r: Random, wanted: Tool) -> tuple[str, dict[str, object]]:
    values: dict[str, object] = {}
    words = [f"{r.choice(['a', 'the', 'my'])} {wanted.noun}"]
    for argument in wanted.arguments:
        kind, openings = ARGUMENTS[argument]
        shown = banks.KINDS[kind](r)
        values[argument] = int(shown) if kind == "count" else shown
        words.append(r.choice(openings).format(shown))
    return r.choice(VERBS[wanted.verb]).format(" ".join(words)), values


def answer(r: Random, wanted: Tool, values: dict[str, object]) -> tuple[dict, str]:
    """What the tool says, and what the assistant makes of it."""
    roll = r.random()
    if roll < 0.2:
        return {"error": "not found"}, f"Sorry, I could not {wanted.verb} that {wanted.noun}: it was not found."
    if roll < 0.6:
        number = r.randint(1, 500)
        return {"ok": True, "id": number}, f"Done. The {wanted.noun} has the number {number}."
    found = banks.KINDS[r.choice(["coined", "city", "person", "money", "date"])](r)
    return {"result": found}, f"The result is {found}."


def conversation(r: Random) -> tuple[list[dict], list[dict]]:
    """Messages and tools."""
    offered = {t.name: t for t in (tool(r) for _ in range(r.choice([1, 2, 2, 3, 4])))}
    messages: list[dict] = []
    if r.random() < 0.3:
        messages.append(
            {
                "role": "system",
                "content": r.choice(["You are a helpful assistant.", "Use the tools.", "You help with small jobs."]),
            }
        )
    for _ in range(r.choice([1, 1, 2, 3])):
        if r.random() < 0.12:
            messages.append({"role": "user", "content": r.choice(ASIDES)})
            messages.append({"role": "assistant", "content": f"I can help with this: {', '.join(offered)}."})
            continue
        wanted = r.choice(list(offered.values()))
        asked, values = request(r, wanted)
        messages.append({"role": "user", "content": asked})
        messages.append(
            {"role": "assistant", "content": "", "tool_calls": [{"name": wanted.name, "arguments": values}]}
        )
        if r.random() < 0.7:
            said, reply = answer(r, wanted, values)
            messages.append({"role": "tool", "content": json.dumps(said)})
            messages.append({"role": "assistant", "content": reply})
        else:
            break
    return messages, [t.schema() for t in offered.values()]
