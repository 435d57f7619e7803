"""The cheap rival where answers are classes: TF-IDF of words and pairs of words, logistic regression."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


class Classifier:
    """Learns `labels` from `texts`; deterministic. At least two distinct labels are needed."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        self._model = make_pipeline(words, LogisticRegression(C=10.0, max_iter=300, tol=1e-3))
        self._model.fit(list(texts), list(labels))

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The most probable label of each text."""
        return [str(label) for label in self._model.predict(list(texts))]
