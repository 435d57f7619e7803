"""Training speed and memory beside a peer, by default TRL's SFTTrainer: same model, rows, order, steps and adapter.

    python benchmarks/train.py [--work W] [--data DIR] [--peer trl|llamafactory] [--switches] [--json]

Each side runs in a process of its own, ours and the peer's in turn, three times or as often as twenty minutes allow;
the medians count. Losses of ten steps in float32 are compared first; speed is taken in each side's faster number type,
by probe. The peer runs without activation checkpointing, TRL with its only loss for supervised fine-tuning (which
computes logits of supervised tokens alone), and splits the batch by accumulation as it is fastest: single rows, twos,
up to the whole, by probe (one row at a time needs no padding and stays in the caches). Where the whole batch is not
the fastest and fits, a second result is beside it, for that is how the peer is started. `matmul_share` is the rate of
the products that our timed steps cannot do without (no padding, nothing above attention's diagonal, nothing twice) over
the rate of plain `torch.mm` at the model's own shape.

With `--switches` our side is its own peer: everything on beside one thing turned off at a time (`_switches.py`), so
`ratio.speed` is what that thing is worth in this work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from _common import DATA, median, report, sample
from _peers import micro_batches
from _sides import SIDES, products, save
from _switches import SWITCHES, switches_for
from _works import batch_of, method_of, prepare, shape_of, works

HERE = Path(__file__).resolve()
ROUNDS = 3
# A work ends within twenty minutes: where steps are long there are fewer rounds.
WORK_SECONDS = 1_100.0
# A number of steady seconds that no sample reaches: the number of steps decides.
ALL_STEPS = 1e5
PEERS = {"trl": "TRL SFTTrainer", "llamafactory": "LLaMA-Factory SFT"}
DTYPES = {
    "ours": ("float32", "bfloat16"),
    "trl": ("float32", "bfloat16", "bfloat16-autocast"),
    "llamafactory": ("float32", "bfloat16"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", choices=works(), action="append", help="one work (repeatable); all 25 M by default")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=15.0, help="steady seconds per sample")
    parser.add_argument("--rounds", type=int, help="samples per side; by default 3, at 135 M one")
    parser.add_argument("--peer", choices=PEERS, default="trl")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter that has the peer")
    parser.add_argument("--switches", action="store_true", help="measure what each of our switches is worth")
    parser.add_argument("--without", choices=SWITCHES, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=[*SIDES, "products"], help=argparse.SUPPRESS)
    parser.add_argument("--prepared", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        task = json.loads(given.prepared.read_text())
        more = {"without": given.without} if given.without else {}
        run = {**SIDES, "products": products}[given.side]
        print(json.dumps(run(task, given.dtype, given.steps, given.seconds, **more)))
        return
    chosen = given.work or [work for work in works() if shape_of(work) == "25m"]
    data = given.data.resolve()
    if given.switches:
        results = [one for work in chosen for one in measure_switches(work, data, given.seconds, given.rounds)]
    else:
        peer = (given.peer, given.peer_python)
        results = [one for work in chosen for one in measure(work, data, given.seconds, given.rounds, peer)]
    report("train", results, given.json)


def measure(
    work: str,
    data: Path,
    seconds: float,
    rounds: int | None = None,
    by: tuple[str, str] = ("trl", sys.executable),
) -> list[dict[str, Any]]:
    """One work: equality first, then each side's faster type, then speed and memory in turn.

    `by` names the peer and the interpreter that has it. The first result is beside the peer at its fastest split, a
    second, where it is another one and fits, beside the peer with its batch whole.
    """
    big, begun = shape_of(work) != "25m", time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        task = prepare(work, data, steps=12 if big else 40)
        run = _Sides(task, Path(folder), *by)
        splits = _splits(run, seconds)
        sides = ["ours", "peer", *(["whole"] if run.has_whole else [])]
        first = {side: run(side, "float32", 3 if big else 10, ALL_STEPS) for side in sides}
        best = {side: _probe(run, side, DTYPES[run.named(side)], first[side], batch_of(work)) for side in sides}
        # At 135 M three steps are enough: in float32 they have been measured already.
        measured = big and not rounds
        taken: dict[str, list[dict[str, Any]]] = {
            side: [first[side]] if measured and best[side][0] == "float32" else [] for side in sides
        }
        wanted, (steps, steady) = rounds or (1 if big else ROUNDS), (3, ALL_STEPS) if big else (10_000, seconds)
        for _ in _turns(wanted, begun + WORK_SECONDS):
            for side in sides:
                if not (measured and taken[side]):
                    taken[side].append(run(side, best[side][0], steps, steady))
    names = {"peer": PEERS[by[0]], "whole": f"{PEERS[by[0]]}, batch whole"}
    return [
        _result(
            work,
            task,
            _equality(first["ours"]["losses"], first[side]["losses"]),
            {"ours": best["ours"], "peer": best[side]},
            {"ours": taken["ours"], "peer": taken[side]},
            names[side],
            splits,
        )
        for side in sides[1:]
    ]


class _Sides:
    """Runs `ours`, the `peer` at its fastest split, or the peer with its batch `whole` on one work, each by itself."""

    def __init__(self, task: dict[str, Any], folder: Path, peer: str = "trl", python: str = sys.executable) -> None:
        self.task, self.folder, self.peer, self.python = task, folder, peer, python
        self.has_whole = False
        self.write("ours")
        if peer == "llamafactory":
            save(task, folder / "model")

    def named(self, side: str) -> str:
        return self.peer if side in ("peer", "whole") else side

    def write(self, side: str, **changed: int) -> None:
        """What `side` reads: the task, with the rows at once of a peer."""
        (self.folder / f"{side}.json").write_text(json.dumps(self.task | changed))

    def __call__(
        self, side: str, dtype: str, steps: int, seconds: float, limit: float = 1200, without: str | None = None
    ) -> dict[str, Any]:
        name, theirs = self.named(side), side in ("peer", "whole")
        prepared = self.folder / f"{side if theirs else 'ours'}.json"
        arguments = ["--side", name, "--prepared", str(prepared), "--dtype", dtype]
        arguments += ["--steps", str(steps), "--seconds", str(seconds), *(["--without", without] if without else [])]
        script = HERE.with_name("_llamafactory.py") if name == "llamafactory" else HERE
        return sample(script, arguments, limit=limit, python=self.python if theirs else sys.executable)


def _turns(wanted: int, until: float) -> Iterator[int]:
    """Turns as many as wanted, but none after the first that would not end in time if it took as long as the last."""
    for turn in range(wanted):
        started = time.monotonic()
        yield turn
        if 2 * time.monotonic() - started > until:
            return


def _splits(run: _Sides, seconds: float) -> dict[int, float]:
    """The peer's examples per second by rows at once, a few steps in float32; it is left at the fastest, and whole.

    From one row upwards, until two more have not been faster: with the rows' number padding and caches cost more, and a
    step of 32 long rows minutes. Batches are cut short for it: how many parts of a step follow each other does not
    change the rate of one.
    """
    task = run.task
    rates, (rows, steps) = {}, (8, 4) if shape_of(task["work"]) == "25m" else (4, 2)
    fit = micro_batches(task)
    for micro in reversed(fit):
        run.write("peer", batch=max(micro, min(task["batch"], rows)), micro_batch=micro)
        rates[micro] = run("peer", "float32", steps, seconds)["examples_per_s"]
        if max(rates.values()) not in list(rates.values())[-2:]:
            break
    best = max(rates, key=lambda micro: rates[micro])
    run.write("peer", micro_batch=best)
    run.write("whole", micro_batch=task["batch"])
    run.has_whole = task["batch"] in fit and best != task["batch"]
    return rates


def measure_switches(work: str, data: Path, seconds: float, rounds: int | None = None) -> list[dict[str, Any]]:
    """One work with everything on, and with each switch off: losses first, then speed and memory in turn."""
    big = shape_of(work) != "25m"
    names: list[str | None] = [None, *switches_for(method_of(work))]
    with tempfile.TemporaryDirectory() as folder:
        task = prepare(work, data, steps=12 if big else 40)
        run = _Sides(task, Path(folder))
        first = {name: run("ours", "float32", 3 if big else 10, ALL_STEPS, without=name) for name in names}
        best = _probe(run, "ours", DTYPES["ours"], first[None], batch_of(work))
        taken: dict[str | None, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(rounds or (1 if big else ROUNDS)):
            for name in names:
                taken[name].append(run("ours", best[0], 10_000, seconds, without=name))
    return [
        _result(
            work,
            task,
            _equality(first[None]["losses"], first[name]["losses"]),
            {"ours": best, "peer": best},
            {"ours": taken[None], "peer": taken[name]},
            f"ours without {name}",
        )
        for name in switches_for(method_of(work))
    ]


def _equality(ours: list[float], peer: list[float]) -> dict[str, Any]:
    gaps = [abs(a - b) for a, b in zip(ours, peer, strict=True)]
    return {
        "what": f"losses of {len(gaps)} steps in float32: the first within 1e-4, all within 1e-2",
        "first_gap": gaps[0],
        "max_gap": max(gaps),
        "ok": gaps[0] <= 1e-4 and max(gaps) <= 1e-2,
        "losses": {"ours": ours, "peer": peer},
    }


def _probe(
    run: _Sides, side: str, dtypes: Sequence[str], first: dict[str, Any], batch: int
) -> tuple[str, dict[str, float]]:
    """The side's fastest number type, and examples per second of each over three steps (of float32, as measured).

    Where bfloat16 products run at less than half of float32's rate no step is tried in it: on processors without them
    a step takes minutes. Otherwise a type that has not done its steps in twice float32's time is given up; both count
    as 0.
    """
    rates = {"float32": first["examples_per_s"]}
    others = [dtype for dtype in dtypes if dtype != "float32"]
    plain = run("products", "float32", 0, 0.0, 300)
    if plain["bfloat16"] < 0.5 * plain["float32"]:
        return "float32", rates | dict.fromkeys(others, 0.0)
    step = batch / first["examples_per_s"]
    start = max(0.0, first["process_seconds"] - first["steps"] * step)
    for dtype in others:
        try:
            rates[dtype] = run(side, dtype, 3, ALL_STEPS, 2 * (start + 3 * step) + 15)["examples_per_s"]
        except subprocess.TimeoutExpired:
            rates[dtype] = 0.0
    return max(rates, key=lambda dtype: rates[dtype]), rates


def _result(
    work: str,
    task: dict[str, Any],
    equal: dict[str, Any],
    best: dict[str, Any],
    taken: dict[str, Any],
    peer: str,
    splits: dict[int, float] | None = None,
) -> dict[str, Any]:
    sides: dict[str, dict[str, Any]] = {}
    for side, samples in taken.items():
        sides[side] = {
            "dtype": best[side][0],
            "probe_examples_per_s": best[side][1],
            **{key: median(samples, key) for key in ("examples_per_s", "supervised_tokens_per_s", "peak_gb")},
            "samples": [one["examples_per_s"] for one in samples],
            "steady_seconds": [one["steady_seconds"] for one in samples],
        }
    shares = [one["matmul_share"] for one in taken["ours"] if one.get("matmul_share")]
    sides["ours"]["matmul_share"] = round(statistics.median(shares), 3) if shares else None
    split = {"micro_batch": taken["peer"][0].get("micro_batch"), "micro_batch_examples_per_s": splits} if splits else {}
    return {
        "work": work,
        "facts": {**task["facts"], "batch": batch_of(work)},
        "ours": sides["ours"],
        "peer": {"name": peer, **split, **sides["peer"]},
        "ratio": {
            "speed": round(sides["ours"]["examples_per_s"] / sides["peer"]["examples_per_s"], 2),
            "memory": round(sides["ours"]["peak_gb"] / sides["peer"]["peak_gb"], 3),
        },
        "equal": equal,
    }


if __name__ == "__main__":
    main()
