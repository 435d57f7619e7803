"""What the benchmarks share: the machine's description, samples in processes of their own, medians."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# What decides which number type is fast; the widest that a processor has is told.
INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512f": "AVX-512", "avx2": "AVX2"}
# Where the real sets lie unless `--data` says otherwise.
DATA = Path(__file__).resolve().parents[2] / "shared/data"
PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "numpy")


def machine() -> dict[str, Any]:
    """What was measured on."""
    name, can = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        facts = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in facts.items()}
        name, flags = facts.get("model name", name), facts.get("flags", "").split()
        can = next((words for flag, words in INSTRUCTIONS.items() if flag in flags), "")
    return {
        "processor": name,
        "instructions": can,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of what was compared."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def resident_gb() -> float:
    """Resident memory of this process now, in GB (10⁹ bytes)."""
    return _of_this_process("VmRSS")


def peak_resident_gb() -> float:
    """Peak resident memory of this process so far, in GB. What `getrusage` says begins with the parent's peak."""
    return _of_this_process("VmHWM")


def _of_this_process(what: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e9


def sample(script: Path, arguments: Sequence[str], limit: float, python: str = sys.executable) -> dict[str, Any]:
    """Run one side in a process of its own (by `python`); its last line of output is its result."""
    began = time.perf_counter()
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [python, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=limit,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    result["process_seconds"] = round(time.perf_counter() - began, 1)
    return result


def median(samples: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(float(one[key]) for one in samples)


def report(benchmark: str, results: list[dict[str, Any]], as_json: bool, **more: Any) -> None:
    """Print the document of CONTRACTS' shape, or a line per work; `more` is told of the machine."""
    document = {"benchmark": benchmark, "machine": machine() | more, "versions": versions(), "results": results}
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for one in results:
        ratio = ", ".join(f"{key} {value}" for key, value in one["ratio"].items())
        print(f"{one['work']}: {ratio}; equal: {one['equal']}")
