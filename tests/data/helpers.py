"""Small files and one-line audits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tunewright.data import Audit, audit
from tunewright.recipe import DataSpec
from tunewright.records import Example, Finding, TokenFacts


def jsonl(path: Path, rows: Iterable[Any]) -> Path:
    """Write rows as JSON lines; text goes in as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pairs(count: int, start: int = 0) -> list[dict[str, str]]:
    """Distinct questions with distinct answers."""
    return [
        {"prompt": f"What is number {i} called?", "completion": f"It is called {i}."}
        for i in range(start, start + count)
    ]


def run(
    root: Path,
    train: str | list[Any] = "train.jsonl",
    tokens: Callable[[Example], TokenFacts] | None = None,
    allow: Mapping[str, str] | None = None,
    thinking: bool = False,
    **more: Any,
) -> Audit:
    """Audit files below `root`."""
    spec = DataSpec.model_validate({"train": train, **more})
    return audit(spec, root=root, store=root / ".tunewright", tokens=tokens, allow=allow, thinking=thinking)


def finding(result: Audit, code: str) -> Finding | None:
    return next((f for f in result.findings if f.code == code), None)
