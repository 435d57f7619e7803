"""Takes rendered examples, gives micro-batches of a token forest and the attention that computes on them exactly.

A micro-batch is one flat row of tokens cut into segments that form a forest. A token attends to its own segment up to
itself and to all of its ancestors; its position is its depth from the root. A prefix that several examples share is
one parent, computed once.
"""

from tunewright.layout.attend import Attention
from tunewright.layout.attention import computing
from tunewright.layout.flex import Flexed
from tunewright.layout.forest import MicroBatch
from tunewright.layout.halves import apart
from tunewright.layout.pack import PaddedBatch, pack, pad

__all__ = ["Attention", "Flexed", "MicroBatch", "PaddedBatch", "apart", "computing", "pack", "pad"]
