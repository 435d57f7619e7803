"""An audited dataset is clean: audited again, no row is set aside or changed, and every row says what it said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewright.data import Audit, audit, load
from tunewright.data.accepting import CODES
from tunewright.errors import DataError
from tunewright.recipe import DataSpec

TEXTS = [
    "a question",
    "A question!",
    "another one",
    "cafÃ© donâ€™t",
    "Où est-il ?",
    "\ud800 half a pair",
    "  ",
    "?!",
    "mail ann@x.org, pay 4111 1111 1111 1111",
    "password = hunter2222",
    "you bastard",
    "line\nbreak\u2028and \u0000 zero",
    "wo ist das paket und warum ist es nicht da",
    '{"a": 1}',
]
_text = st.one_of(st.sampled_from(TEXTS), st.text(max_size=12))
_turn = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "wizard"]), "content": st.none() | _text}
)
_good = st.tuples(_text, _text).map(
    lambda pair: {"messages": [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]}
)
_row = st.one_of(_good, _good, st.fixed_dictionaries({"messages": st.lists(_turn, max_size=4)}), st.just({"x": 1}))
SPLITS = ("train", "validation", "test")


def _said(result: Audit) -> list[Any]:
    return sorted(repr((e.messages, e.tools, e.license, e.weight)) for s in SPLITS for e in load(result.path, s))


def _write(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_row, max_size=25), st.lists(_good, max_size=6), st.sets(st.sampled_from(CODES)))
def test_audited_again_nothing_changes(tmp_path: Path, rows: list[Any], test: list[Any], accept: set[str]) -> None:
    kept = [
        {"messages": [{"role": "user", "content": f"Kept {i}?"}, {"role": "assistant", "content": f"Kept {i}."}]}
        for i in range(len(rows) + 1)
    ]
    _write(tmp_path / "train.jsonl", [*kept, *rows])
    _write(tmp_path / "test.jsonl", [*test, kept[0] | {"weight": 2}])
    given_ = {"train": "train.jsonl", "test": "test.jsonl", "accept": sorted(accept)}
    try:
        first = audit(DataSpec.model_validate(given_), root=tmp_path, store=tmp_path / "s")
    except DataError as error:
        assert "no row is left" in str(error)
        return
    assert first.dataset.ledger.sums()
    files = {s: first.path / f"{s}.jsonl" for s in SPLITS if (first.path / f"{s}.jsonl").stat().st_size}
    spec = {
        "train": [str(p) for s, p in files.items() if s != "test"],
        "test": [str(p) for s, p in files.items() if s == "test"],
    }
    again = audit(DataSpec.model_validate(spec), root=tmp_path, store=tmp_path / "t")
    assert again.dataset.ledger.set_aside == {} and again.dataset.ledger.changed == 0
    assert again.dataset.ledger.kept == first.dataset.ledger.used
    assert _said(again) == _said(first)
    codes = {f.code for f in again.findings}
    assert not codes & {"bad_row", "empty_output", "mixed_format", "encoding", "exact_duplicate", "leak_exact"}
    assert not codes & accept & {"pii", "secret", "inappropriate", "contradiction", "tool_call_invalid", "leak_near"}
