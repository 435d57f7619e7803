"""What a small model of the rows shows: doubtful labels, swapped answers, same meaning in other words, shift.

TF-IDF and logistic regression on at most some thousand rows, drawn by their content: nothing leaves the machine,
and the same rows are drawn whatever their order. Doubtful labels as in Northcutt, Jiang and Chuang, "Confident
Learning" (2021): judged by models that did not see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from tunewright.data.checks import EXAMPLES, snippet
from tunewright.data.near import Near
from tunewright.data.requests import Requests
from tunewright.data.table import Table
from tunewright.records import Finding
from tunewright.text import said, similar

Embed = Callable[[Sequence[str]], np.ndarray]
MOST = 12_000
_SHIFT_ROWS = 2_000
_FEW = 50
_MEND = {
    "test": "Draw both from the same source, or say that the difference is meant.",
    "requests": "Add train rows like the requests shown, and drop those that nobody asks.",
}
_SHIFT = 0.75
_SURE = 0.6
_UNLIKELY = 0.05
_SAME = 0.92
_ALIKE = 0.85
_BLOCK = 500
_MEANINGS = 6_000


def drawn(table: Table, where: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows of a mask, chosen by their content, one per question, ascending."""
    index = np.flatnonzero(where & (table.c["input"] != 0))
    index = index[np.unique(table.c["input"][index], return_index=True)[1]]
    if len(index) > most:
        index = index[np.argsort(table.c["content"][index])[:most]]
    return np.sort(index)


def suspects(table: Table, doubt: tuple[np.ndarray, list[str], float]) -> Iterator[Finding]:
    """`label_suspect`: rows whose label a model that did not see them finds very unlikely, and another likely."""
    found, better, share = doubt
    if not len(found):
        return
    yield Finding(
        code="label_suspect",
        severity="warning",
        count=len(found),
        rows=table.names(found),
        evidence={
            "examples": [
                {**snippet(table, int(i)), "likelier": b} for i, b in zip(found[:50], better[:50], strict=True)
            ],
            "out_of_fold_accuracy": round(share, 4),
        },
        message=f"{said(len(found), 'label looks', 'labels look')} wrong: "
        "models trained on the other rows are sure of another.",
        remedy="Review them; to drop them: tunewright data fix --accept label_suspect",
    )


def doubtful(table: Table, names: tuple[str, ...]) -> tuple[np.ndarray, list[str], float]:
    """Rows with doubtful labels, the likelier label of each, and the accuracy of the models that say so."""
    index = drawn(table, table.train, MOST)
    none = np.zeros(0, np.int64)
    if not names or len(index) < 100:
        return none, [], 0.0
    gold = table.c["answer"][index]
    ids, counts = np.unique(gold, return_counts=True)
    index = index[np.isin(gold, ids[counts >= 5])]
    gold = table.c["answer"][index]
    if len(np.unique(gold)) < 2:
        return none, [], 0.0
    features = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    try:
        x = features.fit_transform([table.form(int(i))[0] for i in index])
    except ValueError:  # nothing but rare words
        return none, [], 0.0
    model = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=6, tol=None, average=True, random_state=0)
    chance = cross_val_predict(
        model, x, gold, cv=StratifiedKFold(5, shuffle=True, random_state=0), method="predict_proba"
    )
    classes = np.unique(gold)
    own = chance[np.arange(len(gold)), np.searchsorted(classes, gold)]
    best = chance.argmax(axis=1)
    accuracy = float((classes[best] == gold).mean())
    wrong = (own < _UNLIKELY) & (chance.max(axis=1) > _SURE) & (accuracy > 1.5 / len(classes))
    texts = {i: text for text, i in table.answers.items()}
    order = np.argsort(own[wrong], kind="stable")
    return index[wrong][order], [texts[int(classes[b])] for b in best[wrong][order]], accuracy


def mispaired(table: Table, swap: tuple[list[int], list[int]]) -> Iterator[Finding]:
    """Answers that share words with another row's question and none with their own."""
    found, better = swap
    if len(found) < 2:  # a swap leaves two answers in the wrong place
        return
    examples = [{**snippet(table, i), "fits": table.name(j)} for i, j in zip(found[:EXAMPLES], better, strict=False)]
    yield Finding(
        code="mispaired",
        severity="warning",
        count=len(found),
        rows=table.names(np.array(found)),
        evidence={"examples": examples},
        message=f"{said(len(found), 'answer fits', 'answers fit')} another row's question far better than their own.",
        remedy="Check whether the file was sorted by one column only, or shifted by a row. To drop them: "
        "tunewright data fix --accept mispaired",
    )


def swapped(table: Table, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Rows whose answers belong elsewhere, and the row each fits."""
    long = table.train & (table.c["answered"] >= 20) & (table.c["asked"] >= 20)
    index = drawn(table, long, MOST // 2)
    if names or len(index) < 20:
        return [], []
    forms = [table.form(int(i)) for i in index]
    features = TfidfVectorizer(min_df=2, max_df=0.05 if len(index) > 200 else 0.5, token_pattern=r"(?u)\b\w{3,}\b")
    try:
        features.fit([text for pair in forms for text in pair])
    except ValueError:
        return [], []
    asked = features.transform([a for a, _ in forms])
    answered = features.transform([b for _, b in forms])
    own = np.asarray(asked.multiply(answered).sum(axis=1)).ravel()
    found: list[int] = []
    fits: list[int] = []
    # Where answers share little with their questions anyway (summaries in other words), nothing can be told.
    if np.median(own) < 0.1:
        return found, fits
    alone = np.flatnonzero(own < 0.02)
    for start in range(0, len(alone), _BLOCK):
        part = alone[start : start + _BLOCK]
        # A swapped answer fits a question that is left alone too, and its own question fits another's answer.
        likeness = (answered[part] @ asked[alone].T).toarray()
        missed = (asked[part] @ answered[alone].T).toarray().max(axis=1)
        best = likeness.argmax(axis=1)
        for k in np.flatnonzero((likeness[np.arange(len(part)), best] > 0.5) & (missed > 0.3)):
            found.append(int(index[part[k]]))
            fits.append(int(index[alone[best[k]]]))
    return found, fits


def meanings(table: Table, pairs: np.ndarray, told_by: str = "words") -> Iterator[Finding]:
    """`semantic_duplicate`: rows that ask the same in other words or another order, as far as `told_by` can tell."""
    if not len(pairs):
        return
    rows = np.unique(pairs)
    yield Finding(
        code="semantic_duplicate",
        severity="info",
        count=len(rows),
        rows=table.names(rows),
        evidence={
            "pairs": len(pairs),
            "told_by": told_by,
            "looked_at": int(min(_MEANINGS, table.train.sum())),
            "examples": [[snippet(table, int(i)) for i in pair] for pair in pairs[:EXAMPLES]],
        },
        message=f"{said(len(rows), 'train row')} say in other words what another row says.",
        remedy="Fine as variety; to drop all but one: tunewright data fix --accept semantic_duplicate",
    )


def same_meaning(table: Table, near: Near, embed: Embed | None = None) -> np.ndarray:
    """Pairs of train rows (n × 2) that are much alike, with equal numbers and equal answers, and not near.

    Much alike: a cosine of at least 0.92 between TF-IDF vectors, or of 0.85 between what `embed` makes of the
    questions, their mean taken off (the vectors of a language model all point nearly the same way, Ethayarajh 2019).
    """
    index = drawn(table, table.train, _MEANINGS)
    none = np.zeros((0, 2), np.int64)
    if len(index) < 2:
        return none
    forms = [table.form(int(i))[0] for i in index]
    try:
        x = vectors(forms, embed)
    except ValueError:
        return none
    among = near.pairs[np.isin(near.pairs, index).all(axis=1)]
    known = {(int(a), int(b)) for a, b in among}
    found: list[tuple[int, int]] = []
    for start in range(0, len(index), _BLOCK):
        likeness = coo_array(x[start : start + _BLOCK] @ x.T)
        close = (likeness.data >= (_ALIKE if embed else _SAME)) & (likeness.row + start < likeness.col)
        for i, j in zip(likeness.row[close] + start, likeness.col[close], strict=True):
            a, b = int(index[i]), int(index[j])
            told = table.c["output"][a] == table.c["output"][b]
            if told and similar.numbers(forms[i]) == similar.numbers(forms[j]) and (a, b) not in known:
                found.append((a, b))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def vectors(forms: list[str], embed: Embed | None, words: str = r"(?u)\b\w+\b") -> Any:
    """A vector of length 1 (or 0) per text; `words` is the pattern of a word. Raises `ValueError` without any."""
    if embed is None:
        return TfidfVectorizer(sublinear_tf=True, token_pattern=words).fit_transform(forms)
    made = embed(forms)
    made = made - made.mean(axis=0)
    return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)


def shift(table: Table, asked: Requests) -> Iterator[Finding]:
    """Whether a model can tell train questions from test questions, or from what is really asked: then they differ.

    One finding for both; `evidence.sides` tells of each that differs the area under the ROC curve, the words that give
    it away, and the questions that are most typical of it and of train.
    """
    train, test = drawn(table, table.train, _SHIFT_ROWS), drawn(table, table.test, _SHIFT_ROWS)
    ours = [table.form(int(i))[0] for i in train]
    others: dict[str, tuple[list[str], Callable[[int], dict[str, Any]]]] = {
        "test": ([table.form(int(i))[0] for i in test], lambda k: snippet(table, int(test[k]))),
        "requests": ([one.form for one in asked.drawn], lambda k: asked.drawn[k].shown()),
    }
    sides: list[dict[str, Any]] = []
    for name, (theirs, shown) in others.items():
        area, order, words = told_apart(ours, theirs)
        if area >= _SHIFT:
            typical = {
                name: [shown(int(k) - len(ours)) for k in order[::-1] if k >= len(ours)][:EXAMPLES],
                "train": [snippet(table, int(train[k])) for k in order if k < len(ours)][:EXAMPLES],
            }
            figures = {"side": name, "rows": len(theirs), "area_under_curve": round(area, 4)}
            sides.append({**figures, "words": {name: words[0], "train": words[1]}, "typical": typical})
    if sides:
        yield _shifted(sides, asked)


def _shifted(sides: list[dict[str, Any]], asked: Requests) -> Finding:
    told, remedies = [], []
    for side in sides:
        name, words = side["side"], side["words"][side["side"]]
        what = "test questions differ" if name == "test" else f"what is really asked ({', '.join(asked.files)}) differs"
        given_away = f"; words of it: {', '.join(words[:5])}" if words else ""
        area = f"a small model tells them apart (AUC {side['area_under_curve']:.2f}{given_away})"
        told.append(f"{what} from train questions: {area}.")
        remedies.append(_MEND[name])
    examples = [
        {name: one, "train": other}
        for side in sides
        for name in (side["side"],)
        for one, other in zip(side["typical"][name][:3], side["typical"]["train"][:3], strict=False)
    ]
    return Finding(
        code="shift",
        severity="warning",
        count=sum(side["rows"] for side in sides),
        rows=(),
        evidence={
            "area_under_curve": max(side["area_under_curve"] for side in sides),
            "sides": sides,
            "examples": examples,
        },
        message=" ".join(told),
        remedy=" ".join(remedies),
    )


def told_apart(ours: list[str], theirs: list[str]) -> tuple[float, np.ndarray, tuple[list[str], list[str]]]:
    """How well a model that did not see them tells two kinds of texts apart: the area under the ROC curve.

    With it the places of all texts (ours, then theirs) from the most like ours to the most like theirs, and the words
    that speak most for theirs, and for ours, where the two differ. An area of 0 where one kind has fewer than fifty, or
    nobody used a word.
    """
    nothing: tuple[float, np.ndarray, tuple[list[str], list[str]]] = (0.0, np.zeros(0, np.int64), ([], []))
    if min(len(ours), len(theirs)) < _FEW:
        return nothing
    side = np.r_[np.zeros(len(ours)), np.ones(len(theirs))]
    features = TfidfVectorizer(min_df=2, sublinear_tf=True)
    try:
        x = features.fit_transform([*ours, *theirs])
    except ValueError:
        return nothing
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=200)
    chance = cross_val_predict(
        model, x, side, cv=StratifiedKFold(5, shuffle=True, random_state=0), method="predict_proba"
    )[:, 1]
    area, order = float(roc_auc_score(side, chance)), np.argsort(chance, kind="stable")
    if area < _SHIFT:
        return area, order, ([], [])
    names = features.get_feature_names_out()[np.argsort(model.fit(x, side).coef_[0], kind="stable")]
    return area, order, ([str(w) for w in names[::-1][:10]], [str(w) for w in names[:10]])
