"""Takes training rows and a teacher's replies, gives candidate rows that wait for a person, and why others are none.

The teacher is a function from prompts to replies, so a server, a local model and a script are all the same to it.
"""

from tunewright.synthesis import sheet
from tunewright.synthesis.replies import drafts
from tunewright.synthesis.requests import Wish, requests
from tunewright.synthesis.shelf import Shelf, Synthesis, candidate
from tunewright.synthesis.sieve import Sieve

__all__ = ["Shelf", "Sieve", "Synthesis", "Wish", "candidate", "drafts", "requests", "sheet"]
