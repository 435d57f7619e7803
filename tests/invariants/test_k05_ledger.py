"""K5: read = kept + changed + set aside by reason, in rows and in supervised tokens, whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewright.data import audit, load
from tunewright.errors import DataError
from tunewright.recipe import DataSpec
from tunewright.records import Example, TokenFacts

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_turn = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool", "imp", None]),
        "content": st.text(max_size=5) | _json,
    },
    optional={"tool_calls": _json},
)
_row = st.one_of(
    st.fixed_dictionaries({"messages": st.lists(_turn, max_size=4)}),
    st.fixed_dictionaries({"messages": _json}),
    st.fixed_dictionaries({"prompt": st.text(max_size=4), "completion": st.text(max_size=4)}),
    _json,
)
_line = st.one_of(
    _row.map(lambda row: json.dumps(row).encode()), st.binary(max_size=20).map(lambda b: b.replace(b"\n", b""))
)
_GOOD: dict[str, Any] = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}


def _tokens(example: Example) -> TokenFacts:
    answer = len(example.answer.content)
    return TokenFacts(answer, max(0, answer - 3))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_line, max_size=12))
def test_ledger_sums_on_garbage(tmp_path: Path, lines: list[bytes]) -> None:
    (tmp_path / "train.jsonl").write_bytes(b"\n".join([*lines, *[json.dumps(_GOOD).encode()] * (len(lines) + 1)]))
    spec = DataSpec.model_validate({"train": "train.jsonl"})
    try:
        result = audit(spec, root=tmp_path, store=tmp_path / "store", tokens=_tokens)
    except DataError as error:
        assert error.remedy
        return
    ledger, tokens = result.dataset.ledger, result.dataset.tokens
    assert ledger.sums()
    assert ledger.read >= len(lines) + 1 - sum(not line.strip() for line in lines)
    assert sum(result.dataset.splits.values()) == ledger.used
    assert tokens is not None and tokens.sums()
    written = [e for s in ("train", "validation", "test") for e in load(result.path, s)]
    assert len(written) == ledger.used
    assert tokens.used == sum(f.supervised - f.lost for f in map(_tokens, written))


def test_an_audited_set_audits_to_itself(tmp_path: Path) -> None:
    rows = [_GOOD, _GOOD, "broken", {"messages": []}]
    rows += [
        {"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "yes"}]} for i in range(50)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    first = audit(DataSpec.model_validate({"train": "train.jsonl"}), root=tmp_path, store=tmp_path)
    spec = DataSpec.model_validate({"train": str(first.path / "train.jsonl"), "split": {"test": 0, "validation": 0}})
    again = audit(spec, root=tmp_path, store=tmp_path)
    assert again.dataset.ledger.set_aside == {} and again.dataset.ledger.changed == 0
    assert [e.messages for e in load(again.path, "train")] == [e.messages for e in load(first.path, "train")]
