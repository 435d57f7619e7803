"""What an audit counts, sets aside, changes and writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tunewright.data import load
from tunewright.errors import DataError
from tunewright.records import TokenFacts

from .helpers import finding, jsonl, pairs, run


def bad_mixture(path: Path) -> Path:
    """Twenty good rows and one of each kind of bad row."""
    good = [
        {"messages": [{"role": "user", "content": f"Q {i}"}, {"role": "assistant", "content": f"A {i}"}]}
        for i in range(20)
    ]
    bad = [
        '{"messages": [{"role": "user", ',
        {"messages": [{"role": "wizard", "content": "x"}, {"role": "assistant", "content": "y"}]},
        {"messages": [{"role": "user", "content": "no answer"}]},
        {"messages": [{"role": "user", "content": "empty answer"}, {"role": "assistant", "content": "  "}]},
        {"instruction": "other", "output": "shape"},
        {"messages": []},
        "[1, 2]",
    ]
    return jsonl(path, good[:16] + bad + good[16:])


def test_every_bad_row_is_counted_under_its_reason(tmp_path: Path) -> None:
    bad_mixture(tmp_path / "train.jsonl")
    result = run(tmp_path)
    assert result.dataset.ledger.set_aside == {"bad_row": 1, "role_order": 1, "empty_output": 3, "mixed_format": 2}
    assert result.dataset.ledger.read == 27
    assert result.dataset.ledger.used == 20
    assert finding(result, "bad_row").rows == ("train.jsonl:17",)  # type: ignore[union-attr]
    gate = next(g for g in result.gates if g.name == "bad_rows")
    assert gate.ok is False
    allowed = run(tmp_path, allow={"bad_rows": "known, mended upstream"})
    gate = next(g for g in allowed.gates if g.name == "bad_rows")
    assert gate.ok is False and gate.allowed_because == "known, mended upstream"


def test_bytes_that_are_not_utf8_and_mojibake_are_repaired_and_counted(tmp_path: Path) -> None:
    lines = [json.dumps(p).encode() for p in pairs(20)]
    lines.append('{"prompt": "Où est le café ?", "completion": "Là-bas, à côté."}'.encode("cp1252"))
    lines.append('{"prompt": "cafÃ© latte", "completion": "donâ€™t"}'.encode())
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(lines))
    result = run(tmp_path, split={"test": 0, "validation": 0})
    assert result.dataset.ledger.changed == 2
    assert finding(result, "encoding").rows == ("train.jsonl:21", "train.jsonl:22")  # type: ignore[union-attr]
    last = load(result.path, "train")[-2:]
    assert last[0].messages[0].content == "Où est le café ?"
    assert (last[1].messages[0].content, last[1].answer.content) == ("café latte", "don’t")


def test_duplicates_leaks_and_contradictions(tmp_path: Path) -> None:
    rows = [
        *pairs(20),
        {"prompt": "WHAT is number 3 called", "completion": "it is called 3"},
        {"prompt": "What is number 4 called?", "completion": "Nobody knows."},
        {"prompt": "?!", "completion": "a"},
        {"prompt": "??", "completion": "a"},
    ]
    jsonl(tmp_path / "train.jsonl", rows)
    jsonl(tmp_path / "test.jsonl", [{"prompt": "what is number 7 called", "completion": "7"}, *pairs(5, start=100)])
    result = run(tmp_path, test="test.jsonl")
    counts = {f.code: f.count for f in result.findings}
    assert (counts["exact_duplicate"], counts["leak_exact"], counts["contradiction"]) == (1, 1, 2)
    assert finding(result, "leak_exact").rows == ("test.jsonl:1", "train.jsonl:8")  # type: ignore[union-attr]
    assert finding(result, "contradiction").evidence["groups"] == 1  # type: ignore[union-attr]
    assert result.dataset.ledger.set_aside == {"exact_duplicate": 1, "leak_exact": 1}
    assert result.dataset.splits["test"] == 6
    assert "train.jsonl:8" not in {e.row for s in ("train", "validation") for e in load(result.path, s)}


def test_counts_of_real_sets(shared_data: Path, tmp_path: Path) -> None:
    wanted = {"banking77": (25, 26, 2, "csv"), "snips": (18, 250, 2, "jsonl"), "gsm8k": (0, 0, 0, "jsonl")}
    for name, (leaks, surplus, rows, ending) in wanted.items():
        folder = shared_data / name
        result = run(tmp_path, str(folder / f"train.{ending}"), test=str(folder / f"test.{ending}"))
        counts = {f.code: f.count for f in result.findings}
        assert counts.get("leak_exact", 0) == leaks, name
        assert counts.get("exact_duplicate", 0) == surplus, name
        assert counts.get("contradiction", 0) == rows, name
        if rows:
            assert finding(result, "contradiction").evidence["groups"] == 1  # type: ignore[union-attr]
        if name == "banking77":
            near = finding(result, "contradiction_near")
            assert near is not None and 40 <= near.evidence["pairs"] <= 50
        if name == "gsm8k":
            assert set(counts) == {"provenance_missing"}, "a clean set raises no alarm"
        assert result.dataset.ledger.sums()


def test_the_same_rows_in_every_format_are_the_same_examples(tmp_path: Path) -> None:
    rows = [{"text": f'line {i}, with "quotes"\nand a break', "label": "ab"[i % 2]} for i in range(40)]
    jsonl(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    for name, mark in (("a.csv", ","), ("a.tsv", "\t"), ("semi.csv", ";")):
        with (tmp_path / name).open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"], delimiter=mark)
            writer.writeheader()
            writer.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    seen = set()
    for name in ("a.jsonl", "a.json", "a.csv", "a.tsv", "semi.csv", "a.parquet"):
        result = run(tmp_path, name, split={"test": 0, "validation": 0})
        assert result.dataset.labels == ("a", "b")
        seen.add(tuple((e.messages, e.label) for e in load(result.path, "train")))
    assert len(seen) == 1


def test_table_rows_with_missing_or_extra_fields_are_bad_rows(tmp_path: Path) -> None:
    good = "\n".join(f"text {i},{'ab'[i % 2]}" for i in range(30))
    (tmp_path / "t.csv").write_text(f"text,label\n{good}\n\nonly one\na,b,c\nlast,a\n", encoding="utf-8")
    result = run(tmp_path, "t.csv")
    assert result.dataset.ledger.set_aside == {"bad_row": 2}
    assert finding(result, "bad_row").rows == ("t.csv:31", "t.csv:32")  # type: ignore[union-attr]


def test_system_prompt_and_marks_reach_the_rows(tmp_path: Path) -> None:
    own = {"messages": [{"role": "system", "content": "Mine."}, *_turns("own")]}
    jsonl(tmp_path / "train.jsonl", [own, *({"messages": _turns(str(i))} for i in range(20))])
    source = {"path": "train.jsonl", "license": "MIT", "weight": 2, "synthetic": True}
    result = run(tmp_path, [source], system="Be brief.")
    examples = load(result.path, "train")
    assert len(examples) == 21, "synthetic rows are kept out of test and validation"
    assert examples[0].messages[0].content == "Mine."
    assert examples[1].messages[0].content == "Be brief."
    assert {(e.license, e.weight, e.synthetic) for e in examples} == {("MIT", 2.0, True)}


def _turns(word: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"say {word}"}, {"role": "assistant", "content": f"said {word}"}]


def test_tools_and_calls_survive(shared_data: Path, tmp_path: Path) -> None:
    result = run(tmp_path, str(shared_data / "glaive_toolcall" / "glaive_toolcall_en_demo.json"))
    assert result.dataset.ledger.read == 300
    calls = [
        c
        for s in ("train", "validation", "test")
        for e in load(result.path, s)
        for m in e.messages
        for c in m.tool_calls
    ]
    assert len(calls) > 100
    assert all(c["name"] and isinstance(c["arguments"], dict) for c in calls)


def test_lost_tokens_are_counted_in_rows_and_tokens(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(30))
    facts = {"train.jsonl:1": TokenFacts(40, 15), "train.jsonl:2": TokenFacts(10, 10)}
    result = run(tmp_path, tokens=lambda e: facts.get(e.row, TokenFacts(8)))
    ledger, tokens = result.dataset.ledger, result.dataset.tokens
    assert (ledger.changed, ledger.set_aside) == (1, {"unsupervised": 1})
    assert tokens is not None and tokens.sums()
    assert tokens.read == 28 * 8 + 50
    assert tokens.set_aside == {"unsupervised": 10, "truncation": 15}
    assert finding(result, "truncation").evidence["tokens_lost"] == 15  # type: ignore[union-attr]
    assert finding(result, "unsupervised").severity == "error"  # type: ignore[union-attr]


def test_what_a_template_cannot_write_is_set_aside_for_that(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(30))
    why = "the chat template refuses this conversation: one call at once"
    facts = {"train.jsonl:1": TokenFacts(0, refused=why)}
    result = run(tmp_path, tokens=lambda e: facts.get(e.row, TokenFacts(8)))
    assert result.dataset.ledger.set_aside == {"unwritable": 1}
    refused = finding(result, "unwritable")
    assert refused is not None and "one call at once" in refused.message and refused.evidence["set_aside"] == 1
    assert finding(result, "unsupervised") is None
    with pytest.raises(DataError, match="one call at once"):
        run(tmp_path, tokens=lambda e: facts["train.jsonl:1"])


def test_versions_are_content_addressed_and_left_alone(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(40))
    first = run(tmp_path)
    stamp = (first.path / "train.jsonl").stat().st_mtime_ns
    again = run(tmp_path)
    assert again.path == first.path and (again.path / "train.jsonl").stat().st_mtime_ns == stamp
    assert run(tmp_path, split={"seed": 1}).path != first.path
    assert run(tmp_path, system="Be brief.").path != first.path
    assert [p.name for p in first.path.parent.iterdir() if p.name.startswith(".")] == []


def test_nothing_left_to_train_on_is_an_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [{"prompt": "a", "completion": ""}, {"prompt": "b", "completion": " "}])
    with pytest.raises(DataError, match="no row is left"):
        run(tmp_path)
    with pytest.raises(DataError, match="not a split"):
        jsonl(tmp_path / "train.jsonl", pairs(20))
        load(run(tmp_path).path, "dev")


def test_a_test_file_that_is_the_train_file_is_told_as_a_leak(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(20))
    with pytest.raises(DataError, match="no row is left") as error:
        run(tmp_path, test="train.jsonl")
    assert "20 test rows ask what a train row asks" in error.value.remedy
    assert "Name a test file that asks something else" in error.value.remedy and "licence" not in error.value.remedy


def test_json_form_is_what_scripts_rely_on(tmp_path: Path) -> None:
    bad_mixture(tmp_path / "train.jsonl")
    shown = json.loads(json.dumps(run(tmp_path).as_dict()))
    assert {"ledger", "findings", "splits", "dataset", "gates"} <= set(shown)
    assert set(shown["ledger"]) == {"read", "kept", "changed", "set_aside"}
    assert set(shown["splits"]) == {"train", "validation", "test"}
    assert Path(shown["dataset"]).is_absolute()
    assert {"code", "severity", "count", "rows", "evidence", "message", "remedy"} <= set(shown["findings"][0])
    assert {"name", "ok", "message"} <= set(shown["gates"][0])


def test_near_rows_are_reported_and_kept_together(tmp_path: Path) -> None:
    base = ["where is the parcel that you sent me last week", "please cancel the subscription for my brother today"]
    rows = [{"text": f"{b}{tail}", "label": "ab"[k]} for k, b in enumerate(base) for tail in ("", " now", " ok")]
    rows += [
        {"text": f"question about topic {chr(97 + i % 26)}{i * 7919 % 977:b}", "label": "ab"[i % 2]} for i in range(60)
    ]
    rows[2]["label"] = "b"
    jsonl(tmp_path / "train.jsonl", rows)
    jsonl(
        tmp_path / "test.jsonl", [{"text": "please cancel the subscription for my brother today!!! thx", "label": "b"}]
    )
    result = run(tmp_path, test="test.jsonl")
    assert finding(result, "near_duplicate").count >= 5  # type: ignore[union-attr]
    assert finding(result, "contradiction_near").evidence["groups"] == 1  # type: ignore[union-attr]
    assert "train.jsonl:3" in finding(result, "contradiction_near").rows  # type: ignore[union-attr]
    leak = finding(result, "leak_near")
    assert leak is not None and leak.count == 1 and "train.jsonl:4" in leak.rows
    drawn = run(tmp_path)
    where = {e.row: s for s in ("train", "validation", "test") for e in load(drawn.path, s)}
    assert len({where[f"train.jsonl:{i}"] for i in (1, 2, 3)}) == 1
    assert len({where[f"train.jsonl:{i}"] for i in (4, 5, 6)}) == 1
