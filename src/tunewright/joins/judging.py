"""A judge model's opinion of a run: the recipe's judge asked about two arms' answers, measured against people first."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tunewright import models
from tunewright.engine import Endpoint, Sampling, TorchEngine
from tunewright.errors import RecipeError, RunError
from tunewright.joins import remote
from tunewright.joins.answering import Predictions
from tunewright.joins.tuned import identity
from tunewright.joins.workshop import Project
from tunewright.project import RunFolder
from tunewright.records import Calibration, Gate, JudgeReport, Message
from tunewright.render import Renderer
from tunewright.review import Pair, calibrate, judge_gate, judge_pairs, labelled_pairs
from tunewright.store import append_line, digest, read_lines, write_json


def gates(project: Project, run: RunFolder, predictions: Predictions, against: str) -> tuple[Gate, ...]:
    """The gate `judge`, where the recipe names one and there is a rival to compare with."""
    if project.recipe.judge is None or "tuned" not in predictions or against not in predictions:
        return ()
    return (judge(project, run, predictions, "tuned", against).gate,)


def judge(project: Project, run: RunFolder, predictions: Predictions, first: str, second: str) -> JudgeReport:
    """Ask the recipe's judge which arm answers better, in both orders, and write it into the run.

    Replies are kept in the project, by judge and prompt: asking again sends nothing. Raises `RecipeError` where the
    recipe names no judge or its privacy forbids asking, `RunError` for an arm without answers, `EndpointError`.
    """
    spec = project.recipe.judge
    if spec is None:
        raise RecipeError("names no judge.", where="judge", remedy="judge: {url: …, model: …, labels: pairs.jsonl}")
    for arm in (first, second):
        if arm not in predictions:
            known = ", ".join(predictions) or "none"
            raise RunError(f"no answers of an arm `{arm}` are stored.", where=run.id, remedy=f"Stored arms: {known}.")
    seed = project.recipe.data.split.seed
    with project.tell.stage("judge") as found:
        asked = _Asked(project)
        calibration = _calibration(project, asked, seed)
        mine, theirs = ({p.case: p.text for p in predictions[arm]} for arm in (first, second))
        both = [c for c in project.suite.cases if c.id in mine and c.id in theirs]
        differing = [c for c in both if mine[c.id].strip() != theirs[c.id].strip()]
        drawn = random.Random(seed).sample(differing, min(spec.cases, len(differing)))
        pairs = [Pair(c.question, mine[c.id], theirs[c.id]) for c in drawn]
        judgements = judge_pairs(pairs, asked, spec.rubric)
        sources = project.suite.sources
        together = None if sources is None else [sources[c.id] for c in drawn]
        gate = judge_gate(judgements, calibration, clusters=together, seed=seed)
        found.append(gate.message)
    made = JudgeReport(
        judge=spec.model,
        rubric=spec.rubric,
        first=first,
        second=second,
        alike=len(both) - len(differing),
        wins=sum(j.winner == "first" for j in judgements),
        losses=sum(j.winner == "second" for j in judgements),
        flips=sum(j.flipped for j in judgements),
        unreadable=sum(None in (j.as_given, j.swapped) for j in judgements),
        refused=asked.refused,
        calibration=calibration,
        gate=gate,
        asked=asked.asked,
        reused=asked.reused,
        cost=asked.cost,
        winners={case.id: j.winner for case, j in zip(drawn, judgements, strict=True)},
    )
    write_json(run.judged, made.model_dump(mode="json"))
    return made


def _calibration(project: Project, asked: _Asked, seed: int) -> Calibration | None:
    """The judge against people, where the recipe names pairs that people have judged."""
    spec = project.recipe.judge
    if spec is None or spec.labels is None:
        return None
    pairs = labelled_pairs(project.folder.root / spec.labels)
    if not pairs:
        raise RecipeError("no pair there has a preference.", where=f"judge.labels: {spec.labels}")
    return calibrate(pairs, judge_pairs(pairs, asked, spec.rubric), seed=seed)


class _Asked:
    """The judge as a function from prompts to what it said; keeps every reply and counts what was sent."""

    def __init__(self, project: Project) -> None:
        spec = project.recipe.judge
        assert spec is not None
        self.asked = self.reused = self.refused = 0
        self.cost: float | None = 0.0 if spec.prices or spec.url is None else None
        self._project = project
        self._path: Path = project.folder.store / "judge.jsonl"
        self._sampling = Sampling(max_new_tokens=spec.max_tokens)
        self._who, self._say = (
            _local(project, spec.model, self._sampling) if spec.url is None else _remote(project, self._sampling)
        )

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        known = {row["key"]: row["text"] for row in read_lines(self._path)} if self._path.is_file() else {}
        keys = [digest(self._who, self._sampling.key(), prompt) for prompt in prompts]
        missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
        self.asked += len(prompts)
        self.reused += len(prompts) - len(missing)

        def keep(key: str, text: str, cost: float | None) -> None:
            append_line(self._path, {"key": key, "text": text})
            known[key] = text
            self._pay(cost)

        def done(number: int) -> None:
            self._project.progress("judge", number, len(missing), "both orders")

        refused = self._say(missing, keep, done, self.asked - len(missing))
        self.refused += len(refused)
        for one in refused.values():
            self._pay(one.cost)
        # What it would not judge is a verdict that cannot be read.
        return [known.get(key, "") for key in keys]

    def _pay(self, cost: float | None) -> None:
        if self.cost is not None and cost is not None:
            self.cost += cost


Keep = Callable[[str, str, float | None], None]
# Sees to prompts by key, and hands key, text and cost of each reply on as it is there; gives what was refused. It is
# told whom to tell how far it is, and how many replies were known before.
Say = Callable[[Mapping[str, str], Keep, Callable[[int], None], int], Mapping[str, remote.Refused]]


def _remote(project: Project, sampling: Sampling) -> tuple[str, Say]:
    """A judge behind an OpenAI-compatible server, as far as the recipe's privacy allows."""
    spec = project.recipe.judge
    assert spec is not None
    endpoint: Endpoint = remote.server(spec, privacy=project.recipe.privacy, where="judge")

    def say(
        prompts: Mapping[str, str], keep: Keep, done: Callable[[int], None], known: int
    ) -> Mapping[str, remote.Refused]:
        turns = {key: [{"role": "user", "content": prompt}] for key, prompt in prompts.items()}
        return remote.ask(endpoint, turns, sampling, keep, done, known=known)

    return endpoint.identity, say


def _local(project: Project, model: str, sampling: Sampling) -> tuple[str, Say]:
    """A judge computed on this machine: nothing is sent anywhere."""
    base = models.load(model, root=project.folder.root, dtype="auto", device=project.device)
    renderer = Renderer(base.tokenizer, base.stops, base.known)
    who = identity(base, None)
    engine = TorchEngine(base.model, stop_ids=renderer.stop_ids, pad_id=renderer.pad_id, identity=who)

    def say(
        prompts: Mapping[str, str], keep: Keep, done: Callable[[int], None], known: int
    ) -> Mapping[str, remote.Refused]:
        for batch in remote.batches(prompts, done):
            outputs = engine.generate([renderer.prompt([Message("user", prompts[key])]) for key in batch], sampling)
            for key, output in zip(batch, outputs, strict=True):
                keep(key, renderer.decode(output.output_ids), None)
        return {}

    return f"local:{who}:{renderer.fingerprint}", say
