"""tunewright: from examples of a behaviour to a model that provably has it – or proof that tuning is not worth it."""

import os
from typing import Any

# Threads that spin while they wait make a busy machine crawl; ones that sleep at once cost a third on a quiet one. This
# many turns keep the quiet speed and lose least when something else runs (design/2026-11-23-waiting-threads.md).
# OpenMP reads it when torch is loaded; whoever has set it keeps their choice.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.1.0"
__all__ = ["Recipe", "advising", "journey", "synthesising"]
_MODULES = {
    "advising": "tunewright.joins.advising",
    "journey": "tunewright.journey",
    "synthesising": "tunewright.joins.synthesising",
}


def __getattr__(name: str) -> Any:
    # Rooms load when used: importing the package must stay cheap for the command line.
    import importlib

    if name == "Recipe":
        return importlib.import_module("tunewright.recipe").Recipe
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'tunewright' has no attribute {name!r}")
