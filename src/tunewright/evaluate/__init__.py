"""Takes a suite of cases and arms that answer them, gives predictions, scores and a verdict with its evidence.

Arms meet the same cases, scorers are pure functions over stored predictions, and differences are paired.
"""

from tunewright.evaluate import verdict
from tunewright.evaluate.arms import classify, run_arm
from tunewright.evaluate.measures import measures
from tunewright.evaluate.prompts import prompt_variants, prompting
from tunewright.evaluate.retrieval import Library
from tunewright.evaluate.suites import make_suite

__all__ = ["Library", "classify", "make_suite", "measures", "prompt_variants", "prompting", "run_arm", "verdict"]
