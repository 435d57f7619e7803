"""Takes a trained run, gives files that plain transformers and PEFT load and that answer as the run did."""

from tunewright.export.adapter import check_manifest, manifest, without_passwords, write_adapter
from tunewright.export.canonical import scales_exactly
from tunewright.export.card import model_card
from tunewright.export.merge import write_merged

__all__ = [
    "check_manifest",
    "manifest",
    "model_card",
    "scales_exactly",
    "without_passwords",
    "write_adapter",
    "write_merged",
]
