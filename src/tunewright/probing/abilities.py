"""What else the model could do and still can: general-ability sets and cases from elsewhere, base against tuned."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from tunewright.errors import DataError
from tunewright.records import Ability, Case, Gate, Prediction, Suite
from tunewright.statistics import bootstrap, mcnemar, permutation
from tunewright.store import digest

_FORMS = (
    '{"question": …, "answer": "… #### 7"} as in GSM8K, or {"prompt", "instruction_id_list", "kwargs"} as in IFEval'
)


def ability_suite(path: Path, *, cases: int, seed: int) -> Suite:
    """A general-ability set from its own JSON lines, at most `cases` of them, drawn by `seed`.

    GSM8K's lines are scored by `numeric`, IFEval's by `instructions` (all must be followed). Raises `DataError` for a
    file that is neither.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (FileNotFoundError, IsADirectoryError):
        raise DataError("there is no such file.", where=str(path)) from None
    except UnicodeDecodeError:
        raise DataError("is no text in UTF-8.", where=path.name, remedy=f"Lines like {_FORMS}.") from None
    read = [_case(line, f"{path.name}:{number}") for number, line in enumerate(lines, 1)]
    scorers = {scorer for _, scorer in read}
    if len(scorers) != 1:
        what = "is empty" if not scorers else "mixes two kinds of lines"
        raise DataError(f"{what}.", where=path.name, remedy=f"Lines like {_FORMS}.")
    chosen = sorted(random.Random(seed).sample(range(len(read)), min(cases, len(read))))
    drawn = tuple(read[place][0] for place in chosen)
    scorer = scorers.pop()
    named = digest(*(c.id + c.expected for c in drawn))[:12]
    return Suite(id=named, cases=drawn, scorers=(scorer,), primary=scorer, source=path.name)


def _case(line: str, where: str) -> tuple[Case, str]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if isinstance(row, dict) and "question" in row and "####" in str(row.get("answer")):
        question, expected, scorer = row["question"], str(row["answer"]), "numeric"
    elif isinstance(row, dict) and {"prompt", "instruction_id_list", "kwargs"} <= row.keys():
        question, scorer = row["prompt"], "instructions"
        expected = json.dumps({key: row[key] for key in ("instruction_id_list", "kwargs")}, ensure_ascii=False)
    else:
        raise DataError("is no case of a set that is known.", where=where, remedy=f"Lines like {_FORMS}.")
    return Case(id=where, messages=({"role": "user", "content": str(question)},), expected=expected), scorer


def ability(
    suite: Suite, before: Sequence[Prediction], after: Sequence[Prediction], *, kind: str, seed: int = 0
) -> Ability | None:
    """The score before and after on the cases both could be scored on, and the paired difference; None without any.

    Cases that share a source are resampled and flipped together.
    """
    old, sources = {p.case: p.score for p in before}, suite.sources
    both = [p for p in after if old.get(p.case) is not None and p.score is not None]
    pairs = [(old[p.case] or 0.0, p.score or 0.0) for p in both]
    if not pairs:
        return None
    differences, clusters = [b - a for a, b in pairs], None if sources is None else [sources[p.case] for p in both]
    difference, low, high = bootstrap(differences, clusters=clusters, seed=seed)
    whole = clusters is None and all(x in (0.0, 1.0) for pair in pairs for x in pair)
    won, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return Ability(
        name=suite.source,
        kind=kind,
        scorer=suite.primary,
        cases=len(pairs),
        before=sum(a for a, _ in pairs) / len(pairs),
        after=sum(b for _, b in pairs) / len(pairs),
        difference=difference,
        low=low,
        high=high,
        p=mcnemar(won, lost) if whole else permutation(differences, clusters=clusters, seed=seed),
    )


def abilities_gate(found: Sequence[Ability], limit: float) -> Gate:
    """Does every general ability keep its score but for `limit`? Amber where an interval holds both answers."""
    told = [one for one in found if one.kind == "ability"]
    if not told:
        return Gate(name="abilities", ok=None, message="no general ability could be scored.")
    worst = min(told, key=lambda one: one.difference)
    surely = any(one.high < -limit for one in told)
    ok = False if surely else True if worst.difference >= -limit else None
    message = (
        f"{worst.name}: {100 * worst.before:.1f} % → {100 * worst.after:.1f} %, {100 * worst.difference:+.1f} points "
        f"[{100 * worst.low:+.1f}, {100 * worst.high:+.1f}]; a fall of at most {100 * limit:.1f} wanted."
    )
    return Gate(name="abilities", ok=ok, message=message.replace("-", "−"))
