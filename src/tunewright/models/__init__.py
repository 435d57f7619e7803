"""Takes a model's name, gives the loaded base with what is known about it."""

from tunewright.models import probe, quantised
from tunewright.models.encoder import load_encoder
from tunewright.models.licence import licence_of
from tunewright.models.load import Base, adapter_onto, load, locate

__all__ = [
    "Base",
    "adapter_onto",
    "licence_of",
    "load",
    "load_encoder",
    "locate",
    "probe",
    "quantised",
]
