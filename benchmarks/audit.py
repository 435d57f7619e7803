"""How fast the audit reads, checks, splits and writes generated rows, beside datatrove's MinHash on the same rows.

    python benchmarks/audit.py [--work rows_10k|rows_100k|rows_1m] [--peer-python PYTHON] --json

Ours does all of `tunewright check`: parsing, ledger, personal data, exact and near duplicates and contradictions,
doubtful labels, split, dataset version. The peer does MinHash deduplication of the questions alone (its signatures of
word triples, buckets, clusters), so `ours.near_rows_per_s` says how fast we do that much: read, bring to normal form,
sketch, propose, verify. The peer is run by `--peer-python`, an environment with
`pip install datatrove tokenizers orjson spacy "xxhash<3.6"`; where that cannot be done its figures are null.

`equal` compares which rows each side would remove with those that were planted as repeats: ours must find at least the
share that the peer finds, and remove nothing else.
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
EQUAL = "shares of the planted exact and near repeats that are removed, and of the removed that were planted"
# Of a million rows the peer is given the first hundred thousand: a work ends within twenty minutes.
PEER_ROWS = 100_000


def generate(path: Path, rows: int) -> dict[str, list[int]]:
    """Write varied questions and answers; say which (from 0) repeat an earlier one exactly or nearly."""
    draw = random.Random(rows)
    vowels, others = "aeiou", "bcdfghklmnprstvz"
    words = [
        "".join(draw.choice(others) + draw.choice(vowels) for _ in range(draw.randint(1, 4))) for _ in range(30_000)
    ]
    # Summed once: `choices` would sum plain weights anew for every row.
    weights = list(itertools.accumulate(1 / (i + 10) for i in range(len(words))))
    planted: dict[str, list[int]] = {"exact": [], "near": []}
    recent: list[tuple[str, str]] = []
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            chance = draw.random()
            if recent and chance < EXACT:
                asked, answered = draw.choice(recent)
                planted["exact"].append(i)
            elif recent and chance < EXACT + NEAR:
                # Each is repeated nearly once only: two near repeats of one row could be exact repeats of each other.
                asked, answered = recent.pop(draw.randrange(len(recent)))
                parts = asked.split()
                parts[len(parts) // 2] += "s"
                asked = " ".join(parts)
                planted["near"].append(i)
            else:
                asked = " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(12, 24)))
                answered = " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(3, 12)))
                if draw.random() < 0.1:
                    recent.append((asked, answered))
            file.write(json.dumps({"prompt": asked, "completion": answered}) + "\n")
    return planted


def ours(path: Path, rows: int) -> dict[str, Any]:
    """Audit the file until enough time has passed; which rows it would remove."""
    from _common import peak_resident_gb, resident_gb
    from tunewright.data import audit
    from tunewright.recipe import DataSpec

    spec = DataSpec.model_validate({"train": str(path), "accept": ["near_duplicate"]})
    started = resident_gb()
    seconds: list[float] = []
    while not seconds or (sum(seconds) < STEADY and rows < PEER_ROWS):
        with tempfile.TemporaryDirectory() as store:
            began = time.perf_counter()
            result = audit(spec, root=Path(store), store=Path(store))
            seconds.append(time.perf_counter() - began)
            peak = peak_resident_gb() - started
            kept = {
                int(json.loads(line)["row"].rpartition(":")[2]) - 1
                for file in result.path.glob("*.jsonl")
                for line in file.open(encoding="utf-8")
            }
    return {
        "rows": rows,
        "rows_per_s": rows / statistics.median(seconds),
        "peak_gb": peak,
        "near_rows_per_s": rows / _near_alone(path),
        "removed": sorted(set(range(rows)) - kept),
    }


def _near_alone(path: Path) -> float:
    """Seconds for as much as the peer does."""
    import numpy as np

    from tunewright.text import alike, candidates, normal, sketch

    began = time.perf_counter()
    with path.open(encoding="utf-8") as file:
        forms = [normal(json.loads(line)["prompt"]) for line in file]
    sketches = np.concatenate([sketch(forms[i : i + 2000]) for i in range(0, len(forms), 2000)])
    first = np.sort(np.unique(forms, return_index=True)[1])
    pairs = candidates(sketches, np.array([len(form) for form in forms]), first)
    alike([forms[a] for a, _ in pairs], [forms[b] for _, b in pairs])
    return time.perf_counter() - began


PEER = """
import json, struct, sys, tempfile, time
from pathlib import Path
import loguru; loguru.logger.remove()
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
def gb(what):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what): return int(line.split()[1]) * 1024 / 1e9
path, most = Path(sys.argv[1]), int(sys.argv[2])
def documents(data=None, rank=0, world_size=1):
    with path.open(encoding="utf-8") as file:
        for i, line in enumerate(file):
            if i >= most: return
            yield Document(text=json.loads(line)["prompt"], id=str(i))
started, began = gb("VmRSS"), time.perf_counter()
config = MinhashConfig(n_grams=3)
with tempfile.TemporaryDirectory() as out:
    def run(name, *steps):
        LocalPipelineExecutor(list(steps), tasks=1, workers=1, logging_dir=f"{out}/{name}").run()
    run("a", documents, MinhashDedupSignature(f"{out}/sig", config=config))
    LocalPipelineExecutor([MinhashDedupBuckets(f"{out}/sig", f"{out}/buckets", config=config)],
                          tasks=config.num_buckets, workers=1, logging_dir=f"{out}/b").run()
    run("c", MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config))
    removed = [i for p in Path(f"{out}/remove").glob("*.remove") for (i,) in struct.iter_unpack("<I", p.read_bytes())]
seconds = time.perf_counter() - began
print(json.dumps({"rows": most, "rows_per_s": most / seconds, "removed": removed,
                  "peak_gb": gb("VmHWM") - started}))
"""


def peer(python: str, path: Path, rows: int) -> dict[str, Any] | str:
    """Datatrove's MinHash, in a process of its own; text says why it could not be measured."""
    most = min(rows, PEER_ROWS)
    try:
        done = subprocess.run([python, "-c", PEER, str(path), str(most)], capture_output=True, text=True, timeout=500)
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
    mine = {key: round(median(left, key)) for key in ("rows_per_s", "near_rows_per_s")}
    theirs: dict[str, Any] = {"name": "datatrove MinHash", "rows_per_s": None, "peak_gb": None, "reason": why}
    ratio: dict[str, Any] = {"speed": None, "memory": None}
    equal: dict[str, Any] = {"what": EQUAL, "ours": _shares(left[-1], planted, rows), "max_gap": None, "ok": None}
    gb = round(median(left, "peak_gb"), 3)
    if right:
        most = right[-1]["rows"]
        theirs = {
            "name": "datatrove MinHash",
            "rows": most,
            "rows_per_s": round(median(right, "rows_per_s")),
            "peak_gb": round(median(right, "peak_gb"), 3),
        }
        ratio["speed"] = round(mine["rows_per_s"] / theirs["rows_per_s"], 2)
        ratio["speed_near"] = round(mine["near_rows_per_s"] / theirs["rows_per_s"], 2)
        ratio["memory"] = round(gb / theirs["peak_gb"], 2) if most == rows else None
        equal["peer"] = _shares(right[-1], planted, most)
        same = _shares(left[-1], planted, most)
        equal["max_gap"] = max(0.0, *(equal["peer"][k] - same[k] for k in ("exact", "near", "precision")))
        equal["ok"] = equal["max_gap"] == 0.0
    counts = {kind: len(places) for kind, places in planted.items()}
    return {
        "work": work,
        "ours": {"rows": rows, **mine, "peak_gb": gb, "planted": counts},
        "peer": theirs,
        "ratio": ratio,
        "equal": equal,
    }


def _shares(side: dict[str, Any], planted: dict[str, list[int]], most: int) -> dict[str, float]:
    """Of the first `most` rows: the share of the planted repeats that a side removes, and of what it removes that was
    planted."""
    removed = {i for i in side["removed"] if i < most}
    wanted = {kind: {i for i in places if i < most} for kind, places in planted.items()}
    found = {kind: round(len(removed & places) / len(places), 4) for kind, places in wanted.items()}
    right = len(removed & (wanted["exact"] | wanted["near"]))
    return {**found, "precision": round(right / max(1, len(removed)), 4)}


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
