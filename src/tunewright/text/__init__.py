"""Takes text, gives its normal form, its language, what it nearly repeats and what personal data it holds."""

from tunewright.text import language, similar
from tunewright.text.counted import said, span
from tunewright.text.normal import normal
from tunewright.text.personal import Also, Redactor, find

__all__ = ["Also", "Redactor", "find", "language", "normal", "said", "similar", "span"]
