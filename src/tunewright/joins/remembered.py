"""The last audit of a project, remembered: the same files, settings and code give the same one, so it is not made anew.

Every command asks for the audit, and over ten thousand rows it takes longer than scoring what is stored.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tunewright.data import Asked, Audit
from tunewright.errors import RunError
from tunewright.joins.splits import data_of
from tunewright.recipe import Recipe
from tunewright.store import digest, read_json, tree_digest, write_json

_PACKAGE = Path(__file__).resolve().parents[1]
# What an audit computes with: our own rooms, down to the letter, and the libraries whose numbers are in its findings.
_CODE = ("data", "text", "recipe", "render", "records")
_LIBRARIES = ("tunewright", "numpy", "scipy", "scikit-learn", "rapidfuzz", "pyarrow", "tokenizers", "transformers")


def key_of(recipe: Recipe, root: Path, asked: Sequence[Asked], *more: Any) -> str | None:
    """What an audit depends on, as a hash; None where part of that lies outside our files.

    `asked` are questions of suites; `more` is whatever else it depends on: allowances, the base, its licence.
    """
    spec = data_of(recipe)
    sources = [*spec.train, *spec.test, *spec.requests, *(spec.rehearsal.files if spec.rehearsal else ())]
    paths = [root / source.path for source in sources]
    outside = any(source.query for source in sources) or not all(path.exists() for path in paths)
    if outside or spec.embedding != "words" or spec.personal != "own":
        return None
    told = [
        spec.model_dump(mode="json"),
        recipe.gates.model_dump(mode="json"),
        recipe.use,
        recipe.model.thinking,
        [repr(one) for one in asked],
    ]
    return digest(
        json.dumps(told, sort_keys=True),
        *map(repr, more),
        *map(tree_digest, paths),
        *(tree_digest(file) for part in _CODE for file in sorted((_PACKAGE / part).glob("*.py"))),
        *(tree_digest(_PACKAGE / name) for name in ("licences.py", "thoughts.py", "turns.py")),
        *(version(name) for name in _LIBRARIES),
    )


def remembered(store: Path, key: str | None, make: Callable[[], Audit]) -> Audit:
    """The audit kept under `key`, as long as its dataset version is there; else the one that `make` makes, kept."""
    file = store / "audit.json"
    if key is not None and file.is_file():
        with contextlib.suppress(RunError, ValidationError):
            kept: Mapping[str, Any] = read_json(file)
            if kept.get("key") == key:
                audit = Audit.model_validate(kept["audit"])
                # Where it lies is not asked of the file: a copied project has versions of its own.
                path = store / "datasets" / audit.dataset.id
                if (path / "dataset.json").is_file():
                    return audit.model_copy(update={"path": path})
    made = make()
    if key is not None:
        write_json(file, {"key": key, "audit": made.model_dump(mode="json")})
    return made
