"""Each kind of finding on rows made to show it, and on rows made not to."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tunewright.records import Finding

from .helpers import finding, jsonl, pairs, run

NOUNS = [
    "parcel",
    "invoice",
    "refund",
    "printer",
    "router",
    "ticket",
    "payment",
    "login",
    "battery",
    "screen",
    "password",
    "delivery",
    "contract",
    "camera",
]
VERBS = [
    "lost",
    "broke",
    "returned",
    "opened",
    "changed",
    "missed",
    "wanted",
    "ordered",
    "paid",
    "closed",
    "cancelled",
    "repaired",
    "found",
    "moved",
]


def chat(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": r, **(c if isinstance(c, dict) else {"content": c})} for r, c in turns], **more}


def varied(count: int, label: Any = None, seed: int = 0) -> list[dict[str, Any]]:
    """Rows that neither repeat nor resemble each other much."""
    draw = random.Random(seed)
    words = [
        "".join(draw.choices("bcdfghjklmnprstvwz", k=2)) + draw.choice("aeiou") + draw.choice("xyzq")
        for _ in range(400)
    ]
    rows = []
    for i in range(count):
        text = " ".join(draw.sample(words, 7))
        rows.append({"text": text, "label": label(i) if label else f"{text.split()[0]} {text.split()[3]}"})
    return rows


def found(tmp_path: Path, rows: list[Any], code: str, test: list[Any] | None = None, **more: Any) -> Finding | None:
    jsonl(tmp_path / "train.jsonl", rows)
    if test:
        jsonl(tmp_path / "test.jsonl", test)
        more["test"] = "test.jsonl"
    return finding(run(tmp_path, **more), code)


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"name": "weather", "arguments": {"city": "Rome"}}, None),
        ({"function": {"name": "weather", "arguments": '{"city": "Rome"}'}}, None),
        ({"name": "weather", "arguments": {"city": 3}}, "is not of type 'string'"),
        ({"name": "weather", "arguments": {}}, "required property"),
        ({"name": "wether", "arguments": {"city": "Rome"}}, "not among the row's tools"),
        ({"name": "weather", "arguments": '{"city": '}, "not a JSON object"),
        ({"arguments": {}}, "without a name"),
    ],
)
def test_tool_calls_are_checked_against_their_schema(tmp_path: Path, call: dict[str, Any], reason: str | None) -> None:
    row = chat(("user", "Weather in Rome?"), ("assistant", {"content": None, "tool_calls": [call]}), tools=[TOOL])
    result = found(
        tmp_path,
        [row, chat(("user", "a"), ("assistant", "b")), chat(("user", "c"), ("assistant", "d"))],
        "tool_call_invalid",
    )
    assert (result is None) == (reason is None)
    if result and reason:
        assert reason in result.message and result.severity == "error" and result.rows == ("train.jsonl:1",)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([("user", "a"), ("user", "b"), ("assistant", "c")], "two user turns"),
        ([("system", "s"), ("assistant", "hi"), ("user", "b"), ("assistant", "c")], "speaks first"),
        ([("user", "a"), ("system", "s"), ("assistant", "c")], "system turn after"),
    ],
)
def test_unusual_turns_are_reported_and_used(tmp_path: Path, turns: list[tuple[str, str]], reason: str) -> None:
    rows = [chat(*turns), *(chat(("user", f"q{i}"), ("assistant", f"a{i}")) for i in range(5))]
    jsonl(tmp_path / "train.jsonl", rows)
    result = run(tmp_path)
    noted = finding(result, "role_order")
    assert noted is not None and reason in noted.message and noted.evidence["set_aside"] == 0
    assert result.dataset.ledger.used == 6


def test_personal_data_and_secrets_are_counted_by_type(tmp_path: Path) -> None:
    rows = [*pairs(10), {"prompt": "mail a@x.org or b@x.org", "completion": "done"}]
    rows += [
        {"prompt": "key AKIA" + "IOSFODNN7EXAMPLE", "completion": "no"},
        {"prompt": "see https://x.org", "completion": "ok"},
    ]
    pii = found(tmp_path, rows, "pii")
    assert pii is not None and pii.evidence["reasons"] == {"email": 1} and pii.rows == ("train.jsonl:11",)
    assert "not looked for" in pii.remedy
    rows.append({"prompt": "card 4111 1111 1111 1111 of a@x.org, from 8.8.8.8", "completion": "ok"})
    both = found(tmp_path, rows, "pii")
    assert both is not None and both.count == 2
    assert both.evidence["reasons"] == {"email": 2, "credit_card": 1, "ip_address": 1}, "every kind in a row counts"
    assert both.message == "2 rows hold personal data: email, credit card, ip address."
    secret = found(tmp_path, rows, "secret")
    assert secret is not None and secret.severity == "error" and secret.rows == ("train.jsonl:12",)


def test_lengths_far_from_the_rest(tmp_path: Path) -> None:
    rows = varied(60)
    assert found(tmp_path, rows, "length_outlier") is None
    rows[7]["text"] = rows[7]["text"] * 60
    result = found(tmp_path, rows, "length_outlier")
    assert result is not None and result.rows == ("train.jsonl:8",)


def test_labels_out_of_balance_too_few_and_never_taught(tmp_path: Path) -> None:
    def skewed(i: int) -> str:
        return "common" if i < 180 else "rare" if i < 190 else "scarce"

    rows = varied(195, skewed)
    imbalance = found(tmp_path, rows, "imbalance")
    assert imbalance is not None and imbalance.evidence["labels"]["common"] == 180
    few = found(tmp_path, rows, "too_few")
    assert few is not None and few.evidence["labels"] == {"scarce": 5}
    test = [{"text": "something else entirely", "label": "new"}, {"text": "and yet another matter", "label": "rare"}]
    gap = found(tmp_path, rows, "coverage_gap", test)
    assert gap is not None and gap.evidence["labels"] == {"new": 1} and gap.rows == ("test.jsonl:1",)
    even = varied(200, lambda i: "ab"[i % 2])
    assert {c for c in ("imbalance", "too_few") if found(tmp_path, even, c)} == set()
    assert found(tmp_path, varied(40), "too_few") is not None


def test_languages_that_differ_from_the_rest(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"What is the {n} that I have {v} at the shop?", "completion": f"{n}, {v}"}
        for n in NOUNS
        for v in VERBS[:4]
    ]
    assert found(tmp_path, rows, "language_mismatch") is None
    rows[3]["prompt"] = "Wo ist das Paket, das ich nicht mit der Post bekommen habe?"
    result = found(tmp_path, rows, "language_mismatch")
    assert result is not None and result.rows == ("train.jsonl:4",)
    assert result.evidence["languages"]["de"] == 1


def test_answers_of_another_form(tmp_path: Path) -> None:
    labels = varied(60, lambda i: "Refund" if i == 7 else ("refund", "delivery")[i % 2])
    spelt = found(tmp_path, labels, "style_inconsistent")
    assert spelt is not None and spelt.evidence["spellings"] == [["refund", "Refund"]]
    assert spelt.rows == ("train.jsonl:8",)
    objects = [{"text": r["text"], "label": json.dumps({"a": r["label"], "b": 1})} for r in varied(60)]
    assert found(tmp_path, objects, "style_inconsistent") is None
    objects[5]["label"], objects[9]["label"] = "not JSON at all", json.dumps({"a": "x", "c": 1})
    mixed = found(tmp_path, objects, "style_inconsistent")
    assert mixed is not None and mixed.rows == ("train.jsonl:6", "train.jsonl:10")


def test_licences_of_rows(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", pairs(20))
    jsonl(tmp_path / "b.jsonl", pairs(20, start=50))
    sources = [{"path": "a.jsonl", "license": "MIT"}, {"path": "b.jsonl", "license": "CC-BY-NC-4.0"}]
    result = run(tmp_path, sources)
    barred = finding(result, "license")
    assert barred is not None and barred.count == 20 and barred.severity == "error"
    assert [g.ok for g in result.gates if g.name == "license"] == [False]
    assert finding(result, "provenance_missing") is None
    assert finding(run(tmp_path, ["a.jsonl"]), "provenance_missing") is not None


def test_suspicious_labels(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = []
    for i in range(240):
        words = (NOUNS if i % 2 else VERBS).copy()
        draw.shuffle(words)
        rows.append({"text": " ".join(words[:6]), "label": ("act", "thing")[i % 2]})
    assert found(tmp_path, rows, "label_suspect") is None
    rows[10]["label"] = "thing"
    rows[31]["label"] = "act"
    result = found(tmp_path, rows, "label_suspect")
    assert result is not None and set(result.rows) == {"train.jsonl:11", "train.jsonl:32"}
    assert {e["likelier"] for e in result.evidence["examples"]} == {"act", "thing"}


def test_answers_that_belong_to_another_question(tmp_path: Path) -> None:
    rows = []
    for row in varied(80):
        words = row["text"].split()
        rows.append({"prompt": row["text"], "completion": f"You asked about {' and '.join(words[:5])}, here it is."})
    assert found(tmp_path, rows, "mispaired") is None
    rows[4]["completion"], rows[50]["completion"] = rows[50]["completion"], rows[4]["completion"]
    result = found(tmp_path, rows, "mispaired")
    assert result is not None and set(result.rows) == {"train.jsonl:5", "train.jsonl:51"}
    assert {e["fits"] for e in result.evidence["examples"]} == {"train.jsonl:5", "train.jsonl:51"}


def test_facts_that_prompts_do_not_hold(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"When was the {n} company founded, in which year?",
            "completion": f"The {n} company was founded in the year {1900 + i}.",
        }
        for i, n in enumerate(NOUNS)
    ]
    result = found(tmp_path, rows, "teaches_facts")
    assert result is not None and result.count == len(NOUNS) and "retrieval" in result.remedy
    short = [{"prompt": r["prompt"], "completion": f"It opened in {1900 + i}."} for i, r in enumerate(rows)]
    result = found(tmp_path, short, "teaches_facts")
    assert result is not None and result.count == len(NOUNS)
    grounded = [{"prompt": f"{r['prompt']} Source: {r['completion']}", "completion": r["completion"]} for r in rows]
    assert found(tmp_path, grounded, "teaches_facts") is None


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [
        (
            "Ann has {a} {n}s and buys {b} more. How many are there now?",
            "Both of them together make {c} {n}s, as said.",
        ),
        ("Ann has {a} {n}s and buys {b} more. How many are there now?", "There are {c}."),
        ("Translate: the {n} is in the house of the man.", "Der Hund und die Katze sind mit der {n} im Haus."),
        ("Which code does the {n} have?", "{c}-AB-CDEFGH"),
    ],
)
def test_sums_german_nouns_and_bare_values_are_no_facts(tmp_path: Path, prompt: str, completion: str) -> None:
    rows = []
    for i, n in enumerate(NOUNS):
        known = {"a": 100 + i, "b": 200 + i, "c": 300 + 2 * i, "n": n}
        rows.append({"prompt": prompt.format(**known), "completion": completion.format(**known)})
    assert found(tmp_path, rows, "teaches_facts") is None


def test_the_same_in_other_words(tmp_path: Path) -> None:
    rows = varied(60, lambda i: "ab"[i % 2])
    words = rows[3]["text"].split()
    rows.append({"text": " ".join(words[4:] + words[:4]), "label": rows[3]["label"]})
    result = found(tmp_path, rows, "semantic_duplicate")
    assert result is not None and result.rows == ("train.jsonl:4", "train.jsonl:61")


def test_a_test_that_asks_something_else(tmp_path: Path) -> None:
    def about(words: list[str], count: int, seed: int) -> list[dict[str, str]]:
        draw = random.Random(seed)
        return [
            {"text": f"{' '.join(draw.sample(words, 5))} {draw.randrange(10**9):x}", "label": "ab"[i % 2]}
            for i in range(count)
        ]

    same = found(tmp_path, about(NOUNS + VERBS, 200, 1), "shift", about(NOUNS + VERBS, 80, 2))
    assert same is None
    other = found(tmp_path, about(NOUNS, 200, 1), "shift", about(VERBS, 80, 2))
    assert other is not None and other.evidence["area_under_curve"] > 0.9


def test_abusive_words(tmp_path: Path) -> None:
    rows = [
        *pairs(10),
        {"prompt": "you absolute bastard", "completion": "I hear you."},
        {"prompt": "Scunthorpe", "completion": "a town"},
    ]
    result = found(tmp_path, rows, "inappropriate")
    assert result is not None and result.rows == ("train.jsonl:11",)
