"""Findings acted on: the next dataset version, and what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.data.accepting import known
from tunewright.data.auditing import audit
from tunewright.data.versions import Fix, adopt, diff
from tunewright.recipe import DataSpec


def fix(
    spec: DataSpec,
    accept: Sequence[str],
    *,
    root: Path,
    store: Path,
    **more: Any,
) -> Fix:
    """Accept the fixes named by finding `accept`, beside those that `spec.accept` names already.

    Writes the version before and the version after (which names it as its parent) under `store`; `more` goes to
    `audit`. To keep a fix for good, put its code under `data.accept` in the recipe. Raises `DataError` for a code
    without a fix, and as `audit` does.
    """
    known(accept)
    before = audit(spec, root=root, store=store, **more)
    wanted = tuple(dict.fromkeys((*spec.accept, *accept)))
    after = audit(spec.model_copy(update={"accept": wanted}), root=root, store=store, **more)
    record = adopt(after.path, before.dataset.id, f"accepted: {', '.join(wanted)}")
    return Fix(
        audit=after.model_copy(update={"dataset": record}),
        before=before.dataset,
        diff=diff(before.path, after.path),
    )
