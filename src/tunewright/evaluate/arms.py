"""Arms answer the cases. Predictions are kept as they come, keyed by all that made them, so nothing is made twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tunewright.engine import Endpoint, Engine, Reply, Sampling
from tunewright.errors import EndpointError
from tunewright.evaluate.calls import in_our_form
from tunewright.evaluate.classifier import Classifier
from tunewright.evaluate.measures import Asked, Measure, measured
from tunewright.evaluate.prompts import Prompts, answer_shown, as_given
from tunewright.evaluate.retrieval import question
from tunewright.evaluate.scorers import expected_text, score_all
from tunewright.records import Case, Example, Generation, Prediction, Suite
from tunewright.store import append_line, digest, read_lines, write_text
from tunewright.thoughts import Said

Render = Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], Sequence[int]]
Read = Callable[[Sequence[int]], Said]
Progress = Callable[[int, int], None]

# Cases put to the engine at once: many enough to batch well, few enough to lose little when stopped.
CHUNK = 256
# Arms that look something up for each case, and the name under which it is told whether that held the answer.
LOOKING_UP = ("few_shot", "rag", "tuned_rag")
RECALL = "answer_in_prompt"


def prediction_key(engine: Engine | Endpoint, template: str, sampling: Sampling, prompt_ids: Sequence[int]) -> str:
    """Hash of all that makes an answer: weights and adapter, template, sampling, and the prompt's tokens."""
    return digest(engine.identity, template, sampling.key(), ",".join(map(str, prompt_ids)))


def run_arm(
    name: str,
    suite: Suite,
    engine: Engine | Endpoint,
    *,
    prompts: Prompts = as_given,
    render_prompt: Render,
    said: Read,
    template: str,
    sampling: Sampling,
    path: Path,
    progress: Progress | None = None,
    extra: Mapping[str, Measure] = {},
    also: Sequence[Path] = (),
) -> list[Prediction]:
    """Answer every case of the suite as arm `name` and score the answers, in the suite's order.

    `prompts` makes a case's messages (else they stay as given), `render_prompt(messages, tools)` their token ids,
    `said(ids)` what output ids without the stop token say, a thought apart; `template` is the renderer's fingerprint.
    Predictions are appended to `path` as they are made; answers already there or in `also` under the same key (by any
    arm) are taken over, scored anew. At the end `path` holds one line per case of this arm. `progress(done, total)` is
    told as cases finish. `extra` measures what needs more than an answer. An endpoint is sent the messages; its
    template is its own. Cases too long are counted apart (all: `ModelError`).
    """
    if isinstance(engine, Endpoint):
        return run_endpoint(
            name, suite, engine, prompts, sampling=sampling, path=path, progress=progress, extra=extra, also=also
        )
    asked = [prompts(case) for case in suite.cases]
    rendered = [list(render_prompt(m, case.tools)) for m, case in zip(asked, suite.cases, strict=True)]
    keys = [prediction_key(engine, template, sampling, ids) for ids in rendered]
    done = _known(name, suite, keys, path, also)
    _tell(progress, len(done), len(suite.cases))

    def keep(place: int, answer: Generation) -> None:
        made = _prediction(name, suite.cases[place], rendered[place], answer, said, keys[place])
        done[place] = rescored(suite, suite.cases[place], made)
        append_line(path, done[place].model_dump(mode="json"))

    missing = {place: ids for place, ids in enumerate(rendered) if place not in done}
    beyond = {p: _too_long(name, suite, p, ids, engine) for p, ids in missing.items() if len(ids) >= engine.positions}
    if len(beyond) < len(keys):  # else it is no matter of single cases, and the engine says so
        missing = {place: ids for place, ids in missing.items() if place not in beyond}
    _generate(engine, missing, sampling, keep, lambda: _tell(progress, len(done) + len(beyond), len(suite.cases)))
    found = _measured(suite, [{**beyond, **done}[place] for place in range(len(keys))], asked, extra)
    found = [beyond.get(place, _answered(row)) for place, row in enumerate(found)]
    found = _with_lookups(name, suite, found, asked)
    _settle(path, name, found)
    return found


def _too_long(name: str, suite: Suite, place: int, prompt: Sequence[int], engine: Engine) -> Prediction:
    """A case that the model has no room to answer: no score, and no key to be found again by (K18)."""
    none: dict[str, float | None] = dict.fromkeys(suite.scorers)
    why = f"the prompt has {len(prompt)} tokens, the model {engine.positions} positions"
    return Prediction(case=suite.cases[place].id, arm=name, text="", score=None, seconds=0.0, scores=none, error=why)


def _generate(
    engine: Engine,
    prompts: Mapping[int, Sequence[int]],
    sampling: Sampling,
    keep: Callable[[int, Generation], None],
    tell: Callable[[], None],
) -> None:
    """Answer prompts by place. Each answer is kept as it comes: whoever stops between two batches loses neither."""
    places = list(prompts)
    for at in range(0, len(places), CHUNK):
        chunk = places[at : at + CHUNK]
        arrived = partial(lambda chunk, number, answer: keep(chunk[number], answer), chunk)
        engine.generate([prompts[place] for place in chunk], sampling, lambda _: tell(), arrived)


def run_endpoint(
    name: str,
    suite: Suite,
    endpoint: Endpoint,
    prompts: Prompts,
    *,
    sampling: Sampling,
    path: Path,
    progress: Progress | None = None,
    extra: Mapping[str, Measure] = {},
    also: Sequence[Path] = (),
) -> list[Prediction]:
    """Like `run_arm` for a server that takes messages; predictions carry what each request cost.

    Every reply is kept as it arrives, for it is paid for. There are no token ids to keep, so the key is made of the
    server, the model's name, the messages and the sampling. A case that the server refuses for what it says (too long,
    filtered) is counted apart. Raises `EndpointError`, also where it refuses every case.
    """
    conversations = [prompts(case) for case in suite.cases]
    said = [json.dumps([c, case.tools], sort_keys=True) for c, case in zip(conversations, suite.cases, strict=True)]
    keys = [digest(endpoint.identity, sampling.key(), one) for one in said]
    found = {p: _repriced(row, endpoint) for p, row in _known(name, suite, keys, path, also).items()}
    missing = [place for place in range(len(keys)) if place not in found]
    _tell(progress, len(found), len(keys))
    one_at_a_time = threading.Lock()

    def keep(number: int, reply: Reply) -> None:
        place = missing[number]
        with one_at_a_time:
            made = _replied(name, suite, suite.cases[place], reply, endpoint, keys[place])
            found[place] = made
            if made.key:
                append_line(path, made.model_dump(mode="json"))

    endpoint.chat(
        [conversations[p] for p in missing],
        sampling,
        lambda _: _tell(progress, len(found), len(keys)),
        [suite.cases[p].tools for p in missing],
        keep,
        tolerate=True,
    )
    refused = {place: found[place] for place in missing if not found[place].key}
    if len(refused) == len(keys):
        remedy = "Check the model's name and the URL."
        raise EndpointError(f"refuses every case; the first: {refused[0].error}", where=endpoint.url, remedy=remedy)
    ordered = _measured(suite, [found[place] for place in range(len(keys))], conversations, extra)
    ordered = [refused.get(place, row) for place, row in enumerate(ordered)]
    _settle(path, name, ordered)
    return ordered


def _repriced(row: Prediction, endpoint: Endpoint) -> Prediction:
    """An answer kept from before, at today's prices: the recipe may have had none when it was paid for."""
    return row.model_copy(update={"cost": endpoint.cost(Reply("", 0.0, *row.tokens))}) if row.tokens else row


def _replied(name: str, suite: Suite, case: Case, reply: Reply, endpoint: Endpoint, key: str) -> Prediction:
    """A server's reply, scored. A case that it would not answer has no score, and no key to be found again by (K18)."""
    made = Prediction(
        case=case.id,
        arm=name,
        text=reply.text,
        score=None,
        seconds=reply.seconds,
        cost=endpoint.cost(reply),
        tokens=(reply.prompt_tokens, reply.completion_tokens),
        drawn=endpoint.drawn,
    )
    if reply.refused:
        none: dict[str, float | None] = dict.fromkeys(suite.scorers)
        return made.model_copy(update={"scores": none, "error": f"the server {reply.refused}"})
    return rescored(suite, case, made.model_copy(update={"key": key}))


def _measured(
    suite: Suite, rows: list[Prediction], asked: Sequence[Sequence[Mapping[str, Any]]], extra: Mapping[str, Measure]
) -> list[Prediction]:
    told = zip(suite.cases, asked, rows, strict=True)
    return measured(suite, rows, [Asked(case, messages, row.text) for case, messages, row in told], extra)


def _known(name: str, suite: Suite, keys: Sequence[str], path: Path, also: Sequence[Path]) -> dict[int, Prediction]:
    """Answers that `path` or `also` hold under the cases' keys, by place in the suite, scored anew."""
    kept = {p.key: p for other in (*also, path) for p in read_predictions(other)}
    found = {}
    for place, (case, key) in enumerate(zip(suite.cases, keys, strict=True)):
        if key in kept:
            found[place] = rescored(suite, case, kept[key].model_copy(update={"arm": name, "case": case.id}))
    return found


def _with_lookups(
    name: str, suite: Suite, rows: list[Prediction], asked: Sequence[Sequence[Mapping[str, Any]]]
) -> list[Prediction]:
    """The predictions of an arm that looks something up with, beside their scores, whether that held the answer."""
    if name not in LOOKING_UP:
        return rows
    held = [answer_shown(case, messages) for case, messages in zip(suite.cases, asked, strict=True)]
    return [row.model_copy(update={"scores": {**row.scores, RECALL: one}}) for row, one in zip(rows, held, strict=True)]


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _answered(row: Prediction) -> Prediction:
    """The prediction, wrong by every scorer where it only thought: some find nothing amiss with nothing said."""
    return row.model_copy(update={"score": 0.0, "scores": dict.fromkeys(row.scores, 0.0)}) if row.unended else row


def _prediction(
    name: str, case: Case, prompt_ids: Sequence[int], answer: Generation, read: Read, key: str
) -> Prediction:
    words = answer.output_ids[:-1] if answer.stopped else answer.output_ids
    said = read(words)
    return Prediction(
        case=case.id,
        arm=name,
        prompt_ids=tuple(prompt_ids),
        output_ids=answer.output_ids,
        text=said.answer,
        score=None,
        seconds=answer.seconds,
        key=key,
        thought=said.thought,
        unended=not said.ended,
    )


def rescored(suite: Suite, case: Case, prediction: Prediction) -> Prediction:
    """The same answer under the suite's scorers, its tool calls in the form that suites have; generates nothing."""
    text = in_our_form(prediction.text, case.tools) if case.tools else prediction.text
    scores, error = score_all(suite.scorers, text, case, suite.labels)
    made = {"text": text, "score": scores[suite.primary], "scores": scores, "error": error}
    return prediction.model_copy(update=made)


def read_predictions(path: Path) -> list[Prediction]:
    """All predictions of a file; a line that is not one (an older version's) is as if it were not there."""
    if not path.exists():
        return []
    found = []
    for line in read_lines(path):
        try:
            found.append(Prediction.model_validate(line))
        except ValidationError:
            continue
    return found


def _settle(path: Path, name: str, predictions: Sequence[Prediction]) -> None:
    """Leave the other arms' lines and exactly one line per case of this arm."""
    others = [p for p in read_predictions(path) if p.arm != name]
    write_text(path, "".join(p.model_dump_json() + "\n" for p in (*others, *predictions)))


def classify(
    suite: Suite, train: Sequence[Example], *, path: Path, extra: Mapping[str, Measure] = {}
) -> list[Prediction] | None:
    """Answer as the arm `classifier`: TF-IDF and logistic regression from training rows; no model is asked.

    None where the answers are not classes (or training rows hold fewer than two).
    """
    answers = [expected_text(e.answer).strip() for e in train]
    if not suite.labels or len(set(answers)) < 2:
        return None
    model = Classifier([question([m.as_dict() for m in e.prompt]) for e in train], answers)
    began = time.perf_counter()
    texts = model.predict([question(case.messages) for case in suite.cases])
    each = (time.perf_counter() - began) / len(suite.cases)
    found = []
    for case, text in zip(suite.cases, texts, strict=True):
        blank = Prediction(case=case.id, arm="classifier", text=text, score=None, seconds=each)
        found.append(rescored(suite, case, blank))
    found = _measured(suite, found, [case.messages for case in suite.cases], extra)
    _settle(path, "classifier", found)
    return found
