"""Takes scores and verdicts as plain numbers, gives intervals, paired tests, agreement and "how many more would tell".

Paired data stay paired throughout: a comparison of two arms is a statement about the per-case differences.
"""

from tunewright.statistics.agreement import agreement
from tunewright.statistics.intervals import bootstrap, wilson
from tunewright.statistics.paired import adjust, mcnemar, permutation
from tunewright.statistics.power import cases_needed, detectable

__all__ = [
    "adjust",
    "agreement",
    "bootstrap",
    "cases_needed",
    "detectable",
    "mcnemar",
    "permutation",
    "wilson",
]
