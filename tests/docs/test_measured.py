"""The README's tables of training speed say what the kept results say, and so does the one of GPUs in the docs."""

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


def rows(page: str = "README.md", start: str = "| work (`train.py") -> list[list[str]]:
    text = (ROOT / page).read_text()
    table = text[text.index(start) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]


def on_a_gpu() -> dict[tuple[str, str, str], dict]:
    results = json.loads((ROOT / "benchmarks/results/gpu.json").read_text())["results"]
    assert all(r["equal"]["ok"] and r["ours"]["how"]["layout"] == "forest by fused" for r in results)
    return {(r["work"], r["peer"]["side"], r["machine"]["gpu"].split()[1]): r for r in results}


def figure(cell: str) -> float:
    return float(cell.rstrip("×").replace(",", ""))


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


PEERS = {"TRL": "trl", "TRL, Liger's kernels": "liger", "PEFT's plain loop": "plain"}


def shown_on_a_gpu(cells: list[str]) -> dict:
    """The kept result that a row is of: its work, card and peer stand in front."""
    return on_a_gpu()[cells[0].split("`")[1], PEERS[cells[2]], cells[1]]


@pytest.mark.parametrize("cells", rows(start="| work (`gpu.py --work"), ids=lambda cells: "-".join(cells[:3]))
def test_a_row_is_what_was_measured_on_a_gpu(cells: list[str]) -> None:
    result = shown_on_a_gpu(cells)
    sides = [result[side][key] for side in ("ours", "peer") for key in ("tokens_per_s", "peak_gb")]
    assert [figure(cell) for cell in cells[3:7]] == [
        pytest.approx(each, abs=0.51 if each > 1000 else 0.051) for each in sides
    ]
    assert figure(cells[7]) == pytest.approx(result["ratio"]["speed"], abs=0.006)
    assert figure(cells[8]) == pytest.approx(result["ratio"]["memory"], abs=0.006)


def test_the_docs_tell_every_result_on_a_gpu() -> None:
    told = []
    for cells in rows("docs/speed.md", "| `gpu.py --work …` | card"):
        result = shown_on_a_gpu(cells)
        keys = [(side, key) for side in ("ours", "peer") for key in ("tokens_per_s", "tflop_per_s", "peak_gb")]
        for cell, (side, key) in zip(cells[3:9], keys, strict=True):
            assert figure(cell) == pytest.approx(result[side][key], abs=0.051 if key == "peak_gb" else 0.51)
        assert figure(cells[9]) == pytest.approx(result["ratio"]["speed"], abs=0.006)
        assert figure(cells[10]) == pytest.approx(result["ratio"]["memory"], abs=0.006)
        assert float(cells[11]) == pytest.approx(result["equal"]["max_gap"], rel=0.05)
        told.append((cells[0].split("`")[1], PEERS[cells[2]], cells[1]))
    assert sorted(told) == sorted(on_a_gpu())
