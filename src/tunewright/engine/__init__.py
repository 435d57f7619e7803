"""Takes token ids and a model, gives generations, log-probabilities and vectors.

Prompts that begin alike are computed once: a suite behind one system prompt reads that prompt one time.
"""

from tunewright.engine.embed import Embedder
from tunewright.engine.endpoint import Endpoint, Reply
from tunewright.engine.sampling import Sampling
from tunewright.engine.torch_engine import Engine, TorchEngine

__all__ = ["Embedder", "Endpoint", "Engine", "Reply", "Sampling", "TorchEngine"]
