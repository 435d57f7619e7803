"""Takes a seed, gives the sample project: a support desk's tickets with the JSON a clerk would file them under."""

from tunewright.sample.phrases import PRODUCTS
from tunewright.sample.tickets import ACTIONS, CATEGORIES, PRIORITIES, Ticket, examples, write

__all__ = ["ACTIONS", "CATEGORIES", "PRIORITIES", "PRODUCTS", "Ticket", "examples", "write"]
