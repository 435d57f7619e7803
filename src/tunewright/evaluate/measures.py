"""Scorers that need more than an answer and its case: a schema, a tone asked for, vectors, or the model itself."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jsonschema
import numpy as np
from jsonschema_specifications import REGISTRY
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012
from sklearn.feature_extraction.text import TfidfVectorizer

from tunewright.errors import RecipeError
from tunewright.evaluate.leaves import parse
from tunewright.evaluate.overlap import holds, share_given
from tunewright.evaluate.retrieval import Embed, unit
from tunewright.evaluate.scorers import MEASURED
from tunewright.records import Case, Prediction, Suite
from tunewright.text import normal


class Asked(NamedTuple):
    """A case, the messages an arm made of it, and what was answered."""

    case: Case
    messages: Sequence[Mapping[str, Any]]
    text: str


# From what was asked and answered to scores from 0 to 1; None where this case cannot be scored.
Measure = Callable[[Sequence[Asked]], Sequence[float | None]]
# Natural log-probabilities of the expected answers' tokens behind the messages; None where there are none.
Likelihood = Callable[[Sequence[Asked]], Sequence[Sequence[float] | None]]

_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
_CONTRACTION = re.compile(r"\b\w+(?:n't|'(?:re|ve|ll|m|d))\b|\b(?:it|that|there|here|what|let)'s\b", re.IGNORECASE)
_PERSONS = {
    "i": re.compile(r"\b(?:I|I'm|I've|I'll|I'd|me|my|mine|myself)\b"),
    "we": re.compile(r"\b(?:we|us|our|ours|ourselves)\b", re.IGNORECASE),
}


def measures(
    suite: Suite,
    *,
    schema: str | None = None,
    tone: Mapping[str, Any] | None = None,
    embed: Embed | None = None,
    likelihood: Likelihood | None = None,
) -> dict[str, Measure]:
    """The measures that the suite's scorers name, with what they need.

    `schema` is a JSON schema as text, `tone` the recipe's rules, `embed` texts to vectors (without it `similarity` is
    of words), `likelihood` asks the arm's own model. Raises `RecipeError` where a scorer lacks its setting.
    """
    made: dict[str, Measure] = {}
    if "json_schema" in suite.scorers:
        made["json_schema"] = _each(_fits(schema))
    if "tone" in suite.scorers:
        made["tone"] = _each(_keeps(tone))
    if "grounded" in suite.scorers:
        made["grounded"] = lambda asked: [share_given(one.text, one.messages) for one in asked]
    if "similarity" in suite.scorers:
        made["similarity"] = _similarity([case.expected for case in suite.cases], embed)
    if "perplexity" in suite.scorers and likelihood is not None:
        made["perplexity"] = _perplexity(likelihood)
    return made


def measured(
    suite: Suite, rows: list[Prediction], asked: Sequence[Asked], made: Mapping[str, Measure]
) -> list[Prediction]:
    """The predictions with what the measures say of them; a case that one cannot score is an error, never a 0 (K18)."""
    for name in [name for name in MEASURED if name in suite.scorers]:
        values = made[name](asked) if name in made else [None] * len(rows)
        rows = [_with(suite, row, name, value) for row, value in zip(rows, values, strict=True)]
    return rows


def _with(suite: Suite, row: Prediction, name: str, value: float | None) -> Prediction:
    error = row.error if value is not None else row.error or f"{name}: this answer cannot be scored by it."
    change: dict[str, Any] = {"scores": {**row.scores, name: value}, "error": error}
    return row.model_copy(update={**change, "score": value} if suite.primary == name else change)


def _each(score: Callable[[str], float]) -> Measure:
    return lambda asked: [score(one.text) for one in asked]


def _fits(schema: str | None) -> Callable[[str], float]:
    """1 for an answer that is JSON and valid against the schema."""
    if schema is None:
        raise RecipeError("the scorer `json_schema` needs a schema.", where="suite.json_schema")
    rules = json.loads(schema)
    try:
        kind = jsonschema.validators.validator_for(rules)
        kind.check_schema(rules)
    except jsonschema.SchemaError as error:
        raise RecipeError(f"is no JSON schema: {error.message}", where="suite.json_schema") from None
    whole = Resource.from_contents(rules, default_specification=DRAFT202012)
    try:
        _followed(whole, REGISTRY.resolver_with_root(whole))
    except (Unresolvable, ValueError) as error:
        raise RecipeError(
            f"refers to `{getattr(error, 'ref', error)}`, which is not in it; nothing is fetched.",
            where="suite.json_schema",
            remedy="Write what it refers to into the schema itself, under `$defs`.",
        ) from None
    validator = kind(rules, registry=Registry())

    def score(text: str) -> float:
        try:
            return float(validator.is_valid(parse(text)))
        except (ValueError, RecursionError):
            return 0.0

    return score


def _followed(schema: Resource[Any], resolver: Any) -> None:
    """Raises `Unresolvable`, or `ValueError` where it is malformed, for a reference that leads to nothing at hand."""
    given = schema.contents
    if isinstance(given, Mapping) and isinstance(given.get("$ref"), str):
        resolver.lookup(given["$ref"])
    for inner in schema.subresources():
        _followed(inner, resolver.in_subresource(inner))


def _keeps(tone: Mapping[str, Any] | None) -> Callable[[str], float]:
    """The share of the tone's rules that an answer keeps."""
    rules = _rules(tone or {})
    if not rules:
        raise RecipeError("the scorer `tone` needs rules.", where="suite.tone", remedy="tone: {never: [cheers]}")
    return lambda text: sum(rule(text) for rule in rules) / len(rules)


def _rules(tone: Mapping[str, Any]) -> list[Callable[[str], bool]]:
    says, never = ([normal(phrase) for phrase in tone.get(key) or ()] for key in ("says", "never"))
    most, speaks = tone.get("most_words"), tone.get("speaks_as")
    rules: list[Callable[[str], bool]] = []
    if says:
        rules.append(lambda text: any(holds(text, phrase) for phrase in says))
    rules += [lambda text, phrase=phrase: not holds(text, phrase) for phrase in never]  # type: ignore[misc]
    if most is not None:
        rules.append(lambda text: len(text.split()) <= most)
    for key, pattern in (("exclamations", re.compile("!")), ("emoji", _EMOJI), ("contractions", _CONTRACTION)):
        if tone.get(key) is False:
            rules.append(lambda text, pattern=pattern: pattern.search(text.replace("’", "'")) is None)  # type: ignore[misc]
    for person, pattern in _PERSONS.items():
        # Who speaks as "we" never says "I"; who speaks as nobody says neither. Silence about oneself keeps both.
        if speaks is not None and speaks != person:
            rules.append(lambda text, pattern=pattern: pattern.search(text.replace("’", "'")) is None)  # type: ignore[misc]
    return rules


def _similarity(expected: Sequence[str], embed: Embed | None) -> Measure:
    """Cosine of the answer's and the expected answer's vectors, from 0 to 1.

    Without `embed`: TF-IDF of words and of runs of 3 to 5 letters, weighted as rare as they are in the expected
    answers. With it: the mean vector of the expected answers is taken off first (see `Dense`).
    """
    if embed is None:
        words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
        known = [text if normal(text) else "–" for text in expected]
        spaces = [space for space in (words, letters) if _fitted(space, known)]

        def compare(left: Sequence[str], right: Sequence[str]) -> np.ndarray:
            sums = np.zeros(len(left))
            for space in spaces:
                sums += np.asarray(space.transform(left).multiply(space.transform(right)).sum(axis=1)).ravel()
            same = np.array([normal(a) == normal(b) for a, b in zip(left, right, strict=True)])
            return np.where(same, 1.0, sums / max(1, len(spaces)))

    else:
        texts = sorted(set(expected))
        mean = embed(texts).mean(axis=0) if len(texts) > 1 else 0.0

        def compare(left: Sequence[str], right: Sequence[str]) -> np.ndarray:
            products: np.ndarray = (unit(embed(left) - mean) * unit(embed(right) - mean)).sum(axis=1)
            return products

    def measure(asked: Sequence[Asked]) -> list[float | None]:
        values = compare([one.text for one in asked], [one.case.expected for one in asked]) if asked else []
        return [
            float(min(1.0, max(0.0, value))) if normal(one.case.expected) else None
            for one, value in zip(asked, values, strict=True)
        ]

    return measure


def _fitted(space: TfidfVectorizer, texts: Sequence[str]) -> bool:
    try:
        space.fit(texts)
    except ValueError:  # no word or no run of letters anywhere
        return False
    return True


def _perplexity(likelihood: Likelihood) -> Measure:
    """1 ÷ the perplexity of the expected answer under the arm's model and prompt: the mean probability of a token."""

    def measure(asked: Sequence[Asked]) -> list[float | None]:
        found = [math.exp(sum(values) / len(values)) if values else None for values in likelihood(asked)]
        # A model whose numbers went astray has no probability to tell, and not a bad one.
        return [None if value is None or math.isnan(value) else value for value in found]

    return measure
