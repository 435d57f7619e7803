"""Takes conversations, gives token ids with a loss mask that is proved by decoding – and the same prompt everywhere."""

from tunewright.render.renderer import Renderer
from tunewright.render.show import spans

__all__ = ["Renderer", "spans"]
