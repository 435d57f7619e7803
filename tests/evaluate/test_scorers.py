import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import ScorerError
from tunewright.evaluate.scorers import SCORERS, score, score_all
from tunewright.records import Case


def case(expected):
    return Case(id="c:1", messages=({"role": "user", "content": "?"},), expected=expected)


@pytest.mark.parametrize(
    ("name", "text", "expected", "wanted"),
    [
        ("exact", " yes\n", "yes", 1),
        ("exact", "Yes", "yes", 0),
        ("normalised", "It’s “fine”!", "it's fine", 1),
        ("normalised", "3.5", "35", 0),
        ("regex", "order 1234", r"order \d+", 1),
        ("regex", "the order 1234 x", r"order \d+", 0),
        ("numeric", "so 3 + 4 = 7 apples", "#### 7", 1),
        ("numeric", "#### 1,234.50 dollars", "work 9 #### 1234.5", 1),
        ("numeric", "about −5", "-5", 1),
        ("numeric", "no idea", "#### 7", 0),
        ("numeric", "first 7 then 8", "#### 7", 0),
        ("json_fields", '{"a": 1, "b": "x  y"}', '{"b": "x y", "a": 1.0}', 1),
        ("json_fields", '{"a": true}', '{"a": 1}', 0),
        ("json_fields", '{"a": 1, "b": 2}', '{"a": 1}', 2 / 3),
        ("json_fields", '{"a": [1, 2]}', '{"a": [2, 1]}', 0),
        ("json_fields", '{"a": {}}', '{"a": []}', 0),
        ("json_fields", "{}", "{}", 1),
        ("json_fields", "not json", '{"a": 1}', 0),
        ("json_fields", '{"a": NaN}', '{"a": 1}', 0),
        ("json_fields", '{"a": "ﬁne"}', '{"a": "fine"}', 1),
        ("json_valid", "[1]", "{}", 1),
        ("json_valid", "[1", "{}", 0),
        ("tool_calls", '<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>',
         '<tool_call>{"arguments": {"x": 1.0}, "name": "f"}</tool_call>', 1),
        ("tool_calls", "no call", "also none", 1),
        ("tool_calls", "<tool_call>{}</tool_call>", "none wanted", 0),
        ("tool_calls", "<tool_call>{broken</tool_call>", '<tool_call>{"name": "f"}</tool_call>', 0),
    ],
)  # fmt: skip
def test_scorers_by_example(name, text, expected, wanted):
    assert math.isclose(score(name, text, case(expected)), wanted)


def test_choice_takes_one_label_named_and_no_other():
    labels = ("card", "card arrival", "refund")
    ask = lambda text, expected: score("choice", text, case(expected), labels)  # noqa: E731
    assert ask("Card arrival.", "card arrival") == 1
    assert ask("The label is card arrival", "card arrival") == 1
    assert ask("The label is card arrival", "card") == 0
    assert ask("card arrival or refund", "refund") == 0
    assert ask("refund\nbecause card", "refund") == 1
    assert ask("", "refund") == 0


@pytest.mark.parametrize(
    ("name", "expected"), [("numeric", "none"), ("json_fields", "{"), ("regex", "("), ("tool_calls", "<tool_call>{")]
)
def test_a_case_that_cannot_be_scored_is_an_error_not_a_zero(name, expected):
    with pytest.raises(ScorerError):
        score(name, "anything 1", case(expected))


def test_a_pattern_that_never_ends_is_an_error():
    with pytest.raises(ScorerError, match="second"):
        score("regex", "a" * 60 + "!", case(r"(?:a|a|aa)+[bc]"))


def test_unknown_scorers_and_user_scorers(tmp_path, monkeypatch):
    with pytest.raises(ScorerError, match="json_fields"):
        score("json_feilds", "", case("{}"))
    with pytest.raises(ScorerError, match="import"):
        score("no_such_module.fn", "", case("{}"))
    (tmp_path / "my_scorers.py").write_text(
        "def half(text, case):\n    return 0.5\n\ndef boom(text, case):\n    raise KeyError('x')\n\n"
        "def wild(text, case):\n    return 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert score("my_scorers.half", "", case("{}")) == 0.5
    for broken in ("boom", "wild"):
        with pytest.raises(ScorerError):
            score(f"my_scorers.{broken}", "", case("{}"))
    scores, error = score_all(["my_scorers.half", "my_scorers.boom"], "", case("{}"))
    assert scores == {"my_scorers.half": 0.5, "my_scorers.boom": None}
    assert "KeyError" in error


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def fn(text, case:\n    return 1\n", r"SyntaxError: .*\(broken_scorer\.py, line 1\)"),
        ("import math\nLEAST = 1 / 0\n", r"ZeroDivisionError: division by zero \(.*broken_scorer\.py, line 2\)"),
        ("raise SystemExit('run me alone')\n", r"SystemExit: run me alone \(.*broken_scorer\.py, line 1\)"),
    ],
)
def test_a_file_of_ones_own_that_does_not_load_is_told_in_its_own_words(tmp_path, monkeypatch, text, says):
    (tmp_path / "broken_scorer.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ScorerError, match=says) as told:
        score("broken_scorer.fn", "", case("{}"))
    assert told.value.exit_code == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_json_fields_is_symmetric_bounded_and_one_for_the_same(a, b):
    import json

    x, y = json.dumps(a), json.dumps(b)
    forward, backward = score("json_fields", x, case(y)), score("json_fields", y, case(x))
    assert forward == backward
    assert 0 <= forward <= 1
    assert score("json_fields", x, case(x)) == 1


@given(st.sampled_from(sorted(SCORERS)), st.text(max_size=30), st.text(max_size=30))
def test_any_text_scores_in_bounds_or_is_a_scorer_error(name, text, expected):
    with contextlib.suppress(ScorerError):
        assert 0 <= score(name, text, case(expected), (expected,)) <= 1
