"""Takes a base and a tuned model's engines or answers, gives what the suite does not ask.

What was forgotten, what is given away, what careless wording costs, what is refused.
"""

from tunewright.trials.forgetting import forgetting
from tunewright.trials.limits import limit_gate
from tunewright.trials.memory import memorisation
from tunewright.trials.refusals import refusals, safety_suite
from tunewright.trials.robustness import CHANGES, perturbed, robustness

__all__ = [
    "CHANGES",
    "forgetting",
    "limit_gate",
    "memorisation",
    "perturbed",
    "refusals",
    "robustness",
    "safety_suite",
]
