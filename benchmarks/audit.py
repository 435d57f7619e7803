"""How fast the audit reads, checks, splits and writes generated rows, beside datatrove's MinHash on the same rows.

    python benchmarks/audit.py [--work rows_10k|rows_100k|rows_1m] [--peer-python PYTHON] --json

Ours does all of `tunewright check`: parsing, ledger, personal data, exact and near duplicates and contradictions,
doubtful labels, split, dataset version. The peer does MinHash deduplication alone. It is run by `--peer-python`
where datatrove does not share an environment with us; where it is not installed its figures are null.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORKS = {"rows_10k": 10_000, "rows_100k": 100_000, "rows_1m": 1_000_000}
EXACT = 0.02
NEAR = 0.02
STEADY = 15.0
# The peer is measured on this many of the rows at most: a sample may take three minutes.
PEER_ROWS = 100_000


def generate(path: Path, rows: int) -> dict[str, int]:
    """Write varied questions and answers with a known number of exact and near repeats; say how many."""
    draw = random.Random(rows)
    vowels, others = "aeiou", "bcdfghklmnprstvz"
    words = [
        "".join(draw.choice(others) + draw.choice(vowels) for _ in range(draw.randint(1, 4))) for _ in range(30_000)
    ]
    # Summed once: `choices` would sum plain weights anew for every row.
    weights = list(itertools.accumulate(1 / (i + 10) for i in range(len(words))))
    planted = {"exact": 0, "near": 0}
    recent: list[tuple[str, str]] = []
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            chance = draw.random()
            if recent and chance < EXACT:
                asked, answered = draw.choice(recent)
                planted["exact"] += 1
            elif recent and chance < EXACT + NEAR:
                # Each is repeated nearly once only: two near repeats of one row could be exact repeats of each other.
                asked, answered = recent.pop(draw.randrange(len(recent)))
                parts = asked.split()
                parts[len(parts) // 2] += "s"
                asked = " ".join(parts)
                planted["near"] += 1
            else:
                asked = " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(12, 24)))
                answered = " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(3, 12)))
                if draw.random() < 0.1:
                    recent.append((asked, answered))
            file.write(json.dumps({"prompt": asked, "completion": answered}) + "\n")
    return planted


def ours(path: Path, rows: int) -> dict[str, Any]:
    """Audit the file until enough time has passed."""
    from _common import peak_resident_gb, resident_gb
    from tunewright.data import audit
    from tunewright.recipe import DataSpec

    spec = DataSpec.model_validate({"train": str(path)})
    started = resident_gb()
    seconds: list[float] = []
    while not seconds or (sum(seconds) < STEADY and rows < PEER_ROWS):
        with tempfile.TemporaryDirectory() as store:
            began = time.perf_counter()
            result = audit(spec, root=Path(store), store=Path(store))
            seconds.append(time.perf_counter() - began)
    counts = {f.code: f.count for f in result.findings}
    near = next((f.evidence["pairs"] for f in result.findings if f.code == "near_duplicate"), 0)
    return {
        "rows": rows,
        "rows_per_s": rows / statistics.median(seconds),
        "peak_gb": peak_resident_gb() - started,
        "exact": counts.get("exact_duplicate", 0),
        "near": near,
    }


PEER = """
import json, logging, resource, sys, tempfile, time
from pathlib import Path
import loguru; loguru.logger.remove()
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
def now():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"): return int(line.split()[1]) * 1024 / 1e9
path, most = Path(sys.argv[1]), int(sys.argv[2])
def documents(data=None, rank=0, world_size=1):
    with path.open(encoding="utf-8") as file:
        for i, line in enumerate(file):
            if i >= most: return
            yield Document(text=json.loads(line)["prompt"], id=str(i))
started, began = now(), time.perf_counter()
config = MinhashConfig(n_grams=3)
with tempfile.TemporaryDirectory() as out:
    def run(name, *steps):
        LocalPipelineExecutor(list(steps), tasks=1, workers=1, logging_dir=f"{out}/{name}").run()
    run("a", documents, MinhashDedupSignature(f"{out}/sig", config=config))
    LocalPipelineExecutor([MinhashDedupBuckets(f"{out}/sig", f"{out}/buckets", config=config)],
                          tasks=config.num_buckets, workers=1, logging_dir=f"{out}/b").run()
    run("c", MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config))
    removed = sum(p.stat().st_size for p in Path(f"{out}/remove").glob("*.remove")) // 4
seconds = time.perf_counter() - began
print(json.dumps({"rows": most, "rows_per_s": most / seconds, "removed": removed,
                  "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9 - started}))
"""


def peer(python: str, path: Path, rows: int) -> dict[str, Any] | str:
    """Datatrove's MinHash, in a process of its own; text says why it could not be measured."""
    most = min(rows, PEER_ROWS)
    try:
        done = subprocess.run([python, "-c", PEER, str(path), str(most)], capture_output=True, text=True, timeout=400)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:200]
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def measure(work: str, rounds: int, python: str) -> dict[str, Any]:
    """One work: both sides interleaved, the medians."""
    from _common import median, sample

    rows = WORKS[work]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        planted = generate(path, rows)
        left: list[dict[str, Any]] = []
        right: list[dict[str, Any]] = []
        why = ""
        for _ in range(rounds):
            left.append(sample(Path(__file__), ["--side", str(path), "--rows", str(rows)], 1200))
            other = peer(python, path, rows)
            if isinstance(other, str):
                why = other
            else:
                right.append(other)
    found = left[-1]
    missed = max(abs(found["exact"] - planted["exact"]) / planted["exact"], 1 - found["near"] / planted["near"])
    mine = {"rows": rows, "rows_per_s": round(median(left, "rows_per_s")), "peak_gb": round(median(left, "peak_gb"), 3)}
    theirs: dict[str, Any] = {"name": "datatrove MinHash", "rows_per_s": None, "peak_gb": None, "reason": why}
    ratio: dict[str, Any] = {"speed": None, "memory": None}
    if right:
        theirs = {
            "name": "datatrove MinHash",
            "rows": right[-1]["rows"],
            "rows_per_s": round(median(right, "rows_per_s")),
            "peak_gb": round(median(right, "peak_gb"), 3),
            "removed": right[-1]["removed"],
        }
        ratio["speed"] = round(mine["rows_per_s"] / theirs["rows_per_s"], 2)
        if theirs["rows"] == rows:
            ratio["memory"] = round(mine["peak_gb"] / theirs["peak_gb"], 2)
    what = "planted exact repeats counted, planted near repeats found; the gap is the larger share missed"
    return {
        "work": work,
        "ours": {**mine, "exact": found["exact"], "near": found["near"], "planted": planted},
        "peer": theirs,
        "ratio": ratio,
        "equal": {"what": what, "max_gap": round(max(missed, 0.0), 4), "ok": missed <= 0.05},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=[*WORKS], action="append")
    parser.add_argument("--data", help="Not used: the rows are generated.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(ours(given.side, given.rows)))
        return
    from _common import report

    works = given.work or [*WORKS]
    rounds = {"rows_1m": 1}
    report("audit", [measure(w, rounds.get(w, given.rounds), given.peer_python) for w in works], given.json)


if __name__ == "__main__":
    main()
