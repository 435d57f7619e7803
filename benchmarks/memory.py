"""What the plan says a training takes of memory, beside what it takes.

    python benchmarks/memory.py [--work W] [--data DIR] [--json]

For each configuration a project is made – a random model with the seedling's tokenizer, real rows – and its plan asked.
Then, in a process of its own, the base is loaded and tuned by the loop of the product for two steps; where it has
validation rows, a checkpoint answers them at the end. `measured_gb` is the peak resident memory of that process minus
its resident memory after imports; `peaks` say when it was reached. What the plan's memory is made with
(`train/footprint.py`) was fitted to the results whose `fitted` is true: the errors of the others are the ones to go by.
`missing` says which works have no result, and why; works on the sample project's tickets need no data.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _accuracy import summary
from _common import machine, peak_resident_gb, resident_gb, sample, versions
from _configurations import CONFIGURATIONS, Configuration, model_folder

HERE = Path(__file__).resolve()
LIMIT = 300
# Where the rows lie in the folder of data; the tickets of the sample project need no file.
FILES = {"banking77": "banking77/train.csv", "gsm8k": "gsm8k/train.jsonl", "snips": "snips/train.jsonl"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", choices=CONFIGURATIONS, action="append", help="one configuration (repeatable)")
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "../shared/data")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tune", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plan or given.tune:
        print(json.dumps(planned(given.plan, given.data) if given.plan else tuned(given.tune)))
        return
    results, missing = measure(given.work or list(CONFIGURATIONS), given.data.resolve())
    if not results:
        raise SystemExit("nothing was measured:\n" + "\n".join(f"{work}: {why}" for work, why in missing.items()))
    document = {
        "benchmark": "memory",
        "machine": machine(),
        "versions": versions(),
        "results": results,
        "missing": missing,
        "summary": summary(results),
    }
    print(json.dumps(document, indent=2) if given.json else words(document))


def measure(works: Sequence[str], data: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every work's plan first, then its training, each in a process of its own; and why others have no result."""
    missing = {work: why for work in works if (why := _lacking(work, data))}
    works = [work for work in works if work not in missing]
    found: list[dict[str, Any]] = []
    if not works:
        return found, missing
    with tempfile.TemporaryDirectory() as folder:
        for work in works:
            (Path(folder) / work).mkdir()
        asked = Path(folder) / "works.json"
        asked.write_text(json.dumps(list(works)))
        plans = sample(HERE, ["--plan", str(asked), "--data", str(data)], limit=LIMIT * len(works))
        for work in works:
            try:
                got = sample(HERE, ["--tune", str(Path(folder) / work)], limit=LIMIT)
            except (SystemExit, subprocess.TimeoutExpired) as error:
                missing[work] = f"failed: {str(error)[-300:]}"
                print(f"{work}: {missing[work]}", file=sys.stderr, flush=True)
                continue
            found.append(result(work, CONFIGURATIONS[work], plans[work], got))
            print(f"{work}: {line(found[-1])}", file=sys.stderr, flush=True)
    return found, missing


def _lacking(work: str, data: Path) -> str:
    """What the work needs and the folder of data has not."""
    file = FILES.get(CONFIGURATIONS[work].source)
    return f"there is no {file} in {data}" if file and not (data / file).is_file() else ""


def result(work: str, one: Configuration, plan: Mapping[str, Any], got: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration in CONTRACTS' shape."""
    memory, measured = plan["memory_gb"], got["measured_gb"]
    return {
        "work": work,
        "predicted_gb": memory["total"],
        "low_gb": memory["low"],
        "high_gb": memory["high"],
        "measured_gb": measured,
        "error": round(memory["total"] / measured - 1, 4),
        "inside": memory["low"] <= measured <= memory["high"],
        "fitted": one.fitted,
        "parts_gb": {name: size for name, size in memory.items() if name not in ("total", "low", "high")},
        "peaks": got["peaks"],
        "layout": got["layout"],
        "threads": got["threads"],
        "seconds": got["process_seconds"],
        "config": {"shape": one.shape, "rows": one.data, **plan["facts"], **one.train},
    }


def line(one: Mapping[str, Any]) -> str:
    return (
        f"predicted {one['predicted_gb']:.3f} [{one['low_gb']:.3f}, {one['high_gb']:.3f}], "
        f"measured {one['measured_gb']:.3f} GB ({one['error']:+.1%}, {'inside' if one['inside'] else 'OUTSIDE'})"
    )


def words(document: Mapping[str, Any]) -> str:
    lines = [f"{one['work']}: {line(one)}" for one in document["results"]]
    for name, one in document["summary"].items():
        lines.append(
            f"{name} ({one['count']}): median error {one['median_error']:.1%}, worst {one['worst_error']:.1%}, "
            f"bias {one['bias']:+.1%}, inside {one['inside']:.0%}"
        )
    lines += [f"{work}: not measured, {why}" for work, why in document["missing"].items()]
    return "\n".join(lines)


def planned(asked: Path, data: Path) -> dict[str, Any]:
    """Make the projects of the works named in the file `asked`, beside it, and ask for their plans."""
    from dataclasses import asdict

    from _works import _CONVERSATIONS
    from tunewright import journey
    from tunewright.joins.advising import plan_of

    conversations: dict[str, Any] = {}
    precisions: dict[str, Any] = {}
    found = {}
    for work in json.loads(asked.read_text()):
        one, folder = CONFIGURATIONS[work], asked.parent / work
        source = one.source
        if source not in conversations:
            conversations[source] = _tickets() if source == "tickets" else _CONVERSATIONS[source](data)
            random.Random(0).shuffle(conversations[source])
        count = one.batch * one.steps + one.validation
        rows = [_joined(conversations[source], index, one.data) for index in range(count + 4)]
        _write(folder / "rows.jsonl", rows[:count])
        _write(folder / "test.jsonl", rows[count:])
        recipe = {
            "model": str(model_folder(one.shape, asked.parent)),
            "data": {
                "train": ["rows.jsonl"],
                "test": "test.jsonl",
                "split": {"validation": one.validation / count, "folds": 0},
            },
            "train": {"epochs": 1, "checkpoints": 1, "effective_batch_size": one.batch} | one.train,
        }
        (folder / "tunewright.yaml").write_text(json.dumps(recipe))
        project = journey.open_project(folder)
        # Measured once for all works of a shape: it takes seconds.
        if one.shape in precisions:
            project.precision = precisions[one.shape]
        precisions[one.shape] = project.precision
        made = plan_of(project)
        train, validation = project.rendered("train"), project.rendered("validation")
        prepared = {
            "model": recipe["model"],
            "settings": {k: v for k, v in project.resolved.items() if k != "folds"},
            "train": [asdict(row) for row in train],
            "validation": [asdict(row) for row in validation],
            "answer": project.longest_answer,
            "stops": sorted(project.renderer.stop_ids),
            "pad": project.renderer.pad_id,
        }
        (folder / "prepared.json").write_text(json.dumps(prepared))
        lengths = [len(row.ids) for row in train]
        facts = {
            "parameters": project.base.parameters,
            "steps": project.resolved["steps"],
            "train_rows": len(train),
            "mean_tokens": round(sum(lengths) / len(lengths), 1),
            "longest_tokens": max(lengths),
            "validation_rows": len(validation),
        }
        found[work] = {"memory_gb": made.memory_gb, "facts": facts}
    return found


def _tickets() -> list[Any]:
    from tunewright.sample import examples

    return [[(turn["role"], turn["content"]) for turn in one.row()["messages"]] for one in examples(400)]


def _joined(conversations: Sequence[Any], index: int, kind: str) -> Any:
    """A conversation; of `turns` several problems one after the other, so that rows are long."""
    if kind != "turns":
        return conversations[index % len(conversations)]
    return [turn for each in range(6) for turn in conversations[(6 * index + each) % len(conversations)]]


def _write(path: Path, rows: Sequence[Any]) -> None:
    messages = [{"messages": [{"role": role, "content": text} for role, text in turns]} for turns in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in messages))


def tuned(folder: Path) -> dict[str, Any]:
    """Load the base and tune it as the journey does, in this process; what was the most at each event, in GB."""
    import torch

    from tunewright import models
    from tunewright.engine import Sampling, TorchEngine
    from tunewright.records import Rendered
    from tunewright.train import Settings, fit

    task = json.loads((folder / "prepared.json").read_text())
    before = resident_gb()
    settings = Settings.model_validate({k: v for k, v in task["settings"].items() if k in Settings.model_fields})
    base = models.load(task["model"], in_4_bits=settings.method == "qlora")
    train, validation = ([Rendered(**row) for row in task[split]] for split in ("train", "validation"))
    peaks: list[dict[str, Any]] = [{"after": "loading", "gb": _peak_gb(before)}]
    told: dict[str, Any] = {}

    def listen(event: Any) -> None:
        told.setdefault(event["type"], event)
        peaks.append({"after": f"{event['type']} {event.get('step', '')}".strip(), "gb": _peak_gb(before)})

    def score(model: Any) -> float:
        peaks.append({"after": "measuring begins", "gb": _peak_gb(before)})
        engine = TorchEngine(model, stop_ids=frozenset(task["stops"]), pad_id=task["pad"], identity="in training")
        prompts = [row.ids[: row.prompt_length] for row in validation]
        made = engine.generate(prompts, Sampling(max_new_tokens=task["answer"]))
        right = [tuple(g.output_ids) == row.ids[row.prompt_length :] for g, row in zip(made, validation, strict=True)]
        return sum(right) / len(right)

    fit(
        base.model,
        train,
        validation,
        settings,
        directory=folder / "run",
        score=score if validation else None,
        on_event=listen,
    )
    return {
        "measured_gb": _peak_gb(before),
        "peaks": peaks,
        "layout": told["start"]["layout"],
        "threads": torch.get_num_threads(),
    }


def _peak_gb(before: float) -> float:
    """Peak resident memory so far beyond `before`, in GB."""
    return round(peak_resident_gb() - before, 4)


if __name__ == "__main__":
    main()
