"""Answers that are run: right, wrong, endless, greedy, and trying to get out."""

import json
import resource

import pytest

from tunewright.errors import ScorerError
from tunewright.evaluate import sandbox
from tunewright.evaluate.scorers import score
from tunewright.records import Case


def case(**expected):
    return Case(id="c", messages=({"role": "user", "content": "?"},), expected=json.dumps(expected))


def ask(name, text, wanted):
    try:
        return score(name, text, wanted)
    except ScorerError as error:
        if "namespace" in error.message:
            pytest.skip("this system grants no network namespace")
        raise


DOUBLE = case(tests="assert double(4) == 8")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("def double(x):\n    return 2 * x", 1),
        ("Here:\n```python\ndef double(x):\n    return x + x\n```\nDone.", 1),
        ("def double(x):\n    return x", 0),
        ("def double(x:", 0),
        ("import os\nos._exit(0)", 0),
        ("import os\nos._exit(42)", 0),
        ("import sys\nsys.exit(0)", 0),
        ("double = lambda x: [0] * 10**9", 0),
    ],
)
def test_python(text, wanted):
    assert ask("python_tests", text, DOUBLE) == wanted


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
        "open('x', 'w')",
        "import os; os.remove('{victim}')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; assert os.environ.get('HOME')",
    ],
)
def test_the_walls_hold(attempt, tmp_path):
    import socket

    victim = tmp_path / "victim"
    victim.write_text("still here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ask("python_tests", "def double(x):\n    return 2 * x", DOUBLE) == 1
        assert ask("python_tests", attempt.format(port=port, victim=victim), case(tests="pass")) == 0
    assert victim.read_text() == "still here"


def test_an_endless_answer_ends(monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 1)
    assert ask("python_tests", "while True: pass", DOUBLE) == 0


def test_what_an_answer_prints_is_nobodys_memory(monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert ask("python_tests", "while True: print('x' * 10**6)", DOUBLE) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_tests_and_queries_that_do_not_run_are_failures_of_the_scorer():
    for name, text, wanted in (
        ("python_tests", "x = 1", case(tests="assert (")),
        ("sql_rows", "SELECT 1", case(**PEOPLE, query="SELECT nothing FROM nowhere")),
        ("sql_rows", "SELECT 1", case(setup="CREATE nonsense", query="SELECT 1")),
    ):
        with pytest.raises(ScorerError, match="do not run"):
            ask(name, text, wanted)


PEOPLE = {"setup": "CREATE TABLE p(n, a); INSERT INTO p VALUES ('x', 1), ('y', 2), ('z', 3);"}


@pytest.mark.parametrize(
    ("query", "text", "wanted"),
    [
        ("SELECT n FROM p WHERE a > 1", "```sql\nSELECT n FROM p WHERE a >= 2 ORDER BY a DESC\n```", 1),
        ("SELECT n FROM p ORDER BY a", "SELECT n FROM p ORDER BY a DESC", 0),
        ("SELECT n FROM p", "SELECT nothing FROM nowhere", 0),
        ("SELECT n FROM p", "ATTACH '/tmp/x.db' AS x", 0),
    ],
)
def test_sql(query, text, wanted):
    assert ask("sql_rows", text, case(**PEOPLE, query=query)) == wanted


def test_expected_answers_of_another_form_are_failures_of_the_scorer():
    for name in ("python_tests", "sql_rows"):
        with pytest.raises(ScorerError, match="must be"):
            score(name, "x", Case(id="c", messages=(), expected="plain"))


def test_without_a_namespace_nothing_is_run(monkeypatch):
    refused = "import json, os, sys; os._exit(json.load(sys.stdin)['codes'][1])"
    monkeypatch.setattr(sandbox, "_CHILD", refused)
    with pytest.raises(ScorerError, match="namespace"):
        score("python_tests", "x = 1", DOUBLE)
