"""What the columns show of the set as a whole: lengths, labels, languages, forms of answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from tunewright.data.checks import EXAMPLES, snippet
from tunewright.data.fluency import Fluency
from tunewright.data.table import Table
from tunewright.records import Finding
from tunewright.text import language, normal, said

FEW_ROWS = 100
FEW_PER_LABEL = 10
_FAR = 5.0
_SKEW = 10
_DOMINANT = 0.9
_ENOUGH = 20


def odd_lengths(table: Table) -> np.ndarray:
    """Rows whose question or answer is far longer or shorter than the rest.

    Far: more than five times the interquartile range of log lengths outside of it, and at least four times longer
    than the upper or shorter than the lower quartile.
    """
    where = np.zeros(len(table), bool)
    for name in ("asked", "answered"):
        rows = (table.train | table.test) & (table.c[name] > 0)
        if rows.sum() >= _ENOUGH:
            logs = np.log(np.maximum(table.c[name], 1))
            low, high = np.quantile(logs[rows], (0.25, 0.75))
            reach = max(_FAR * (high - low), np.log(4))
            where |= rows & ((logs > high + reach) | (logs < low - reach))
    return where


def lengths(table: Table) -> Iterator[Finding]:
    """`length_outlier`."""
    found = np.flatnonzero(odd_lengths(table))
    if len(found):
        rows = table.train | table.test
        evidence = {
            name: {
                "median_characters": round(float(np.median(table.c[name][rows]))),
                "longest": int(table.c[name][rows].max()),
            }
            for name in ("asked", "answered")
        }
        yield Finding(
            code="length_outlier",
            severity="info",
            count=len(found),
            rows=table.names(found),
            evidence={**evidence, "examples": [snippet(table, int(i)) for i in found[:EXAMPLES]]},
            message=f"{said(len(found), 'row is', 'rows are')} far longer or shorter than the rest.",
            remedy="Look at them: whole documents pasted by mistake and cut-off answers hide here. To drop them: "
            "tunewright data fix --accept length_outlier",
        )


def labels(table: Table, names: tuple[str, ...]) -> Iterator[Finding]:
    """`imbalance`, `too_few` and `coverage_gap`, of labels where there are any."""
    rows = int(table.train.sum())
    if rows < FEW_ROWS:
        yield Finding(
            code="too_few",
            severity="warning",
            count=rows,
            evidence={"rows": rows, "advised": FEW_ROWS},
            message=f"only {said(rows, 'row')} to learn from and to judge by.",
            remedy="Write more examples, a hundred at least, or have them drafted: tunewright data synthesise. "
            "Until then a few-shot prompt is the better tool.",
        )
    if not names:
        return
    counts = {text: int((table.c["answer"][table.train] == i).sum()) for text, i in table.answers.items()}
    taught = {text: n for text, n in counts.items() if n}
    thin = {text: n for text, n in sorted(taught.items(), key=lambda kv: kv[1]) if n < FEW_PER_LABEL}
    if thin and rows >= FEW_ROWS:
        yield _label_finding(
            "too_few",
            table,
            thin,
            f"have fewer than {FEW_PER_LABEL} examples",
            "Add examples of these, or have them drafted: tunewright data synthesise --kind augment",
        )
    usual = middle(np.array(list(taught.values()))) if taught else 0
    largest = max(taught.values(), default=0)
    skewed = largest > _SKEW * min(taught.values(), default=0)
    if usual and len(taught) > 1 and (skewed or largest > 0.8 * rows):
        common = dict(sorted(taught.items(), key=lambda kv: -kv[1])[:20])
        yield Finding(
            code="imbalance",
            severity="warning",
            count=sum(n for n in taught.values() if n > 2 * usual) or largest,
            evidence={"labels": common, "median": usual, "least": min(taught.values())},
            message=f"the commonest label has {largest:,} rows, the rarest {min(taught.values()):,}.",
            remedy="Cap the common labels with: tunewright data fix --accept imbalance, or collect more of the rare, "
            "or have them drafted: tunewright data synthesise --kind augment",
        )
    untaught = {t: int((table.c["answer"][table.test] == i).sum()) for t, i in table.answers.items() if not counts[t]}
    untaught = {t: n for t, n in untaught.items() if n}
    if untaught:
        yield _label_finding("coverage_gap", table, untaught, "are asked for in test and never taught", "Add examples.")


def middle(counts: np.ndarray) -> int:
    """The lower median of rows per label: of two labels the rarer one's."""
    return int(np.quantile(counts, 0.5, method="lower"))


def _label_finding(code: str, table: Table, counts: dict[str, int], what: str, remedy: str) -> Finding:
    ids = [table.answers[text] for text in counts]
    where = np.flatnonzero(np.isin(table.c["answer"], ids) & (table.train | table.test))
    return Finding(
        code=code,
        severity="warning",
        count=len(where),
        rows=table.names(where),
        evidence={"labels": dict(list(counts.items())[:100])},
        message=f"{said(len(counts), 'label')} {what}: {', '.join([*counts][:5])}{', …' if len(counts) > 5 else ''}.",
        remedy=remedy,
    )


def odd_languages(table: Table) -> np.ndarray:
    """Rows in another language than nearly all others, and answers in another language than their questions."""
    asked, replied = table.c["language"], table.c["replied"]
    known = (table.train | table.test) & (asked > 0)
    odd = np.zeros(len(table), bool)
    if known.sum() < 10:
        return odd
    counts = np.bincount(asked[known], minlength=len(language.LANGUAGES))
    main = int(counts.argmax())
    if counts[main] >= _DOMINANT * known.sum():
        odd |= known & (asked != main)
    both = known & (replied > 0)
    if both.sum() >= 10 and (asked[both] == replied[both]).mean() >= _DOMINANT:
        odd |= both & (asked != replied)
    return odd


def languages(table: Table, fluent: Fluency | None) -> Iterator[Finding]:
    """`language_mismatch`: rows in another language than the rest, or in one that the base's tokenizer cuts up."""
    usable = (table.train | table.test) & (table.c["language"] > 0)
    strange = fluent.crumbled() if fluent else ()
    ids = [language.LANGUAGES.index(name) for name in strange]
    cut = usable & np.isin(table.c["language"], ids)
    odd = odd_languages(table)
    where = np.flatnonzero(odd | cut)
    if not len(where):
        return
    counts = np.bincount(table.c["language"][usable], minlength=len(language.LANGUAGES))
    told, remedies = [], []
    if odd.any():
        main = language.LANGUAGES[int(counts.argmax())]
        told.append(
            f"{said(int(odd.sum()), 'row is', 'rows are')} in another language than the rest ({main}), "
            "or answered in another than asked"
        )
        remedies.append("Keep them if users write so; to drop them: tunewright data fix --accept language_mismatch.")
    if fluent and strange:
        spent = ", ".join(f"{name} {fluent.languages[name]:.1f}" for name in strange)
        told.append(
            f"{said(int(cut.sum()), 'row is', 'rows are')} in a language this base's tokenizer cuts to pieces: "
            f"tokens a word {spent}, plain English {fluent.english:.1f}"
        )
        remedies.append("A base that was trained on the language learns it better and answers cheaper.")
    evidence = {
        "languages": {language.LANGUAGES[i]: int(n) for i, n in enumerate(counts) if n},
        **({"tokens_per_word": fluent.model_dump()} if fluent else {}),
        "examples": [snippet(table, int(i)) for i in where[:EXAMPLES]],
    }
    yield Finding(
        code="language_mismatch",
        severity="warning",
        count=len(where),
        rows=table.names(where),
        evidence=evidence,
        message=f"{'; '.join(told)}.",
        remedy=" ".join(remedies),
    )


def style(table: Table, names: tuple[str, ...]) -> Iterator[Finding]:
    """One label spelt in several ways, plain text among JSON, and JSON with other keys than nearly all the rest."""
    evidence: dict[str, object] = {}
    where = np.zeros(len(table), bool)
    rows = table.train | table.test
    if names:
        variants = spellings(table, names, Counter(table.c["answer"][rows].tolist()))
        if variants:
            evidence["spellings"] = variants[:50]
            rare = [table.answers[text] for texts in variants for text in texts[1:]]
            where |= rows & np.isin(table.c["answer"], rare)
    keys = table.c["keys"]
    json_rows = rows & (keys != 0)
    if rows.sum() >= 20 and json_rows.sum() >= _DOMINANT * rows.sum():
        where |= rows & (keys == 0)
        ids, counts_of = np.unique(keys[json_rows], return_counts=True)
        if counts_of.max() >= _DOMINANT * json_rows.sum():
            where |= json_rows & (keys != ids[counts_of.argmax()])
    found = np.flatnonzero(where)
    if len(found):
        yield Finding(
            code="style_inconsistent",
            severity="warning",
            count=len(found),
            rows=table.names(found),
            evidence={**evidence, "examples": [snippet(table, int(i)) for i in found[:EXAMPLES]]},
            message=f"{said(len(found), 'answer has', 'answers have')} another form than the rest"
            f"{': one label is spelt in several ways' if evidence else ''}.",
            remedy="Give the spellings the commonest form: tunewright data fix --accept style_inconsistent"
            if evidence
            else "Bring them to one form in the file.",
        )


def spellings(table: Table, names: tuple[str, ...], counts: Mapping[int, int]) -> list[list[str]]:
    """Labels that have one normal form, the commonest spelling first; `counts` are rows by answer id."""
    spelt: dict[str, list[str]] = defaultdict(list)
    for text in names:
        spelt[normal(text) or text].append(text)
    variants = [texts for texts in spelt.values() if len(texts) > 1]
    return [sorted(texts, key=lambda text: (-counts[table.answers[text]], text)) for texts in variants]
