"""What one run was answered is not asked again by the next, as long as base, data and prompt are the same."""

import pytest

from tests.command_line import colours
from tunewright.engine import TorchEngine
from tunewright.store import read_lines


def test_a_second_baseline_asks_nobody_twice(cli, project, scripted, monkeypatch):
    scripted.say = lambda text: "red"
    folder = project(
        colours(60),
        "gates: {suite_size: 4}\nsuite: {cases: 6}\n"
        f"arms: [base, few_shot, {{external: {{url: '{scripted.url}', model: big, prices: [1, 1]}}}}]\n",
    )
    first = cli("baseline", folder, "--json")
    assert first.code == 0 and len(scripted.asked) == 6
    with monkeypatch.context() as silent:
        silent.setattr(TorchEngine, "generate", lambda *_, **__: pytest.fail("asked again"))
        again = cli("baseline", folder, "--json").document
    assert len(scripted.asked) == 6
    assert again["run"] != first.document["run"] and again["arms"] == first.document["arms"]
    assert len(list(read_lines(folder / ".tunewright" / "runs" / again["run"] / "predictions.jsonl"))) == 18
    # Prices may be set after the answers: they are counted with those of today.
    dearer = f"arms=[{{external: {{url: '{scripted.url}', model: big, prices: [10, 1]}}}}]"
    arm = cli("baseline", folder, "--json", "--set", dearer).document["arms"][0]
    assert len(scripted.asked) == 6 and arm["cost"] == pytest.approx(1000 * 1002 / 1e6)
    # Another prompt is another question, and so is room for another length.
    more = dearer.replace("10, 1]", "10, 1], max_tokens: 999")
    assert cli("baseline", folder, "--json", "--set", more).code == 0
    assert len(scripted.asked) == 12 and scripted.asked[-1]["max_tokens"] == 999 != scripted.asked[0]["max_tokens"]
    other = cli("baseline", folder, "--json", "--set", "data.system=Name a colour.")
    assert other.code == 0 and len(scripted.asked) == 18


def test_a_server_that_breaks_midway_is_asked_only_what_is_missing(cli, project, scripted):
    scripted.say, scripted.statuses = lambda text: "red", [200] * 3 + [401]
    folder = project(
        colours(60),
        f"gates: {{suite_size: 4}}\nsuite: {{cases: 6}}\narms: [{{external: {{url: '{scripted.url}', model: big}}}}]\n",
    )
    broken = cli("baseline", folder)
    assert broken.code == 1 and "What was answered is kept" in broken.err
    kept = folder.glob(".tunewright/runs/**/predictions.jsonl")  # so few rows are asked in folds
    answered, sent = sum(len(list(read_lines(path))) for path in kept), len(scripted.asked)
    assert 3 <= answered < 6
    found = cli("baseline", folder, "--json")
    assert found.code == 0 and len(scripted.asked) - sent == 6 - answered
