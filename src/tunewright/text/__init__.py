"""Takes text, gives its normal form, what it nearly repeats and what personal data it holds."""

from tunewright.text.normal import normal, strict
from tunewright.text.personal import Redactor, find
from tunewright.text.similar import alike, candidates, numbers, sketch

__all__ = ["Redactor", "alike", "candidates", "find", "normal", "numbers", "sketch", "strict"]
