"""Takes a loaded base, rendered examples and resolved settings, gives a tuned model with its checkpoints and events.

The seed and `effective_batch_size` alone decide which examples a step sees; packing and prefix sharing only decide
how fast it is computed.
"""

from tunewright.train import adapters
from tunewright.train.footprint import footprint
from tunewright.train.loop import fit
from tunewright.train.order import learning_rate, total_steps
from tunewright.train.ranks import Ranks
from tunewright.train.settings import FitResult, Settings

__all__ = ["FitResult", "Ranks", "Settings", "adapters", "fit", "footprint", "learning_rate", "total_steps"]
