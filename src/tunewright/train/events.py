"""`events.jsonl`: what happened, one object a line, `type` first."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tunewright.store import append_line, read_lines, write_text

Listener = Callable[[Mapping[str, Any]], None]


class Events:
    """Appends events to a file (if any) and tells a listener. Numbers that are not finite are written as text."""

    def __init__(self, path: Path | None, listener: Listener | None) -> None:
        self.path, self.listener = path, listener

    def tell(self, kind: str, **values: Any) -> None:
        event = {"type": kind, **{key: _writable(value) for key, value in values.items()}}
        if self.path:
            append_line(self.path, event)
        if self.listener:
            self.listener(event)

    def rewind(self, step: int) -> None:
        """Forget what came after `step`: a resumed run goes through it again, identically."""
        if self.path and self.path.is_file():
            kept = [event for event in read_lines(self.path) if int(event.get("step", 0)) <= step]
            write_text(self.path, "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in kept))


def _writable(value: Any) -> Any:
    if isinstance(value, float) and value not in (float("inf"), float("-inf")) and value == value:
        return round(value, 8)
    return str(value) if isinstance(value, float) else value


def peak_gb(device: torch.device) -> float:
    """Peak memory so far in GB (10⁹ bytes): of the process, or of the GPU's allocator."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 1e9
    # Not what `getrusage` says where the system has a record of the process: that begins with its parent's peak.
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    kilobytes = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    if kilobytes is not None:
        return kilobytes * 1024 / 1e9
    # Linux counts in kilobytes, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
