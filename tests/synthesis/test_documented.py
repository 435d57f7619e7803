"""The page tells every reason a draft can be set aside for, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tunewright.synthesis import Sieve

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_every_reason_is_told() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Too few rows")[1].split("\n## ")[0]
    told = [
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert told == list(Sieve.reasons)
