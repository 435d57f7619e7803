"""Arms answer the cases. Predictions are kept as they come, keyed by all that made them, so nothing is made twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tunewright.engine import Endpoint, Engine, Sampling
from tunewright.evaluate.classifier import Classifier
from tunewright.evaluate.measures import Asked, Measure, measured
from tunewright.evaluate.prompts import Prompts, answer_shown
from tunewright.evaluate.retrieval import question
from tunewright.evaluate.scorers import expected_text, score_all
from tunewright.records import Case, Example, Generation, Prediction, Suite
from tunewright.store import append_line, digest, read_lines, write_text

Render = Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], Sequence[int]]
Decode = Callable[[Sequence[int]], str]
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
    prompts: Prompts,
    render_prompt: Render,
    decode: Decode,
    template: str,
    sampling: Sampling,
    path: Path,
    progress: Progress | None = None,
    extra: Mapping[str, Measure] = {},
) -> list[Prediction]:
    """Answer every case of the suite as arm `name` and score the answers, in the suite's order.

    `prompts` makes a case's messages, `render_prompt(messages, tools)` their token ids, `decode(ids)` text from
    output ids without the stop token; `template` is the renderer's fingerprint. Predictions are appended to `path`
    as they are made; answers already there under the same key (by any arm) are taken from it and only scored anew.
    At the end `path` holds one line per case of this arm. `progress(done, total)` is told as cases finish. `extra` are
    the measures for scorers that need more than an answer.
    An endpoint is sent the messages themselves; its template and tokens are its own.
    """
    if isinstance(engine, Endpoint):
        return run_endpoint(name, suite, engine, prompts, sampling=sampling, path=path, progress=progress, extra=extra)
    asked = [prompts(case) for case in suite.cases]
    rendered = [list(render_prompt(m, case.tools)) for m, case in zip(asked, suite.cases, strict=True)]
    keys = [prediction_key(engine, template, sampling, ids) for ids in rendered]
    done = _known(name, suite, keys, path)
    missing = [place for place in range(len(keys)) if place not in done]
    _tell(progress, len(done), len(suite.cases))
    for at in range(0, len(missing), CHUNK):
        chunk = missing[at : at + CHUNK]
        made = [len(done)]

        def more(n: int, made: list[int] = made) -> None:
            made[0] += n
            _tell(progress, made[0], len(suite.cases))

        answers = engine.generate([rendered[p] for p in chunk], sampling, more)
        for place, answer in zip(chunk, answers, strict=True):
            case = suite.cases[place]
            fresh = _prediction(name, suite, case, rendered[place], answer, decode, engine, keys[place])
            append_line(path, fresh.model_dump(mode="json"))
            done[place] = fresh
    found = _measured(suite, [done[place] for place in range(len(keys))], asked, extra)
    if name in LOOKING_UP:
        found = [_with_lookup(p, c, m) for p, c, m in zip(found, suite.cases, asked, strict=True)]
    _settle(path, name, found)
    return found


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
) -> list[Prediction]:
    """Like `run_arm` for a server that takes messages; predictions carry what each request cost.

    There are no token ids to keep, so the key is made of the server, the model's name, the messages and the sampling.
    """
    conversations = [prompts(case) for case in suite.cases]
    keys = [
        digest(endpoint.identity, sampling.key(), json.dumps([conversation, case.tools], sort_keys=True))
        for conversation, case in zip(conversations, suite.cases, strict=True)
    ]
    found = _known(name, suite, keys, path)
    missing = [place for place in range(len(keys)) if place not in found]
    _tell(progress, len(found), len(keys))
    for at in range(0, len(missing), CHUNK):
        chunk = missing[at : at + CHUNK]
        tools = [suite.cases[p].tools for p in chunk]
        for place, reply in zip(
            chunk, endpoint.chat([conversations[p] for p in chunk], sampling, tools=tools), strict=True
        ):
            case = suite.cases[place]
            blank = Prediction(
                case=case.id,
                arm=name,
                text=reply.text,
                score=None,
                seconds=reply.seconds,
                key=keys[place],
                cost=endpoint.cost(reply),
            )
            found[place] = rescored(suite, case, blank)
            append_line(path, found[place].model_dump(mode="json"))
        _tell(progress, len(found), len(keys))
    ordered = _measured(suite, [found[place] for place in range(len(keys))], conversations, extra)
    _settle(path, name, ordered)
    return ordered


def _measured(
    suite: Suite, rows: list[Prediction], asked: Sequence[Sequence[Mapping[str, Any]]], extra: Mapping[str, Measure]
) -> list[Prediction]:
    told = zip(suite.cases, asked, rows, strict=True)
    return measured(suite, rows, [Asked(case, messages, row.text) for case, messages, row in told], extra)


def _known(name: str, suite: Suite, keys: Sequence[str], path: Path) -> dict[int, Prediction]:
    """Answers that `path` already holds under the cases' keys, by place in the suite, scored anew."""
    kept = {p.key: p for p in _mended(path)}
    found = {}
    for place, (case, key) in enumerate(zip(suite.cases, keys, strict=True)):
        if key in kept:
            found[place] = rescored(suite, case, kept[key].model_copy(update={"arm": name, "case": case.id}))
    return found


def _with_lookup(prediction: Prediction, case: Case, messages: Sequence[Mapping[str, Any]]) -> Prediction:
    """The prediction with, beside its scores, whether what was looked up held the answer."""
    return prediction.model_copy(update={"scores": {**prediction.scores, RECALL: answer_shown(case, messages)}})


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _prediction(
    name: str,
    suite: Suite,
    case: Case,
    prompt_ids: Sequence[int],
    answer: Generation,
    decode: Decode,
    engine: Engine,
    key: str,
) -> Prediction:
    words = answer.output_ids[:-1] if answer.stopped else answer.output_ids
    blank = Prediction(
        case=case.id,
        arm=name,
        prompt_ids=tuple(prompt_ids),
        output_ids=answer.output_ids,
        text=decode(words),
        score=None,
        seconds=answer.seconds,
        key=key,
    )
    return rescored(suite, case, blank)


def rescored(suite: Suite, case: Case, prediction: Prediction) -> Prediction:
    """The same answer under the suite's scorers; generates nothing."""
    scores, error = score_all(suite.scorers, prediction.text, case, suite.labels)
    return prediction.model_copy(update={"score": scores[suite.primary], "scores": scores, "error": error})


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


def _mended(path: Path) -> list[Prediction]:
    """The predictions of a file; a last line that was cut short is taken off, so that appending works."""
    found = read_predictions(path)
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        write_text(path, "".join(p.model_dump_json() + "\n" for p in found))
    return found


def _settle(path: Path, name: str, predictions: Sequence[Prediction]) -> None:
    """Leave the other arms' lines and exactly one line per case of this arm."""
    others = [p for p in read_predictions(path) if p.arm != name]
    write_text(path, "".join(p.model_dump_json() + "\n" for p in (*others, *predictions)))


def classify(
    suite: Suite,
    train: Sequence[Example],
    *,
    path: Path,
    progress: Progress | None = None,
    extra: Mapping[str, Measure] = {},
) -> list[Prediction] | None:
    """Answer as the arm `classifier`: TF-IDF and logistic regression from training rows; no model is asked.

    None where the answers are not classes (or training rows hold fewer than two).
    """
    answers = [expected_text(e.answer.content, e.answer.tool_calls).strip() for e in train]
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
    _tell(progress, len(found), len(found))
    return found
