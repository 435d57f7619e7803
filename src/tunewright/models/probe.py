"""Which number type computes fastest here: measured, never assumed.

On some CPUs bf16 matrix products run several times faster than fp32, on others more than a hundred times slower.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import torch

from tunewright.models.load import computes_in_bfloat16
from tunewright.store import digest, read_json, write_json

_TOKENS = 1024
# Seconds to try for, where two types are told apart, and where it is the rate that is asked for.
_BRIEFLY, _LONGER = 0.1, 0.4


_CANDIDATES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# What is taken where a model has no linear layers to try, in GFLOP/s.
_UNKNOWN = 50.0
# A rate that is so many times what was kept was kept while the machine was busy.
_BUSY = 1.1


def precision(model: Any, device: str = "cpu") -> str:
    """`"float32"` or `"bfloat16"`, whichever multiplies this model's commonest layer faster.

    On a GPU bfloat16 only where it has that. About half a second, once per machine, card and shape: the answer is kept
    in the user's cache folder, so that a run which is resumed computes as it began.
    """
    shape = _commonest_linear(model)
    fastest = "float32" if shape is None else _kept(shape, device)["fastest"]
    # A GPU that only imitates bf16 may win the product and lose all that lies between two of them.
    return fastest if device == "cpu" or computes_in_bfloat16(device) else "float32"


def rate(model: Any, precision: str, device: str = "cpu") -> float:
    """GFLOP/s of this model's commonest layer: what was kept, or what is measured now where that is clearly more."""
    shape = _commonest_linear(model)
    if shape is None:
        return _UNKNOWN
    kept, now = _kept(shape, device), _rate(shape, _CANDIDATES[precision], device, _LONGER)
    if now > _BUSY * kept["rates"][precision]:
        kept["rates"][precision] = now
        write_json(_file(shape, device), kept)
    return float(kept["rates"][precision])


def _kept(shape: tuple[int, int], device: str) -> dict[str, Any]:
    """The `rates` of both types at this shape, and which is the `fastest`, measured when they were first asked for."""
    if _file(shape, device).is_file():
        return dict(read_json(_file(shape, device)))
    rates = {name: _rate(shape, dtype, device) for name, dtype in _CANDIDATES.items()}
    # bf16 costs casts around every product, so it must win clearly.
    fastest = "bfloat16" if rates["bfloat16"] > 1.5 * rates["float32"] else "float32"
    write_json(_file(shape, device), {"rates": rates, "fastest": fastest})
    return {"rates": rates, "fastest": fastest}


def _commonest_linear(model: Any) -> tuple[int, int] | None:
    counts: dict[tuple[int, int], int] = {}
    # Not the head's: it is asked for a few tokens only, and with many words one product of it takes minutes in a type
    # that the processor does not have.
    head = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            shape = (module.out_features, module.in_features)
            counts[shape] = counts.get(shape, 0) + module.out_features * module.in_features
    return max(counts, key=lambda s: counts[s]) if counts else None


def _rate(shape: tuple[int, int], dtype: torch.dtype, device: str, seconds: float = _BRIEFLY) -> float:
    """GFLOP/s of `tokens × in @ in × out` at this shape."""
    out_size, in_size = shape
    left = torch.randn(_TOKENS, in_size, device=device, dtype=dtype)
    right = torch.randn(in_size, out_size, device=device, dtype=dtype)
    left @ right
    best, began = math.inf, time.perf_counter()
    while (at := time.perf_counter()) - began < seconds:
        left @ right
        if device != "cpu":
            torch.cuda.synchronize()
        # The quickest, not the mean: the answer is kept, and other work on the machine only ever slows one down.
        best = min(best, time.perf_counter() - at)
    return round(2 * _TOKENS * in_size * out_size / best / 1e9, 1)


def _file(shape: tuple[int, int], device: str) -> Path:
    return _cache_folder() / f"rates-{_machine_key(shape, device)[:16]}.json"


def _machine_key(shape: tuple[int, int], device: str) -> str:
    processor = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        processor = next((line for line in info.read_text().splitlines() if line.startswith("model name")), "")
    flags = str(torch.backends.cpu.get_cpu_capability())
    threads = str(torch.get_num_threads())
    return digest("quickest of many", processor, flags, threads, torch.__version__, str(shape), device, *_card(device))


def _card(device: str) -> tuple[str, ...]:
    """Which GPU it is: machines with different ones may share a home folder, and one machine may have several."""
    if not device.startswith("cuda"):
        return ()
    return torch.cuda.get_device_name(device), str(torch.cuda.get_device_capability(device))


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tunewright"
