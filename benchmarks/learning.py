"""What the seedling learns in how long, by the command line: the sample's tickets, and SNIPS.

    python benchmarks/learning.py [--work tickets|snips] [--epochs N] [--seed S …] [--data DIR] --json

`tickets`: 389 tickets of the sample project, of which about 350 train, judged on 400 of another seed, in four passes;
the model is saved and scored once, at the end. Five times, by seed 0 to 4, unless seeds are given.
`snips`: all rows of SNIPS in 0.9 passes of batches of 16, judged on 500. Each is a project of its own, made and run as
a person would. `f1` is the mean of the fields' scores; `train_seconds` is the stage's by the clock, validation and the
probes of what will be exported included, `step_seconds` that of the steps alone. Of several seeds `f1` is the mean and
seconds are medians; `each` has them all, with the score's interval.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import DATA, median, report

WORKS = {
    "tickets": ["train.epochs=4", "train.checkpoints=1"],
    "snips": ["train.epochs=0.9", "train.effective_batch_size=16"],
}
SEEDS = {"tickets": range(5), "snips": range(1)}
TICKETS, OTHERS, OTHER_SEED = 389, 400, 4711


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", choices=WORKS, action="append")
    parser.add_argument("--epochs", type=float, help="other passes than the work's own")
    parser.add_argument("--seed", type=int, action="append", help="the order of the rows, and where A begins")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    more = [f"train.epochs={given.epochs}"] if given.epochs else []
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for work in given.work or WORKS:
            seeds = given.seed or SEEDS[work]
            places = [Path(folder) / f"{work}-{seed}" for seed in seeds]
            each = [
                {"seed": seed, **learnt(work, place, given.data.resolve(), [f"train.seed={seed}", *more])}
                for seed, place in zip(seeds, places, strict=True)
            ]
            results.append(summed_up(work, each, [*WORKS[work], *more]))
    report("learning", results, given.json)


def learnt(work: str, folder: Path, data: Path, more: Sequence[str]) -> dict[str, Any]:
    """Make the project of `work` in `folder`, run it with the work's settings and `more`, and tell what came out."""
    folder.mkdir()
    train, test = tickets(folder) if work == "tickets" else (data / "snips/train.jsonl", data / "snips/test.jsonl")
    settings = [*WORKS[work], *more]
    tunewright("init", str(folder / "p"), "--data", str(train), "--test", str(test))
    out = tunewright("run", str(folder / "p"), *_sets(["arms=[base, tuned]", *settings]))
    run, trained = json.loads(out), next(folder.glob("p/.tunewright/runs/*/train.json"))
    arm = next(each for each in run["arms"] if each["name"] == "tuned")
    return {
        "f1": round(arm["score"], 4),
        "low": round(arm["low"], 4),
        "high": round(arm["high"], 4),
        "cases": arm["cases"],
        "step_seconds": json.loads(trained.read_text())["seconds"],
        "train_seconds": run["seconds"]["train"],
        "all_seconds": round(sum(run["seconds"].values()), 1),
    }


def summed_up(work: str, each: Sequence[dict[str, Any]], settings: Sequence[str]) -> dict[str, Any]:
    """A work's entry in the document."""
    ours = {"seeds": len(each), "f1": round(statistics.mean(one["f1"] for one in each), 4), "cases": each[0]["cases"]}
    for key in ("step_seconds", "train_seconds", "all_seconds"):
        ours[key] = median(each, key)
    ours["longest_train_seconds"] = max(one["train_seconds"] for one in each)
    more = {"peer": None, "ratio": {}, "equal": {}, "settings": list(settings)}
    return {"work": work, "ours": ours, "each": list(each), **more}


def tickets(folder: Path) -> tuple[Path, Path]:
    """The rows that train and those that judge, none of which trains."""
    from tunewright.sample import examples

    rows = examples(TICKETS)
    seen = {row.text for row in rows}
    others = [row for row in examples(2 * OTHERS, seed=OTHER_SEED) if row.text not in seen][:OTHERS]
    paths = folder / "train.jsonl", folder / "test.jsonl"
    for path, each in zip(paths, (rows, others), strict=True):
        path.write_text("".join(json.dumps(row.row(), ensure_ascii=False) + "\n" for row in each))
    return paths


def tunewright(*arguments: str) -> str:
    """What the command says on stdout in JSON. A verdict of no is no failure of the benchmark."""
    command = [sys.executable, "-m", "tunewright", *arguments, "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}, check=False
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def _sets(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


if __name__ == "__main__":
    main()
