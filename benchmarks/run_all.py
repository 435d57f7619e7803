"""Run every benchmark here, one after the other, and write what they say to RESULTS.md.

    python benchmarks/run_all.py [NAME ...]

An hour or more on two quiet cores. What is not run keeps its last result.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS, KEPT = HERE / "RESULTS.md", HERE / "results"


def main() -> None:
    names = sys.argv[1:] or sorted(p.stem for p in HERE.glob("[!_]*.py") if p != Path(__file__).resolve())
    KEPT.mkdir(exist_ok=True)
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        ran = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py"), "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
        if ran.returncode:
            print(f"{name} failed with {ran.returncode}; its last result stays", file=sys.stderr)
            continue
        keep(json.loads(ran.stdout))
    write()


def keep(document: dict[str, Any]) -> None:
    """Put a benchmark's results beside the works of it that were measured before."""
    path = KEPT / f"{document['benchmark']}.json"
    before = json.loads(path.read_text())["results"] if path.is_file() else []
    fresh = {r["work"] for r in document["results"]}
    stamped = [{**r, "date": time.strftime("%Y-%m-%d")} for r in document["results"]]
    document["results"] = sorted([r for r in before if r["work"] not in fresh] + stamped, key=lambda r: r["work"])
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write() -> None:
    """RESULTS.md from the kept results."""
    parts = ["# Measured\n", "Made by `make bench`; each line names the command that repeats it.\n"]
    for path in sorted(KEPT.glob("*.json")):
        document = json.loads(path.read_text())
        parts.append(f"\n## {document['benchmark']}\n\n{words(document['machine'])}; {words(document['versions'])}.\n")
        parts.append("\n| work | ours | peer | speed | memory | equal | date |\n|---|---|---|---|---|---|---|\n")
        parts += [row(document["benchmark"], r) for r in document["results"]]
    RESULTS.write_text("".join(parts))


def row(benchmark: str, result: dict[str, Any]) -> str:
    ratio, equal = result.get("ratio") or {}, result.get("equal") or {}
    gap = equal.get("max_gap")
    same = f"{'yes' if equal.get('ok') else 'no'}{f' ({gap:.1e})' if isinstance(gap, float) else ''}" if equal else ""
    cells = [
        f"`python benchmarks/{benchmark}.py --work {result['work']}`",
        words(result.get("ours")),
        words(result.get("peer")),
        *(f"{ratio[k]:.2f}×" if isinstance(ratio.get(k), (int, float)) else "" for k in ("speed", "memory")),
        same,
        result.get("date", ""),
    ]
    return "| " + " | ".join(cells) + " |\n"


def words(value: Any) -> str:
    """A flat mapping as `name value, name value`; lists and mappings inside it are left to the JSON file."""
    if not isinstance(value, dict):
        return str(value or "")
    flat = {k: v for k, v in value.items() if isinstance(v, (str, int, float)) and not isinstance(v, bool)}
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in flat.items())


if __name__ == "__main__":
    main()
