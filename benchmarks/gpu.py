"""LoRA and QLoRA on one GPU beside TRL and the plain loop: an 8B-shaped Llama, random weights, packs of 4,096 tokens.

    python benchmarks/gpu.py [--work WORK] [--side ours|trl|liger|plain] [--seconds S] [--shape 8b|1b|tiny]

`full`: rows of 4,096 tokens, all supervised. `long`: one of 8,192. `answers`: rows of 672, of which 224 are supervised,
behind one prefix of 256, as fine-tuning data has. `qlora`: `full` on NF4 with double quantisation, by us read back once
for all; `qlora_each_pass`: by us in every pass. Each side runs in a process of its own on the same weights, adapters
and rows, computes in bfloat16 and nothing twice (TRL by sdpa with its chunked loss; `liger`: its layers by Liger's
kernels), and the losses are compared step by step. Tokens are the rows' own, a shared prefix counted in each.
`tflop_per_s` counts what the rows cannot do without, each for itself (`_gpu_sides.operations`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import report
from _gpu_sides import PACK, RANK, SHAPES, SIDES, WORKS, assert_gpu, gpu_name, run

HERE = Path(__file__).resolve()
NAMES = {"trl": "TRL SFTTrainer", "liger": "TRL SFTTrainer, Liger's kernels", "plain": "PEFT and transformers"}
# In bfloat16: the first step's losses, and those of all steps.
FIRST, ALL = 1e-3, 1e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", choices=WORKS, action="append", help="one work (repeatable); all by default")
    parser.add_argument("--side", choices=SIDES, action="append", help="one side (repeatable); all by default")
    parser.add_argument("--seconds", type=float, default=900.0, help="for all sides together; what is done then counts")
    parser.add_argument("--steps", type=int, default=8, help="of each work; the first two are not timed")
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--keep", type=Path, help="a file that results are added to as they come, a line each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    works, sides = given.work or list(WORKS), given.side or list(SIDES)
    if given.child:
        for result in run(sides[0], works, given.shape, given.steps):
            print(json.dumps(result), flush=True)
        return
    if given.shape != "tiny":
        assert_gpu()
    found = measure(sides, works, given.shape, given.steps, given.seconds, given.keep)
    if given.json:
        report("gpu", [r for work in works for r in results(work, found)], True, gpu=gpu_name())
    else:
        table(works, found)


def measure(
    sides: list[str], works: list[str], shape: str, steps: int, seconds: float, keep: Path | None
) -> dict[tuple[str, str], dict[str, Any]]:
    """What each side did, by work and side. A side that fails, or for which no time is left, leaves the others be."""
    ends = time.monotonic() + seconds
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for side in sides:
        began, left = time.monotonic(), ends - time.monotonic()
        lines, end = _side(side, works, shape, steps, max(left, 0.0))
        for one in lines:
            found[one["work"], side] = one
        for work in works:
            found.setdefault((work, side), {"work": work, "side": side, "failed": end})
        if keep is not None:
            with keep.open("a") as file:
                file.writelines(json.dumps(found[work, side]) + "\n" for work in works)
        print(f"{side}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def _side(side: str, works: list[str], shape: str, steps: int, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """The results a side printed, and how it ended."""
    if seconds < 1:
        return [], "no time left"
    command = [sys.executable, str(HERE), "--child", "--side", side, "--shape", shape, "--steps", str(steps)]
    command += [word for work in works for word in ("--work", work)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as told:
        try:
            code = subprocess.run(command, stdout=out, stderr=told, timeout=seconds, check=False).returncode
            told.seek(0)
            end = f"ended with {code}: {told.read()[-300:]}"
        except subprocess.TimeoutExpired:
            end = "no time left"
        out.seek(0)
        return [json.loads(line) for line in out.read().splitlines() if line.startswith('{"work"')], end


def results(work: str, found: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """A work's document entries, one per peer."""
    ours = found.get((work, "ours"), {"failed": "not run"})
    entries = []
    for peer in NAMES:
        theirs = found.get((work, peer))
        if theirs is None:
            continue
        entry = {"work": work, "facts": _facts(work), "ours": ours, "peer": {"name": NAMES[peer], **theirs}}
        both = "failed" not in ours and "failed" not in theirs
        speed = round(ours["tokens_per_s"] / theirs["tokens_per_s"], 2) if both else None
        memory = round(ours["peak_gb"] / theirs["peak_gb"], 3) if both else None
        entry["ratio"] = {"speed": speed, "memory": memory}
        entry["equal"] = equality(ours["losses"], theirs["losses"]) if both else {}
        entries.append(entry)
    if not entries:
        entries.append({"work": work, "facts": _facts(work), "ours": ours, "peer": None, "ratio": {}, "equal": {}})
    return entries


def equality(ours: list[float], peer: list[float]) -> dict[str, Any]:
    """How far the losses are apart, relative to the peer's."""
    gaps = [abs(a - b) / abs(b) for a, b in zip(ours, peer, strict=True)]
    what = f"relative gaps of {len(gaps)} steps' losses in bfloat16: the first within {FIRST:g}, all within {ALL:g}"
    return {"what": what, "first_gap": gaps[0], "max_gap": max(gaps), "ok": gaps[0] <= FIRST and max(gaps) <= ALL}


def _facts(work: str) -> dict[str, Any]:
    return {"rank": RANK, "pack": PACK, **WORKS[work]}


def table(works: list[str], found: dict[tuple[str, str], dict[str, Any]]) -> None:
    """A line per work and side."""
    print(
        f"{'work':8} {'side':6} {'tokens/s':>10} {'TFLOP/s':>8} {'peak GB':>8} {'speed':>7}  first loss, gap; largest"
    )
    for work in works:
        ours = found.get((work, "ours"), {})
        for (which, side), one in found.items():
            if which != work:
                continue
            start = f"{work:8} {side:6}"
            if "failed" in one:
                print(f"{start} {one['failed'].strip().splitlines()[-1][:100]}")
                continue
            ratio, gap = "", ""
            if side != "ours" and "losses" in ours:
                same = equality(ours["losses"], one["losses"])
                ratio = f"{ours['tokens_per_s'] / one['tokens_per_s']:.2f}×"
                gap = f", {same['first_gap']:.1e}; {same['max_gap']:.1e}"
            told = f"{one['tokens_per_s']:10,.0f} {one['tflop_per_s']:8.1f} {one['peak_gb']:8.2f} {ratio:>7}"
            print(f"{start} {told}  {one['losses'][0]:.5f}{gap}")


if __name__ == "__main__":
    main()
