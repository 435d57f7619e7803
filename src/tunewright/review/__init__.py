"""Takes two arms' answers to the same cases, gives what people or a judge model prefer, and how far to trust it."""

from __future__ import annotations

from tunewright.review.judge import Judgement, Pair, calibrate, judge_gate, judge_pairs
from tunewright.review.sheets import read_sheets, write_sheets

__all__ = ["Judgement", "Pair", "calibrate", "judge_gate", "judge_pairs", "read_sheets", "write_sheets"]
