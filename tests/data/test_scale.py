"""What holds at any size: the work says where it is, and what a million rows would need is not kept in memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

from tests.data.helpers import jsonl
from tunewright.data import audit, near, recognise
from tunewright.data.rows import Source
from tunewright.data.rows import rows as read
from tunewright.data.table import Table
from tunewright.recipe import DataSpec
from tunewright.text import normal


def _rows(count: int) -> list[dict[str, str]]:
    draw = random.Random(7)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(3000)]
    rows = [
        {"prompt": " ".join(draw.choices(words, k=16)), "completion": " ".join(draw.choices(words, k=6))}
        for _ in range(count)
    ]
    again = [{**row, "prompt": row["prompt"] + "s"} for row in rows[:: count // 20]]
    return [*rows, *again]


def _audit(root: Path, rows: int, told: list[tuple[str, int, int | None]]) -> None:
    spec = DataSpec.model_validate({"train": str(jsonl(root / f"{rows}.jsonl", _rows(rows)))})
    audit(spec, root=root, store=root, progress=lambda *now: told.append(now))


def test_every_phase_says_where_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    _audit(tmp_path, 2200, told)
    assert list(dict.fromkeys(what for what, _, _ in told)) == [
        "rows read",
        "bands of like rows compared",
        "like pairs verified",
        "answers of like pairs compared",
        "checks by small models",
        "rows written, in two passes",
    ]
    assert all(total is None or 0 <= done <= total for _, done, total in told)
    assert told[0] == ("rows read", 2000, None)
    assert ("bands of like rows compared", 32, 32) in told


def test_memory_grows_by_few_hundred_bytes_a_row(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = jsonl(tmp_path / f"{rows}.jsonl", _rows(rows))
        source = Source(given="it", path=path, name="it", reading=recognise(path), test=False)
        tracemalloc.start()
        with Table(normal, [source]) as table:
            for row in read(source):
                table.add(0, row, None)
            table.close()
            assert len(near.find(table).pairs) == 20
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)  # what is imported and kept once
    assert (peak(4_000) - peak(2_000)) / 2_000 < 1_000
