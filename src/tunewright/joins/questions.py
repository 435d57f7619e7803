"""What the recipe's suites ask, read before the data is audited, so that none of it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunewright.data import Asked
from tunewright.evaluate import make_suite
from tunewright.probing import ability_suite
from tunewright.recipe import Recipe
from tunewright.records import Suite

_ALL = 10**9


def questions_of(recipe: Recipe, root: Path) -> list[Asked]:
    """Every case of `suite.source`, `trials.elsewhere` and `trials.abilities` that is a file. Raises `DataError`."""
    seed = recipe.data.split.seed
    spec = recipe.suite.model_copy(update={"cases": _ALL, "slices": ()})
    files = [("suite.source", recipe.suite.source)] if recipe.suite.source != "test" else []
    files += [("trials.elsewhere", recipe.trials.elsewhere)] if recipe.trials.elsewhere else []
    found = [one for key, name in files for one in _asked(key, make_suite(root / name, spec, seed=seed))]
    for name in recipe.trials.abilities:
        found += _asked("trials.abilities", ability_suite(root / name, cases=_ALL, seed=seed))
    return found


def _asked(key: str, suite: Suite) -> Iterator[Asked]:
    for case in suite.cases:
        turns = tuple(str(m.get("content") or "") for m in case.messages if m["role"] != "system")
        yield Asked(f"{key} ({suite.source})", case.row or case.id, turns)
