"""Values that sentences are made of. Many are built from syllables: only copying gets them right."""

from __future__ import annotations

import random
from collections.abc import Callable

Random = random.Random


def words(text: str) -> list[str]:
    return text.split()


FIRST = words("""
    Anna Maria Carlos Wei Fatima John Grace Liam Noor Ivan Sofia Kenji Amara Peter Lucia Omar Helen Ravi Ingrid
    Paulo Chloe David Yuki Samuel Leila Tom Nadia Hugo Clara Amir Ruth Felix Mei Oscar Zoe Daniel Priya Marco Elsa
    Victor Aisha Henry Julia Kofi Eva Martin Rosa Simon Tara Nils Alice Bruno Dora Emil Farah Gina Hans Iris Jack
    Karin Lars Mona Nina Otto Pia Quinn Rita Sven Tina
""")
CITY = words("""
    Lisbon Oslo Nairobi Lima Kyoto Boston Cairo Porto Quito Delhi Hanoi Turin Leeds Ghent Austin Perth Dakar
    Bergen Malmo Seville Denver Utrecht Zagreb Riga Lyon Cork Bern Accra Osaka Tunis Havana Toronto Sydney Madrid
    Berlin Prague Vienna Seattle Dublin
""")
COUNTRY = words("""
    Portugal Norway Kenya Peru Japan Egypt Ecuador India Vietnam Italy Belgium Australia Senegal Sweden Spain
    Croatia Latvia France Ireland Ghana Cuba Canada Germany Austria Chile Brazil Mexico Poland Greece Turkey
    Morocco Iceland Finland
""")
COLOR = words("red blue green yellow white black grey brown orange purple pink silver golden cream turquoise")
MATERIAL = words("""
    oak pine marble bronze steel glass clay linen wool cotton silk leather copper silver paper stone bamboo
    concrete
""")
ANIMAL = words("""
    fox owl otter heron badger hare wolf lynx seal goat sheep horse donkey cat dog parrot falcon tortoise frog
    salmon beaver deer hedgehog crane swan goose rabbit squirrel bear whale
""")
FOOD = words("""
    bread rice soup cheese apples lentils noodles salmon honey pears olives mushrooms onions carrots potatoes
    beans plums walnuts spinach butter tea coffee oats figs
""")
PLANT = words("""
    fern moss ivy oak birch willow maple cedar rose tulip lavender thyme mint barley wheat clover orchid cactus
    poppy
""")
TOOL = words("""
    hammer ladder saw drill rope lamp bucket shovel chisel compass kettle tent bicycle camera telescope violin
    piano drum
""")
JOB = words("""
    nurse teacher baker pilot carpenter engineer painter farmer librarian driver architect chemist plumber editor
    sailor tailor gardener judge surgeon geologist translator accountant
""")
SUBJECT = words("""
    history biology physics algebra geography chemistry music drawing economics astronomy statistics grammar
""")
LANGUAGE = words("""
    Spanish French Arabic Hindi Swahili Greek Polish Korean Danish Turkish Dutch Finnish Latin Welsh
""")
WEEKDAY = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTH = words("January February March April May June July August September October November December")
STREET = words("Oak Mill Church River Station Park Hill Garden Bridge Market Harbour School Forest Lake")
COMPANY_END = words("Works Labs Group Partners Foods Motors Textiles Shipping Farms Press Studio Systems Bakery Tools")
ONSET = words("b br c ch d dr f g gr h j k l m n p r s sh st t th tr v w z")
NUCLEUS = words("a e i o u ai ea ee ia o ou")
CODA = ["", "", "l", "n", "r", "s", "m", "nd", "rt", "ck", "x", "ll"]
VOCABULARY: list[str] = [
    "table",
    "river",
    "window",
    "garden",
    "paper",
    "winter",
]  # replaced by frequent words of the corpus


def use_vocabulary(words: list[str]) -> None:
    VOCABULARY[:] = words


def coined(r: Random) -> str:
    return "".join(r.choice(ONSET) + r.choice(NUCLEUS) for _ in range(r.choice([1, 1, 2]))) + r.choice(CODA)


def surname(r: Random) -> str:
    return (coined(r) + r.choice(["", "son", "er", "ez", "ski", "ova", "ton", "ley", "man"])).capitalize()


def person(r: Random) -> str:
    roll = r.random()
    if roll < 0.25:
        return r.choice(FIRST)
    if roll < 0.32:
        return f"{r.choice(['Dr.', 'Mr.', 'Mrs.', 'Ms.'])} {surname(r)}"
    return f"{r.choice(FIRST)} {surname(r)}"


def city(r: Random) -> str:
    return (
        r.choice(CITY)
        if r.random() < 0.6
        else coined(r).capitalize() + r.choice(["ville", "ford", " Bay", "stad", "burg", " Falls"])
    )


def company(r: Random) -> str:
    head = surname(r) if r.random() < 0.5 else r.choice(VOCABULARY).capitalize()
    return f"{head} {r.choice(COMPANY_END)}"


def code(r: Random) -> str:
    letters = "".join(r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(r.randint(1, 3)))
    digits = "".join(r.choice("0123456789") for _ in range(r.randint(2, 6)))
    return r.choice(
        [
            f"{letters}-{digits}",
            f"{letters}{digits}",
            f"#{digits}",
            digits,
            f"{digits}-{letters}",
            f"{letters}/{digits}",
        ]
    )


def money(r: Random) -> str:
    amount = r.choice(
        [str(r.randint(2, 999)), f"{r.randint(1, 200)}.{r.randint(10, 99)}", f"{r.randint(1, 90)},{r.randint(0, 9)}00"]
    )
    return r.choice([f"${amount}", f"{amount} euros", f"{amount} dollars", f"£{amount}"])


def date(r: Random) -> str:
    day, month = r.randint(1, 28), r.choice(MONTH)
    return r.choice(
        [
            f"{day} {month}",
            f"{month} {day}",
            f"{month} {day}, {r.randint(1950, 2035)}",
            f"{r.randint(1990, 2035)}-{r.randint(1, 12):02}-{day:02}",
        ]
    )


def time(r: Random) -> str:
    hour, minute = r.randint(1, 12), r.choice([0, 0, 15, 30, 45, 20, 10])
    half = r.choice(["am", "pm"])
    return r.choice([f"{hour} {half}", f"{hour}:{minute:02} {half}", f"{hour + 8}:{minute:02}", f"{hour} o'clock"])


def email(r: Random) -> str:
    user = f"{r.choice(FIRST).lower()}{r.choice(['.', '_', ''])}{coined(r)}"
    return f"{user}@{coined(r)}.{r.choice(['com', 'org', 'net', 'example', 'edu'])}"


def phrase(r: Random) -> str:
    return " ".join(r.choice(VOCABULARY) for _ in range(r.randint(2, 3)))


def title(r: Random) -> str:
    return r.choice(["The {0} of {1}", "{0} and {1}", "A {0} {1}", "{0} {1}", "The {0} {1}"]).format(
        *(r.choice(VOCABULARY).capitalize() for _ in range(2))
    )


KINDS: dict[str, Callable[[Random], str]] = {
    "person": person,
    "city": city,
    "country": lambda r: r.choice(COUNTRY),
    "company": company,
    "code": code,
    "money": money,
    "date": date,
    "time": time,
    "email": email,
    "phrase": phrase,
    "title": title,
    "word": lambda r: r.choice(VOCABULARY),
    "coined": lambda r: coined(r).capitalize(),
    "year": lambda r: str(r.randint(1820, 2035)),
    "count": lambda r: str(r.randint(2, 60)),
    "big": lambda r: str(r.randint(100, 9000)),
    "phone": lambda r: f"{r.randint(200, 999)}-{r.randint(100, 999)}-{r.randint(1000, 9999)}",
    "color": lambda r: r.choice(COLOR),
    "material": lambda r: r.choice(MATERIAL),
    "animal": lambda r: r.choice(ANIMAL),
    "food": lambda r: r.choice(FOOD),
    "plant": lambda r: r.choice(PLANT),
    "tool": lambda r: r.choice(TOOL),
    "job": lambda r: r.choice(JOB),
    "subject": lambda r: r.choice(SUBJECT),
    "language": lambda r: r.choice(LANGUAGE),
    "weekday": lambda r: r.choice(WEEKDAY),
    "month": lambda r: r.choice(MONTH),
    "street": lambda r: f"{r.randint(1, 250)} {r.choice(STREET)} {r.choice(['Street', 'Road', 'Lane', 'Avenue'])}",
    "room": lambda r: (
        f"{r.choice(['room', 'hall', 'lab', 'shelf', 'gate', 'bay', 'desk'])}"
        f" {r.choice(['A', 'B', 'C', ''])}{r.randint(1, 90)}"
    ),
    "duration": lambda r: f"{r.randint(2, 40)} {r.choice(['minutes', 'hours', 'days', 'weeks', 'months', 'years'])}",
    "weight": lambda r: f"{r.randint(1, 90)} {r.choice(['kg', 'grams', 'pounds', 'tons'])}",
    "length": lambda r: f"{r.randint(2, 900)} {r.choice(['metres', 'cm', 'km', 'feet', 'miles'])}",
}
NUMBERS = {"year", "count", "big"}  # kinds that may be written as JSON numbers
