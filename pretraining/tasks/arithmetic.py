"""Small sums, bare and in words."""

from __future__ import annotations

from . import banks
from .task import Example, Random, Task

STORIES = (
    ("{p} has {a} {t}s and gets {b} more. How many {t}s does {p} have now?", lambda a, b: a + b),
    ("There are {a} {t}s in one box and {b} in another. How many in all?", lambda a, b: a + b),
    ("{p} had {a} {t}s and gave {b} away. How many are left?", lambda a, b: a - b),
    ("Of {a} {t}s, {b} were sold. How many remain?", lambda a, b: a - b),
    ("{p} packs {b} bags with {a} {t}s each. How many {t}s is that?", lambda a, b: a * b),
)


def sums(r: Random) -> Task:
    top = r.choice([9, 20, 99])
    sign = r.choice("++-*")
    ask = r.choice(["{}", "{} =", "What is {}?", "Work out {}.", "How much is {}?"])

    def draw(r: Random) -> Example:
        a, b = r.randint(0, top), r.randint(0, 9 if sign == "*" else top)
        if sign == "-":
            a, b = max(a, b), min(a, b)
        result = {"+": a + b, "-": a - b, "*": a * b}[sign]
        return ask.format(f"{a} {sign} {b}"), str(result)

    return Task(
        ("Answer with the number.", "Calculate.", "Do the sum.", "Give the result only."), draw, ("Calculate.",)
    )


def stories(r: Random) -> Task:
    text, rule = r.choice(STORIES)
    whole = r.random() < 0.5

    def draw(r: Random) -> Example:
        a, b = r.randint(2, 40), r.randint(2, 9)
        a, b = max(a, b), min(a, b)
        thing = r.choice(["apple", "coin", "stamp", "book", "pen", "egg", "stone", "shell"])
        told = text.format(p=r.choice(banks.FIRST), a=a, b=b, t=thing)
        return told, f"The answer is {rule(a, b)}." if whole else str(rule(a, b))

    return Task(("Solve it.", "Answer the question.", "Think and give the number."), draw, ("Solve it.",))
