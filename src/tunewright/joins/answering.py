"""The arms of a recipe put to its suite: who answers, with which prompt, and where the answers are kept."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tunewright.engine import Endpoint, Engine, Sampling
from tunewright.errors import RecipeError, RenderError, RunError
from tunewright.evaluate import Library, classify, make_suite, measures, prompt_variants, prompting, run_arm, verdict
from tunewright.joins import remote
from tunewright.joins.splits import VALIDATION_CASES
from tunewright.joins.tuned import versions
from tunewright.joins.workshop import Project, embedder
from tunewright.project import RunFolder
from tunewright.records import (
    TUNED,
    Example,
    Message,
    Prediction,
    PromptChoice,
    PromptScore,
    RunRecord,
    Suite,
    arm_label,
)
from tunewright.store import read_json, write_json

Predictions = dict[str, list[Prediction]]


def arm_names(project: Project) -> list[str]:
    """The arms of the recipe, or those that make sense for this data."""
    if project.recipe.arms != "auto":
        named = project.recipe.listed_arms
        # Evaluating a run is about its tuned model, listed or not.
        return named if "tuned" in named else [*named, "tuned"]
    prompted = ["prompted"] if project.recipe.task else []
    classifier = ["classifier"] if project.suite.labels else []
    return ["base", *prompted, "few_shot", *classifier, "tuned"]


def answers(project: Project, run: RunFolder, names: Sequence[str], stage: str) -> Predictions:
    """The arms' answers to the suite. What was answered before, by the same weights to the same prompt, is kept."""
    found: Predictions = {}
    for name in names:
        if name == "classifier":
            measured = made_measures(project, project.suite, None, stage)
            made = classify(project.suite, project.train_examples, path=run.predictions, extra=measured)
            if made is not None:
                found[name] = made
        elif name in TUNED:
            found[name] = answer(project, run, name, project.tuned_engine(run.weights), stage)
        elif name == "external":
            found[name] = _ask_server(project, run, stage)
        else:
            found[name] = answer(project, run, name, project.untuned_engine, stage)
    return found


def answer(project: Project, run: RunFolder, name: str, engine: Engine, stage: str) -> list[Prediction]:
    """What `engine` answers as arm `name` to the suite; answers the run holds already are kept."""
    prompts = prompting(
        name,
        project.suite,
        train=project.train_examples,
        task=project.recipe.task,
        count=lambda messages, tools: len(project.render_prompt(messages, tools)),
        budget=project.context - project.sampling.max_new_tokens,
        shots=project.recipe.few_shot.examples,
        library=_library(project, run) if name in ("rag", "tuned_rag") else None,
        variant=_chosen(project, run, stage) if name == "prompted" else None,
    )
    also = earlier(project, run.predictions)
    return asked(project, name, project.suite, engine, run.predictions, prompts, also, stage=stage)


def asked(
    project: Project,
    name: str,
    suite: Suite,
    engine: Engine | Endpoint,
    path: Path,
    prompts: Any = None,
    also: Sequence[Path] = (),
    *,
    stage: str,
    note: str = "",
    sampling: Sampling | None = None,
) -> list[Prediction]:
    """What `engine` answers to the suite's messages, or to what `prompts` makes of them, kept in `path`.

    Progress is told under `stage`, with `note` or the arm's name. What `also` holds already is taken over. `sampling`
    stands for the project's own.
    """
    local = None if isinstance(engine, Endpoint) else engine
    return run_arm(
        name,
        suite,
        engine,
        prompts=prompts or prompting("base", suite),
        render_prompt=project.render_prompt,
        said=project.renderer.said,
        template=project.renderer.fingerprint,
        sampling=sampling or project.sampling,
        path=path,
        extra=made_measures(project, suite, local, stage),
        progress=lambda done, total: project.progress(stage, done, total, note or arm_label(name)),
        also=also,
    )


def earlier(project: Project, path: Path) -> list[Path]:
    """Where the newest other run of the same base and data keeps what this one keeps in `path`, if there is any.

    An answer is taken over by its key alone, so it is the one that would be made here again.
    """
    runs = project.folder.runs
    if not path.is_relative_to(runs):
        return []
    own, *rest = path.relative_to(runs).parts
    for run in reversed(project.folder.all_runs()):
        kept = run.path.joinpath(*rest)
        if run.id == own or not kept.is_file():
            continue
        with contextlib.suppress(RunError):  # a record that cannot be read says nothing here
            made = read_json(run.record, RunRecord)
            if (made.base_sha256, made.versions) == (project.base.sha256, versions()):
                return [kept]
    return []


def made_measures(project: Project, suite: Suite, engine: Engine | None, stage: str) -> dict[str, Any]:
    """The measures of the suite's scorers that need a schema, rules, vectors, the prompt or the model (`engine`).

    What the model has to read is told under `stage`, and may be stopped between two batches.
    """
    spec = project.recipe.suite
    if not set(suite.scorers) & {"grounded", "json_schema", "tone", "similarity", "perplexity"}:
        return {}
    vectors = "similarity" in suite.scorers and spec.embedding != "words"
    return measures(
        suite,
        schema=project.schema,
        tone=spec.tone.model_dump() if spec.tone else None,
        embed=embedder(project, spec.embedding) if vectors else None,
        likelihood=None if engine is None else lambda asked: _likelihood(project, engine, asked, stage),
    )


def _likelihood(project: Project, engine: Engine, asked: Sequence[Any], stage: str) -> list[list[float] | None]:
    """Log-probabilities of the expected answers behind the arm's messages; None for one that cannot be rendered."""
    found: list[list[float] | None] = [None] * len(asked)
    rows, places = [], []
    for place, (case, messages, _) in enumerate(asked):
        # A suite writes tool calls its own way, and a template writes them in its own: these are no words to score.
        if "<tool_call>" in case.expected or not case.expected.strip():
            continue
        turns = (*map(Message.from_dict, messages), Message("assistant", case.expected))
        try:
            row = project.renderer.render(Example(turns, tools=tuple(case.tools)))
        except RenderError:
            continue
        if len(row.ids) <= project.context:
            rows.append(row)
            places.append(place)
    read: list[int] = []

    def tell(more: int) -> None:
        read.append(more)
        project.progress(stage, sum(read), len(rows), "perplexity")

    scored = engine.logprobs([row.ids for row in rows], [row.prompt_length for row in rows], tell)
    for place, values in zip(places, scored, strict=True):
        found[place] = values
    return found


def _chosen(project: Project, run: RunFolder, stage: str) -> Any:
    """The prompt that is best on validation, where the recipe lists several; kept in the run with every score."""
    spec, task = project.recipe.prompted, project.recipe.task
    count, own = (spec.variants, spec.instructions) if spec else (1, ())
    ways = prompt_variants(project.suite, project.train_examples, task, count=count, own=own)
    if len(ways) == 1 or not (project.fold or project.audit.dataset.splits["validation"]):
        return ways[0]
    suite, answered = validation_suite(project), run.path / "prompts.jsonl"
    scored = []
    for way in ways:
        prompts = prompting("prompted", suite, variant=way)
        engine, also = project.untuned_engine, earlier(project, answered)
        rows = asked(project, f"prompted, {way.name}", suite, engine, answered, prompts, also, stage=stage)
        mean = verdict.decide(suite, {"prompted": rows}).arms[0]
        scored.append(PromptScore(**way._asdict(), score=mean.score, low=mean.low, high=mean.high))
    # Of equals the first, which is the plainest.
    best = max(range(len(ways)), key=lambda place: (scored[place].score, -place))
    choice = PromptChoice(chosen=ways[best].name, cases=len(suite.cases), variants=tuple(scored))
    write_json(run.prompts, choice.model_dump(mode="json"))
    return ways[best]


def _library(project: Project, run: RunFolder) -> Library:
    """Where the recipe's RAG arms look things up; how often each way finds the answer is kept in the run."""
    spec = project.recipe.rag
    if spec is None:
        return Library(project.train_examples)
    documents = project.folder.root / spec.documents if spec.documents else None
    embed = embedder(project, spec.embedding) if spec.retrieval != "bm25" else None
    asked = spec.model_dump(exclude={"documents", "embedding"})
    library = Library(project.train_examples, documents, embed=embed, **asked)
    recalls = [r.model_dump(mode="json") for r in library.recalls(project.suite.cases)]
    write_json(run.recalls, recalls)
    return library


def _ask_server(project: Project, run: RunFolder, stage: str) -> list[Prediction]:
    """The recipe's server, given the prompted arm's messages, as far as the privacy asked for allows.

    Of several prompts it is given the one that went to the suite, unless the recipe wants the plain one: a user who
    wrote instructions expects them to be asked with.
    """
    spec = project.recipe.external
    if spec is None:
        raise RecipeError("the arm `external` needs a server.", where="arms", remedy="{external: {url: …, model: …}}")
    way = _chosen(project, run, stage) if project.recipe.prompted and spec.prompt == "chosen" else None
    endpoint = remote.server(spec, privacy=project.recipe.privacy, where="arms.external")
    task, rows, path = project.recipe.task, project.train_examples, run.predictions
    prompts = prompting("prompted", project.suite, train=rows, task=task, variant=way)
    longest = dataclasses.replace(project.sampling, max_new_tokens=spec.max_tokens or project.sampling.max_new_tokens)
    also = earlier(project, path)
    with remote.keeping():
        return asked(project, "external", project.suite, endpoint, path, prompts, also, stage=stage, sampling=longest)


def validation_suite(project: Project, most: int | Literal["auto"] = VALIDATION_CASES) -> Suite:
    """Cases of the validation split, scored as the suite is: what may be chosen is chosen on these.

    In a fold there is none; a prompt may be chosen on the rows that train there, which no untuned arm has learnt.
    """
    scored = {"scorers": project.suite.scorers, "primary": project.suite.primary} if project.cases else {}
    given = {"cases": most, "slices": (), "source": "test", **scored}
    spec = project.recipe.suite.model_copy(update=given)
    seed = project.recipe.data.split.seed
    rows = [e for e in project.train_examples if not e.synthetic] if project.fold else project.examples("validation")
    return make_suite(rows, spec, seed=seed, known=project.train_examples)
