"""Takes two arms' answers to the same cases, gives what people or a judge model prefer, and how far to trust it.

The judge is a function from prompts to answers, so a server, a local model and a script are all the same to it.
"""

from tunewright.review.judge import Judgement, Pair, calibrate, judge_gate, judge_pairs
from tunewright.review.labels import labelled_pairs
from tunewright.review.sheets import read_sheets, write_sheets

__all__ = [
    "Judgement",
    "Pair",
    "calibrate",
    "judge_gate",
    "judge_pairs",
    "labelled_pairs",
    "read_sheets",
    "write_sheets",
]
