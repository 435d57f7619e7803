"""Takes text, gives its normal form, its language, what it nearly repeats and what personal data it holds."""

from tunewright.text import language
from tunewright.text.normal import normal
from tunewright.text.personal import Redactor, find
from tunewright.text.similar import alike, candidates, numbers, sketch

__all__ = ["Redactor", "alike", "candidates", "find", "language", "normal", "numbers", "sketch"]
