import json

import pytest

from tunewright.engine import Sampling
from tunewright.engine.endpoint import Reply
from tunewright.errors import DataError, EndpointError, Interrupted, RecipeError
from tunewright.evaluate import Library, classify, make_suite, measures, prompt_variants, prompting, run_arm
from tunewright.evaluate.arms import read_predictions, run_endpoint
from tunewright.evaluate.verdict import decide
from tunewright.recipe import SuiteSpec
from tunewright.records import Case, Example, Message

from .conftest import FakeEngine, example, read, render


def arm(name, suite, engine, path, prompts=None, **more):
    settings = {
        "prompts": prompts or (lambda case: case.messages),
        "render_prompt": render,
        "said": read,
        "template": "t1",
        "sampling": Sampling(max_new_tokens=64),
        "path": path,
    }
    return run_arm(name, suite, engine, **{**settings, **more})


def gold(suite):
    """An engine's answer that is always right."""
    by_text = {c.messages[-1]["content"]: c.expected for c in suite.cases}
    return lambda prompt: next(answer for text, answer in by_text.items() if text + "\n" in prompt)


def test_predictions_are_kept_as_contracted(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    told = []
    path = tmp_path / "predictions.jsonl"
    found = arm("base", suite, FakeEngine(gold(suite)), path, progress=lambda d, t: told.append((d, t)))
    assert [p.score for p in found] == [1.0] * 40
    assert told[-1] == (40, 40)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 40
    assert {"case", "arm", "prompt_ids", "output_ids", "text", "score", "seconds"} <= rows[0].keys()
    assert rows[0]["output_ids"][-1] == 3 and "\x03" not in rows[0]["text"]


def test_a_stopped_arm_goes_on_where_it_was_and_a_changed_one_starts_anew(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    path = tmp_path / "predictions.jsonl"
    first = FakeEngine(gold(suite))
    arm("base", suite, first, path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:25]) + lines[25][:30])  # stopped in the middle of a line
    again = FakeEngine(gold(suite))
    found = arm("base", suite, again, path)
    assert len(again.asked) == 15
    assert len(read_predictions(path)) == len(found) == 40
    other = FakeEngine(lambda prompt: "other", identity="fake+adapter")
    arm("base", suite, other, path)
    assert len(other.asked) == 40
    assert len(read_predictions(path)) == 40


def test_a_case_too_long_for_the_model_is_counted_apart(tickets, tmp_path):
    suite = make_suite([*tickets, example("x" * 500, tickets[0].answer.content, "t.jsonl:99")], SuiteSpec(), seed=0)
    path = tmp_path / "predictions.jsonl"
    found = arm("base", suite, FakeEngine(gold(suite), positions=300), path)
    (apart,) = [p for p in found if p.error]
    assert apart.score is None and apart.key == "" and "the model 300 positions" in apart.error
    assert [p.score for p in found if p is not apart] == [1.0] * 40
    # With room for it, it is asked after all, and it alone.
    roomy = FakeEngine(gold(suite), positions=3000)
    assert [p.score for p in arm("base", suite, roomy, path)] == [1.0] * 41 and len(roomy.asked) == 1


def test_rescoring_generates_nothing(tickets, tmp_path):
    path = tmp_path / "predictions.jsonl"
    suite = make_suite(tickets, SuiteSpec(scorers=("exact",)), seed=0)
    arm("base", suite, FakeEngine(lambda prompt: "Billing"), path)
    silent = FakeEngine(lambda prompt: "never asked")
    looser = make_suite(tickets, SuiteSpec(scorers=("normalised", "exact")), seed=0)
    found = arm("base", looser, silent, path)
    assert silent.asked == []
    assert sum(p.score for p in found) == 10
    assert {p.scores["exact"] for p in found} == {0.0}


def test_what_was_answered_before_a_stop_is_kept(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    path = tmp_path / "predictions.jsonl"

    def stop(done, total):
        if done == 7:
            raise Interrupted("stopped")

    first = FakeEngine(gold(suite))
    with pytest.raises(Interrupted):
        arm("base", suite, first, path, progress=stop)
    assert len(read_predictions(path)) == 7
    again = FakeEngine(gold(suite))
    assert len(arm("base", suite, again, path)) == 40
    assert len(again.asked) == 33


def test_what_another_run_was_answered_is_taken_over(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    before, path = tmp_path / "before.jsonl", tmp_path / "now.jsonl"
    arm("base", suite, FakeEngine(gold(suite)), before)
    kept = before.read_text()
    silent = FakeEngine(lambda prompt: "never asked")
    found = arm("base", suite, silent, path, also=[before, tmp_path / "none.jsonl"])
    assert silent.asked == [] and [p.score for p in found] == [1.0] * 40
    assert len(read_predictions(path)) == 40 and before.read_text() == kept
    other = FakeEngine(gold(suite), identity="fake+adapter")
    arm("base", suite, other, tmp_path / "other.jsonl", also=[before])
    assert len(other.asked) == 40  # other weights: nothing of it is theirs


def test_replies_of_a_server_that_breaks_are_kept(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    path, settings = tmp_path / "predictions.jsonl", {"prompts": lambda case: case.messages, "sampling": Sampling()}
    with pytest.raises(EndpointError):
        run_endpoint("external", suite, FakeEndpoint(breaks_after=11), **settings, path=path)
    assert len(read_predictions(path)) == 11
    then = FakeEndpoint()
    assert len(run_endpoint("external", suite, then, **settings, path=path)) == 40
    assert len(then.asked) == 29


def test_prompted_adds_the_task_and_the_form_of_the_answer(tickets):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    prompts = prompting("prompted", suite, train=tickets, task="Route a ticket", count=lambda m, t: 0, budget=1)
    messages = prompts(suite.cases[0])
    assert messages[0]["role"] == "system"
    assert "Route a ticket." in messages[0]["content"] and "billing, delivery, other, refund" in messages[0]["content"]
    assert messages[1:] == suite.cases[0].messages
    with_system = Case(id="x", messages=({"role": "system", "content": "Be brief."}, *messages[1:]), expected="")
    joined = prompts(with_system)
    assert joined[0]["content"].startswith("Be brief.\n\nRoute a ticket.") and len(joined) == 2


def test_prompted_describes_json_from_training_rows():
    rows = [example(f"q{i}", json.dumps({"kind": "ab"[i % 2], "id": i}), f"r:{i}") for i in range(30)]
    suite = make_suite(rows, SuiteSpec(), seed=0)
    prompts = prompting("prompted", suite, train=rows, task=None, count=lambda m, t: 0, budget=1)
    assert '"kind" ("a" or "b"), "id"' in prompts(suite.cases[0])[0]["content"]


def test_few_shot_shows_the_nearest_training_rows_within_the_budget(tickets):
    suite = make_suite(tickets[:8], SuiteSpec(scorers=("exact",)), seed=0)
    train = [
        Example((Message("system", "S"), Message("user", f"{w} question"), Message("assistant", w)), row=f"x:{w}")
        for w in ("zebra", "violin", "refund", "ocean")
    ]
    count = lambda messages, tools: 10 * len(messages)  # noqa: E731
    case = Case(
        id="c", messages=({"role": "system", "content": "S"}, {"role": "user", "content": "a refund?"}), expected=""
    )
    two = prompting("few_shot", suite, train=train, task=None, count=count, budget=60, shots=3)(case)
    assert [m["role"] for m in two] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert two[3]["content"] == "refund question"  # the most alike stands next to the question
    none = prompting("few_shot", suite, train=train, task=None, count=count, budget=5, shots=3)(case)
    assert none == case.messages
    assert prompting("few_shot", suite, train=[], task=None, count=count, budget=99)(case) == case.messages


def test_an_unknown_arm_is_refused(tickets):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    with pytest.raises(RecipeError, match="oracle"):
        prompting("oracle", suite, train=[], task=None, count=lambda m, t: 0, budget=1)


def test_the_classifier_answers_labels_and_nothing_else(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    path = tmp_path / "predictions.jsonl"
    found = classify(suite, tickets, path=path)
    assert [p.score for p in found] == [1.0] * 40
    assert {p.arm for p in read_predictions(path)} == {"classifier"}
    prose = [example(f"q{i}", f"a long and open answer number {i}", f"r:{i}") for i in range(9)]
    assert classify(make_suite(prose, SuiteSpec(), seed=0), prose, path=path) is None


def test_rag_adds_the_nearest_passages_and_says_how_often_they_hold_the_answer(tickets, tmp_path):
    (tmp_path / "returns.md").write_text("Parcels may be sent back within 30 days.\n\n" + "filler words " * 200)
    (tmp_path / "notes.csv").write_text("not read")
    (tmp_path / "hours.txt").write_text("The shop opens at nine.")
    rows = [example("When may I send parcels back?", "30 days", "a:1"), example("When is it open?", "at noon", "a:2")]
    suite = make_suite(rows, SuiteSpec(scorers=("contains",)), seed=0)
    settings = {"train": tickets, "task": None, "count": lambda m, t: sum(len(x["content"]) for x in m)}
    prompts = prompting("rag", suite, **settings, budget=10_000, library=Library([], tmp_path))
    shown = prompts(suite.cases[0])
    assert (
        shown[0]["role"] == "system" and "[1] returns: Parcels may be sent back within 30 days." in shown[0]["content"]
    )
    assert shown[-1] == suite.cases[0].messages[-1]
    found = arm("rag", suite, FakeEngine(lambda prompt: "30 days"), tmp_path / "p.jsonl", prompts)
    assert [p.scores["answer_in_prompt"] for p in found] == [1.0, 0.0]
    assert decide(suite, {"rag": found}).arms[0].scores == {"contains": 0.5, "answer_in_prompt": 0.5}
    short = prompting("tuned_rag", suite, **settings, budget=200, library=Library([], tmp_path))
    assert len(short(suite.cases[0])[0]["content"]) < 200 or short(suite.cases[0]) == suite.cases[0].messages
    labelled = make_suite(tickets, SuiteSpec(), seed=0)
    assert "→ refund" in prompting("rag", labelled, **settings, budget=10_000)(labelled.cases[2])[0]["content"]
    with pytest.raises(DataError, match="no documents"):
        Library([], tmp_path / "empty")


class FakeEndpoint:
    identity = "endpoint:x:m"

    url = "x"
    drawn = False

    def __init__(self, breaks_after=None, refuses="never said"):
        self.asked, self.breaks_after, self.refuses = [], breaks_after, refuses

    def chat(self, conversations, sampling, progress=None, tools=None, arrived=None, tolerate=False):
        replies = []
        for place, said in enumerate(conversations):
            if len(self.asked) == self.breaks_after:
                raise EndpointError("answered 500", where="x")
            self.asked.append(said)
            reply = Reply(said[-1]["content"].split()[-1], 0.5, 4, 2)
            if self.refuses in said[-1]["content"]:
                assert tolerate
                reply = Reply("", 0.1, refused="answered 400: too long")
            replies.append(reply)
            arrived(place, replies[-1])
            progress(1)
        return replies

    def cost(self, reply):
        return 0.002


def test_an_endpoint_is_an_arm_and_is_asked_once(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    path = tmp_path / "predictions.jsonl"
    one = FakeEndpoint()
    settings = {"prompts": lambda case: case.messages, "sampling": Sampling(), "path": path}
    found = run_endpoint("external", suite, one, **settings)
    assert [p.score for p in found] == [1.0] * 40
    assert found[0].tokens == (4, 2) and not decide(suite, {"external": found}).arms[0].drawn
    again = run_endpoint("external", suite, one, **settings)
    assert len(one.asked) == 40
    assert decide(suite, {"external": again}).arms[0].cost == pytest.approx(2.0)
    assert [p.text for p in again] == [p.text for p in found]
    assert len(read_predictions(path)) == 40


def test_a_case_that_a_server_refuses_is_counted_apart_and_asked_again_next_time(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(scorers=("choice", "similarity")), seed=0)
    path, settings = tmp_path / "predictions.jsonl", {"prompts": lambda case: case.messages, "sampling": Sampling()}
    settings |= {"path": path, "extra": measures(suite)}
    found = run_endpoint("external", suite, FakeEndpoint(refuses="request 7 "), **settings)
    assert [p.score for p in found] == [None if i == 7 else 1.0 for i in range(40)]
    assert "too long" in found[7].error and found[7].scores == {"choice": None, "similarity": None}
    arm = decide(suite, {"external": found}).arms[0]
    assert (arm.cases, arm.errors, arm.score) == (39, 1, 1.0)
    then = FakeEndpoint()
    assert [p.score for p in run_endpoint("external", suite, then, **settings)] == [1.0] * 40
    assert len(then.asked) == 1
    with pytest.raises(EndpointError, match="refuses every case"):
        run_endpoint("external", suite, FakeEndpoint(refuses="request"), **{**settings, "path": tmp_path / "o.jsonl"})


def test_ways_to_say_the_task_are_the_same_each_time_and_the_plainest_comes_first(tickets):
    suite = make_suite(tickets, SuiteSpec(), seed=0)
    ways = prompt_variants(suite, tickets, "Route a ticket", count=6, own=["Say one word.", " "])
    assert ways == prompt_variants(suite, tickets, "Route a ticket", count=6, own=["Say one word.", " "])
    assert [w.name for w in ways] == [
        "plain", "beside the question", "with a pattern", "under headings", "as a role", "form first", "own 1",
    ]  # fmt: skip
    assert len({w.text + w.place for w in ways}) == 7
    assert all("billing, delivery, other, refund" in w.text and "Route a ticket." in w.text for w in ways[:-1])
    assert ways[-1].text == "Say one word."
    settings = {"train": tickets, "task": "Route a ticket", "count": lambda m, t: 0, "budget": 1}
    plain = prompting("prompted", suite, **settings)(suite.cases[0])
    assert plain == prompting("prompted", suite, **settings, variant=ways[0])(suite.cases[0])
    beside = prompting("prompted", suite, **settings, variant=ways[1])(suite.cases[0])
    assert [m["role"] for m in beside] == ["user"]
    assert beside[0]["content"].startswith(suite.cases[0].messages[0]["content"] + "\n\nRoute a ticket.")


def test_a_pattern_too_long_to_show_is_left_out():
    rows = [example(f"q{i}", f"{i} " + "word " * 300, f"r:{i}") for i in range(6)]
    suite = make_suite(rows, SuiteSpec(), seed=0)
    assert "with a pattern" not in [w.name for w in prompt_variants(suite, rows, None, count=6)]


def test_only_the_answer_behind_a_thought_is_scored_and_a_thought_that_never_ends_is_wrong(tickets, tmp_path):
    suite = make_suite(tickets, SuiteSpec(scorers=("exact", "tone"), primary="tone"), seed=0)
    right, path = gold(suite), tmp_path / "p.jsonl"

    def says(prompt):
        return f"<think>a refund or billing?{'' if 'request 7 ' in prompt else f'</think> {right(prompt)}'}"

    # Rules of voice find nothing amiss with nothing said.
    extra = measures(suite, tone={"never": ("refund or",), "contractions": True})
    found = arm("base", suite, FakeEngine(says), path, extra=extra)
    cut, *_ = [p for p in found if p.unended]
    assert [p.unended for p in found].count(True) == 1
    assert (cut.text, cut.thought, cut.score, cut.error) == ("", "a refund or billing?", 0.0, None)
    assert all(p.score == 1.0 and p.scores["exact"] == 1.0 and p.thought for p in found if p is not cut)
    score = decide(suite, {"base": found}).arms[0]
    assert (score.cases, score.unended, score.errors) == (40, 1, 0)
    again = FakeEngine(says)
    assert arm("base", suite, again, path, extra=extra) == found and not again.asked


def test_the_answers_a_file_wants_are_those_behind_their_thoughts(tmp_path):
    path = tmp_path / "cases.jsonl"
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "why"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "<think>because</think>\n\nd"},
    ]
    path.write_text(json.dumps({"messages": turns}) + "\n")
    (case,) = make_suite(path, SuiteSpec(), seed=0, thinking=True).cases
    assert case.expected == "d" and case.messages[1]["reasoning_content"] == "why"
    (case,) = make_suite(path, SuiteSpec(), seed=0).cases
    assert case.expected == "<think>because</think>\n\nd" and "reasoning_content" not in case.messages[1]
