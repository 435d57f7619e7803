"""Run every benchmark here, one after the other, and write what they say to RESULTS.md.

    python benchmarks/run_all.py [NAME[:WORK] ...] [-- OPTIONS of the benchmark]

An hour or more on two quiet cores. What is not run keeps its last result, and says on what machine it was taken.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _accuracy import summary

HERE = Path(__file__).resolve().parent
RESULTS, KEPT = HERE / "RESULTS.md", HERE / "results"


def main() -> None:
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    names, options = given[:cut], given[cut + 1 :]
    KEPT.mkdir(exist_ok=True)
    for name in names or sorted(p.stem for p in HERE.glob("[!_]*.py") if p != Path(__file__).resolve()):
        print(f"{name} …", file=sys.stderr, flush=True)
        benchmark, _, work = name.partition(":")
        command = [
            sys.executable,
            str(HERE / f"{benchmark}.py"),
            "--json",
            *(["--work", work] if work else []),
            *options,
        ]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if ran.returncode:
            print(f"{name} failed with {ran.returncode}; its last result stays", file=sys.stderr)
            continue
        keep(json.loads(ran.stdout))
    write()


def keep(document: dict[str, Any]) -> None:
    """Put a benchmark's results beside those of other works, and of other kinds of machine."""
    path = KEPT / f"{document['benchmark']}.json"
    before = json.loads(path.read_text())["results"] if path.is_file() else []
    here = {"date": time.strftime("%Y-%m-%d"), "machine": document.pop("machine")}
    stamped = [{**r, **here} for r in document["results"]]
    document["results"] = list({_which(r): r for r in [*before, *stamped]}.values())
    document["results"].sort(key=_which)
    if "summary" in document:
        document["summary"] = summary(document["results"])
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _which(result: dict[str, Any]) -> tuple[str, str, str]:
    """What a newer result takes the place of: the same work beside the same peer on the same kind of machine."""
    return result["work"], str((result.get("peer") or {}).get("name")), words(result["machine"])


def write() -> None:
    """RESULTS.md from the kept results."""
    parts = ["# Measured\n", "Made by `make bench`; each line names the command that repeats it.\n"]
    for path in sorted(KEPT.glob("*.json")):
        document = json.loads(path.read_text())
        parts.append(f"\n## {document['benchmark']}\n\n{words(document['versions'])}.\n\n")
        parts.append("| work | ours | peer | speed | memory | equal | machine, date |\n|---|---|---|---|---|---|---|\n")
        parts += [row(document["benchmark"], r) for r in document["results"]]
        told = [f"- {name}: {words(of)}\n" for name, of in document.get("summary", {}).items()]
        parts += ["\n", *told] if told else []
    RESULTS.write_text("".join(parts))


def row(benchmark: str, result: dict[str, Any]) -> str:
    ratio, equal, on = result.get("ratio") or {}, result.get("equal") or {}, result["machine"]
    where = on.get("gpu") or f"{on['processor']}, {on['cores']} cores, {on['instructions']}"
    gap = equal.get("max_gap")
    same = f"{'yes' if equal.get('ok') else 'no'}{f' ({gap:.1e})' if isinstance(gap, float) else ''}" if equal else ""
    cells = [
        f"`python benchmarks/{benchmark}.py --work {result['work']}`",
        words(result.get("ours") or {k: v for k, v in result.items() if k.endswith(("_gb", "_seconds"))}),
        words(result.get("peer")),
        *(f"{ratio[k]:.2f}×" if isinstance(ratio.get(k), (int, float)) else "" for k in ("speed", "memory")),
        same,
        f"{where}; {result['date']}",
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
