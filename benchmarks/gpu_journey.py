"""The whole journey of an 8B-shaped Llama on one GPU: time and peak memory of each stage, beside what the plan said.

    python benchmarks/gpu_journey.py [--shape 8b|1b|tiny] [--work lora|qlora] [--rows N] [--base DIR] --json

The base has random weights in bfloat16 and the seedling's tokenizer, and learns nothing: what is measured is what a
journey takes. It is written to `--base` unless it is there already. Rows are tickets of the sample project, of which a
fifth judges. `peak_gb` is what PyTorch had allocated on the GPU at most during a stage, and `reserved_gb` what it held
of it; `resident_gb` is the process's own memory at most. On a CPU the same is done in small.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _common import peak_resident_gb, report
from _gpu_sides import SHAPES, assert_gpu, build, gpu_name

RECIPE = """
model: {base}
data: {{train: [rows.jsonl], split: {{test: 0.2, validation: 0}}}}
arms: [base, tuned]
train: {{method: {method}, rank: 16, epochs: 2, effective_batch_size: 8, checkpoints: 1}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--work", choices=("lora", "qlora"), default="lora", help="the method")
    parser.add_argument("--rows", type=int, default=80)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.shape != "tiny":
        assert_gpu()
    with tempfile.TemporaryDirectory() as folder:
        base = (given.base or Path(folder) / "base").resolve()
        if not (base / "config.json").is_file():
            write_base(base, given.shape)
        found = travelled(Path(folder), base, given.work, given.rows)
    ours = {"shape": given.shape, "method": given.work, **found}
    result = {"work": given.work, "ours": ours, "peer": None, "ratio": {}, "equal": {}}
    report("gpu_journey", [result], given.json, gpu=gpu_name())


def write_base(folder: Path, shape: str) -> None:
    """A base of random weights that can be tuned and talked to."""
    import torch

    from tunewright import models

    seedling = models.load("seedling")
    model = build({"shape": SHAPES[shape] | {"vocab_size": max(SHAPES[shape]["vocab_size"], len(seedling.tokenizer))}})
    model.generation_config = seedling.model.generation_config
    model.to(torch.bfloat16).save_pretrained(folder)
    seedling.tokenizer.save_pretrained(folder)


class Meter:
    """Told of each stage, it notes what the stage took, and says so at once."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        import torch

        gpu, began = torch.cuda.is_available(), time.perf_counter()
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        yield []
        taken: dict[str, Any] = {"stage": name, "seconds": round(time.perf_counter() - began, 1)}
        if gpu:
            taken["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
            taken["reserved_gb"] = round(torch.cuda.max_memory_reserved() / 1e9, 2)
        taken["resident_gb"] = round(peak_resident_gb(), 2)
        self.stages.append(taken)
        print(json.dumps(taken), file=sys.stderr, flush=True)

    def progress(self, name: str, done: int, total: int | None, note: str = "") -> None:
        pass


def travelled(folder: Path, base: Path, method: str, rows: int) -> dict[str, Any]:
    """Run the journey on `rows` tickets: what each stage took, how training was done, what became of it."""
    from tunewright import advising, journey
    from tunewright.sample import examples

    lines = (json.dumps(row.row(), ensure_ascii=False) + "\n" for row in examples(rows))
    (folder / "rows.jsonl").write_text("".join(lines))
    (folder / "tunewright.yaml").write_text(RECIPE.format(base=base, method=method))
    began, meter = time.perf_counter(), Meter()
    project = journey.open_project(folder)
    project.tell = meter
    outcome = journey.run(project)
    told = [json.loads(line) for line in project.folder.run(outcome.run).events.read_text().splitlines()]
    start = next(each for each in told if each["type"] == "start")
    return {
        "stages": meter.stages,
        "seconds": round(time.perf_counter() - began, 1),
        "planned_gb": advising.plan_of(project).memory_gb,
        "how": {key: value for key, value in start.items() if key not in ("type", "time")},
        "steps": [{k: e[k] for k in ("loss", "seconds", "peak_gb")} for e in told if e["type"] == "step"],
        "parity": next(gate.message for gate in outcome.gates if gate.name == "parity"),
        "certified": next(gate.ok for gate in outcome.gates if gate.name == "parity"),
    }


if __name__ == "__main__":
    main()
