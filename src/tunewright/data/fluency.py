"""How many tokens the base's tokenizer spends on a word of this data, beside what it spends on plain English.

A tokenizer that never saw a language cuts it into crumbs: such rows train slower, cost more, fit less into a context,
and show that the base hardly knows the language (Petrov et al., "Language Model Tokenizers Introduce Unfairness
Between Languages", 2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from tunewright.data.learned import drawn
from tunewright.data.table import Table
from tunewright.records import Record
from tunewright.text import language

# Written for this: what any tokenizer that knows English is good at.
_ENGLISH = (
    "The road to the village follows the river for three miles and then climbs through the woods. In the morning "
    "you can hear the bells from the other side of the valley. My brother works there as a carpenter, and he says "
    "that the old houses need new roofs before the winter. If the weather is good we walk over the hill on Sunday, "
    "have something to eat at the inn, and come back by the last bus. Nobody is in a hurry. People ask about the "
    "children, the harvest and the price of bread, and when they have nothing more to say they look at the mountains."
)
_ROWS = 1_000
_LETTERS = 600
_FEWEST = 10
CRUMBS = 2.0
# A word of a script that writes no spaces has about so many characters.
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]")
_PER_WORD = 1.7
# Letters and no figures; marks that belong to letters are no word characters to `re`.
_WORD = re.compile(r"(?<!\S)[^\s\d]*[^\W\d_][^\s\d]*(?!\S)")
_ROUND = "\"'“”‘’«»()[]{}<>.,;:!?…-–—*#、。，？！"


class Fluency(Record):
    """Tokens per word: of the questions in `rows` sampled rows, of plain English, and of each language among them.

    `languages` has languages of at least ten rows; "" are rows whose language is not clear.
    """

    rows: int
    data: float
    english: float
    languages: dict[str, float]

    def crumbled(self) -> tuple[str, ...]:
        """Languages on whose words this tokenizer spends twice what it spends on English, or more."""
        return tuple(name for name, spent in self.languages.items() if name and spent >= CRUMBS * self.english)


def words(text: str) -> float:
    """Words in a text; where a script writes none apart, its characters over 1.7."""
    unspaced = len(_UNSPACED.findall(text))
    return len(_WORD.findall(_UNSPACED.sub(" ", text))) + unspaced / _PER_WORD


def _plain(text: str) -> str:
    """The words alone: figures, code and punctuation cost their tokens in any language."""
    return " ".join(word.strip(_ROUND) for word in _WORD.findall(text))


def fluency(table: Table, pieces: Callable[[str], int]) -> Fluency | None:
    """Measured on the last user turns of at most 1,000 rows; `pieces` counts a text's tokens. None without words."""
    index = drawn(table, table.train | table.test, _ROWS)
    spent, counted = np.zeros(len(language.LANGUAGES)), np.zeros(len(language.LANGUAGES))
    rows = np.zeros(len(language.LANGUAGES), int)
    for i in index:
        turns = [t["content"] for t in table.row(int(i))["messages"] if t["role"] == "user"]
        text = turns[-1][:_LETTERS] if turns else ""
        place = int(table.c["language"][i])
        plain = _plain(text)
        spent[place] += pieces(plain)
        counted[place] += words(plain)
        rows[place] += 1
    if not counted.sum():
        return None
    return Fluency(
        rows=len(index),
        data=round(float(spent.sum() / counted.sum()), 3),
        english=round(pieces(_plain(_ENGLISH)) / words(_ENGLISH), 3),
        languages={
            language.LANGUAGES[k]: round(float(spent[k] / counted[k]), 3)
            for k in np.argsort(-rows, kind="stable")
            if rows[k] >= _FEWEST and counted[k]
        },
    )
