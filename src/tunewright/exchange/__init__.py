"""Takes evaluation logs of other tools, gives suites and answers as ours are kept; and our answers as their logs."""

from tunewright.exchange.inspect_log import inspect_log
from tunewright.exchange.lm_eval import Samples, read_samples, same_cases

__all__ = ["Samples", "inspect_log", "read_samples", "same_cases"]
