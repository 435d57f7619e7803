"""The README's table of training speed says what the kept results say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHOLE, BEST = "TRL SFTTrainer, batch whole", "TRL SFTTrainer"


def kept() -> dict[tuple[str, str], dict]:
    results = json.loads((ROOT / "benchmarks/results/train.json").read_text())["results"]
    return {(r["work"], r["peer"]["name"]): r for r in results if r["machine"]["instructions"] == "AVX2"}


def rows() -> list[list[str]]:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("| work (`train.py") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0].split("`")[1])
def test_a_row_is_what_was_measured(cells: list[str]) -> None:
    work, results = cells[0].split("`")[1], kept()
    shown = {WHOLE: cells[2:5], BEST: cells[5:8]}
    assert float(cells[1]) == pytest.approx(
        (results.get((work, BEST)) or results[work, WHOLE])["ours"]["examples_per_s"], rel=0.02
    )
    for peer, (rate, speed, memory) in shown.items():
        result = results.get((work, peer))
        if result is None:
            assert (rate, speed, memory) == ("–", "", "")
            continue
        assert result["equal"]["ok"]
        number, split = re.fullmatch(r"([\d.]+)(?: \((\d+) rows?\))?", rate).groups()
        assert float(number) == pytest.approx(result["peer"]["examples_per_s"], rel=0.02)
        assert split == (str(result["peer"]["micro_batch"]) if peer == BEST else None)
        assert float(speed.rstrip("×")) == pytest.approx(result["ratio"]["speed"], abs=0.06)
        assert float(memory.rstrip("×")) == pytest.approx(result["ratio"]["memory"], abs=0.006)


def test_every_kept_result_beside_trl_is_shown() -> None:
    assert {cells[0].split("`")[1] for cells in rows()} == {w for w, peer in kept() if peer in (WHOLE, BEST)}
