"""A text about something → its fields, as JSON, lines or a row; or one question about it → a short answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import banks
from .task import Example, Random, Task


@dataclass(frozen=True)
class Field:
    names: tuple[str, ...]
    kind: str | None
    clauses: tuple[str, ...] = ()  # of an open field
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of a field with few values: value, clauses


@dataclass(frozen=True)
class Scene:
    subject: str
    fields: tuple[Field, ...]


def parts(line: str, mark: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in line.split(mark))


def field(line: str) -> Field:
    if "|" in line:
        names, kind, clauses = parts(line, "|")
        return Field(parts(names, ","), kind, parts(clauses, " / "))
    names, values = line.split("=", 1)
    pairs = [value.split(":", 1) for value in parts(values, " ; ")]
    return Field(parts(names, ","), None, values=tuple((v.strip(), parts(c, " / ")) for v, c in pairs))


@cache
def scenes() -> tuple[Scene, ...]:
    found: list[tuple[str, list[Field]]] = []
    for line in Path(__file__).with_name("domains.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("* "):
            found.append((line[2:], []))
        elif line and not line.startswith("#"):
            found[-1][1].append(field(line))
    return tuple(Scene(subject, tuple(fields)) for subject, fields in found)


@dataclass(frozen=True)
class Plan:
    """What one task asks for: the scene, which fields under which keys, what is told beside, how absence is written."""

    scene: Scene
    asked: tuple[tuple[str, Field], ...]
    told: tuple[Field, ...]
    missing: float
    absent: str | None
    numbers: bool
    noise: float
    arbitrary: bool


def plan(r: Random) -> Plan:
    scene = r.choice(scenes())
    fields = list(scene.fields)
    r.shuffle(fields)
    count = min(r.choice([1, 2, 3, 3, 4, 4, 5, 5, 6]), len(fields))
    keys: list[tuple[str, Field]] = []
    style = r.random()
    for one in fields[:count]:
        name = r.choice(one.names)
        if style < 0.10:
            name = name.upper()
        elif style < 0.20:
            name = name.capitalize()
        elif style < 0.27:
            name = r.choice(banks.VOCABULARY)  # only examples tell what it holds
        if name not in dict(keys):
            keys.append((name, one))
    extra = r.choice([0, 0, 0, 1, 2])
    missing = r.choice([0.0, 0.0, 0.0, 0.15, 0.3])
    absent = r.choice([None, None, "", "unknown"])
    return Plan(
        scene,
        tuple(keys),
        tuple(fields[count : count + extra]),
        missing,
        absent,
        r.random() < 0.5,
        r.choice([0, 0, 0.3]),
        0.20 <= style < 0.27,
    )


def say(r: Random, one: Field, numbers: bool) -> tuple[str, object]:
    """A sentence that tells the field, and its value."""
    if one.kind is None:
        value, clauses = r.choice(one.values)
        return r.choice(clauses), value
    shown = banks.KINDS[one.kind](r)
    value: object = int(shown) if numbers and one.kind in banks.NUMBERS else shown
    return r.choice(one.clauses).replace("{}", shown), value


def describe(r: Random, p: Plan) -> tuple[str, dict[str, object]]:
    sentences, values = [], {}
    for key, one in p.asked:
        if r.random() < p.missing:
            values[key] = p.absent
            continue
        sentence, values[key] = say(r, one, p.numbers)
        sentences.append(sentence)
    sentences += [say(r, one, False)[0] for one in p.told]
    if r.random() < p.noise:
        words = " ".join(r.choice(banks.VOCABULARY) for _ in range(r.randint(3, 8)))
        sentences.append(words.capitalize() + ".")
    r.shuffle(sentences)
    told = " ".join(sentences) or r.choice(["Nothing more is known.", "No details."])
    if r.random() < 0.08:
        told = told.lower()
        values = {k: v.lower() if isinstance(v, str) and v != p.absent else v for k, v in values.items()}
    return told, values


def write(values: dict[str, object], form: str) -> str:
    if form == "json":
        return json.dumps(values, ensure_ascii=False)
    if form == "indented":
        return json.dumps(values, ensure_ascii=False, indent=2)
    if form == "tight":
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    plain = {k: "" if v is None else str(v) for k, v in values.items()}
    if form == "lines":
        return "\n".join(f"{k}: {v}" for k, v in plain.items())
    return " | ".join(plain.values())


FORM_WORDS = {
    "json": ("JSON", "a JSON object", "one line of JSON"),
    "indented": ("indented JSON", "pretty-printed JSON"),
    "tight": ("compact JSON", "JSON without spaces"),
    "lines": ("lines of the form key: value", "key: value lines"),
    "row": ("one row, values separated by |", "the values separated by |"),
}
ASK = (
    "Return {form} with the fields {keys}.",
    "Extract {keys} from the text. Answer with {form}.",
    "Give {form} with these keys: {keys}.",
    "Read the text and fill in {keys}. Output {form} and nothing else.",
    "Turn the note into {form}. Fields: {keys}.",
    "You read short notes about a {subject} and answer with {form}: {keys}.",
    "Fields wanted: {keys}. Format: {form}.",
)
VAGUE = (
    "Turn each note into data.",
    "Do the same for the new text.",
    "You fill in forms.",
    "Extract the data.",
    "Convert it.",
)


def explain(p: Plan, r: Random) -> str:
    """The keys as asked for; fields with few values sometimes list them."""
    shown = []
    listing = r.random() < 0.5
    for key, one in p.asked:
        values = [v for v, _ in one.values]
        shown.append(f"{key} ({r.choice([', ', ' or ', '|']).join(values)})" if values and listing else key)
    return ", ".join(shown)


def nested(p: Plan, values: dict[str, object], outer: tuple[str, str]) -> dict[str, object]:
    return {outer[0]: p.scene.subject, outer[1]: values}


def extraction(r: Random) -> Task:
    p = plan(r)
    form = r.choices(list(FORM_WORDS), [8, 1, 1, 1, 0.7])[0]
    outer = (
        r.choice([("kind", "details"), ("about", "data"), ("type", "values"), ("topic", "fields")])
        if r.random() < 0.1
        else None
    )
    words = r.choice(FORM_WORDS[form])
    note = ""
    if p.missing:
        note = " " + r.choice(
            ["Use {} where nothing is said.", "If a field is missing, write {}.", "Missing fields are {}."]
        ).format(json.dumps(p.absent))
    if outer:
        note += f" Put the fields under {outer[1]} and say under {outer[0]} what it is about."

    def draw(r: Random) -> Example:
        told, values = describe(r, p)
        return told, write(nested(p, values, outer) if outer else values, form)

    asked = tuple(ask.format(form=words, keys=explain(p, r), subject=p.scene.subject) + note for ask in ASK)
    return Task(asked, draw, VAGUE, p.arbitrary)


def question(r: Random) -> Task:
    """One field, asked for in words: the answer is the value alone."""
    p = plan(r)
    key, one = p.asked[0]
    asks = (
        f"What is the {key}?",
        f"Name the {key}.",
        f"Answer with the {key} only.",
        f"Find the {key} in the text.",
        f"{key}?",
    )

    def draw(r: Random) -> Example:
        sentence, value = say(r, one, False)
        others = [say(r, other, False)[0] for _, other in p.asked[1:] for _ in [0]] + [
            say(r, other, False)[0] for other in p.told
        ]
        sentences = [sentence, *others]
        r.shuffle(sentences)
        return " ".join(sentences), str(value)

    return Task(asks, draw, VAGUE, p.arbitrary)
