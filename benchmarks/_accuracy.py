"""Benchmarks that hold what a plan says beside what its training takes: how they run, and how far off the plan was.

Each plan is asked first, all in one process; then every training has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _common import DATA, machine, sample, versions
from _configurations import Configuration
from _prepared import lacking, prepare

LIMIT = 300


@dataclass(frozen=True)
class Compared:
    """A benchmark of a plan's figure in `unit`: what the plan says of it, what one training took, where the two stand.

    `planned` tells the figure's `expected`, `low` and `high` from a plan; `tuned` trains what lies in a folder and
    tells `measured` among what else there is to say; both run in processes of their own.
    """

    name: str
    script: Path
    unit: str
    works: Mapping[str, Configuration]
    planned: Callable[[Any], dict[str, float]]
    tuned: Callable[[Path], dict[str, Any]]

    def main(self, about: str | None) -> None:
        parser = argparse.ArgumentParser(description=about.splitlines()[0] if about else None)
        parser.add_argument("--work", choices=self.works, action="append", help="one configuration (repeatable)")
        parser.add_argument("--data", type=Path, default=DATA)
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
        parser.add_argument("--tune", type=Path, help=argparse.SUPPRESS)
        given = parser.parse_args()
        if given.plan or given.tune:
            print(json.dumps(self._plans(given.plan, given.data) if given.plan else self.tuned(given.tune)))
            return
        results, missing = self.measure(given.work or list(self.works), given.data.resolve())
        if not results:
            raise SystemExit("nothing was measured:\n" + "\n".join(f"{work}: {why}" for work, why in missing.items()))
        document = {
            "benchmark": self.name,
            "machine": machine(),
            "versions": versions(),
            "results": results,
            "missing": missing,
            "summary": summary(results),
        }
        print(json.dumps(document, indent=2) if given.json else self._words(document))

    def _plans(self, asked: Path, data: Path) -> dict[str, Any]:
        """Make the projects of the works named in the file `asked`, beside it, and ask for their plans."""
        works = {work: self.works[work] for work in json.loads(asked.read_text())}
        made = prepare(works, asked.parent, data)
        return {work: {"said": self.planned(plan), "facts": facts} for work, (plan, facts) in made.items()}

    def measure(self, works: Sequence[str], data: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Every work's plan, then its training; and why others have no result."""
        missing = {work: why for work in works if (why := lacking(self.works[work], data))}
        works = [work for work in works if work not in missing]
        found: list[dict[str, Any]] = []
        if not works:
            return found, missing
        with tempfile.TemporaryDirectory() as folder:
            asked = Path(folder) / "works.json"
            asked.write_text(json.dumps(works))
            plans = sample(self.script, ["--plan", str(asked), "--data", str(data)], limit=LIMIT * len(works))
            for work in works:
                try:
                    got = sample(self.script, ["--tune", str(Path(folder) / work)], limit=LIMIT)
                except (SystemExit, subprocess.TimeoutExpired) as error:
                    missing[work] = f"failed: {str(error)[-300:]}"
                    print(f"{work}: {missing[work]}", file=sys.stderr, flush=True)
                    continue
                found.append(self.result(work, plans[work], got))
                print(f"{work}: {self._line(found[-1])}", file=sys.stderr, flush=True)
        return found, missing

    def result(self, work: str, plan: Mapping[str, Any], got: dict[str, Any]) -> dict[str, Any]:
        said, unit, one = dict(plan["said"]), self.unit, self.works[work]
        expected, low, high = (said.pop(name) for name in ("expected", "low", "high"))
        measured = got.pop("measured")
        return {
            "work": work,
            f"predicted_{unit}": expected,
            f"low_{unit}": low,
            f"high_{unit}": high,
            f"measured_{unit}": measured,
            "error": round(expected / measured - 1, 4),
            "inside": low <= measured <= high,
            "fitted": one.fitted,
            **said,
            **got,
            "config": {"shape": one.shape, "rows": one.data, **plan["facts"], **one.train},
        }

    def _line(self, one: Mapping[str, Any]) -> str:
        expected, low, high, measured = (one[f"{n}_{self.unit}"] for n in ("predicted", "low", "high", "measured"))
        where = "inside" if one["inside"] else "OUTSIDE"
        said = f"predicted {expected:.3g} [{low:.3g}, {high:.3g}]"
        return f"{said}, measured {measured:.3g} {self.unit} ({one['error']:+.1%}, {where})"

    def _words(self, document: Mapping[str, Any]) -> str:
        lines = [f"{one['work']}: {self._line(one)}" for one in document["results"]]
        for name, one in document["summary"].items():
            lines.append(
                f"{name} ({one['count']}): median error {one['median_error']:.1%}, worst {one['worst_error']:.1%}, "
                f"bias {one['bias']:+.1%}, inside {one['inside']:.0%}"
            )
        lines += [f"{work}: not measured, {why}" for work, why in document["missing"].items()]
        return "\n".join(lines)


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How far off the plan was: of all results, of those that it was fitted to, and of those that it was not."""
    kinds = {
        "all": results,
        "fitted": [one for one in results if one["fitted"]],
        "unfitted": [one for one in results if not one["fitted"]],
    }
    return {name: accuracy(some) for name, some in kinds.items() if some}


def accuracy(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Median and worst absolute error, the median of the signed ones, and the share inside the interval."""
    errors = [one["error"] for one in results]
    return {
        "count": len(results),
        "median_error": round(statistics.median(map(abs, errors)), 4),
        "worst_error": round(max(map(abs, errors)), 4),
        "bias": round(statistics.median(errors), 4),
        "inside": round(sum(one["inside"] for one in results) / len(results), 4),
    }
