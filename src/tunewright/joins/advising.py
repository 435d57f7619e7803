"""The decision before any training: what the run would take, and whether tuning is the right means at all.

`plan` and `advise` tell the same: what a person says (the recipe's `decide`), what the audit counted, what a run of
this data and suite has measured, and what is estimated of the training. Without data it rests on a person's word alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tunewright import models
from tunewright.errors import RecipeError
from tunewright.joins import hurdles, starting, tuned
from tunewright.joins.sharing import shares, step_work, with_what_dropout_costs
from tunewright.joins.splits import LOSS_ROWS, VALIDATION_CASES
from tunewright.joins.workshop import Project
from tunewright.machine import free_memory
from tunewright.plan import Circumstances, Plan, advise, facts, make_plan
from tunewright.recipe import Recipe, read_spec
from tunewright.records import TUNED, Advice, Evaluation, Example, Footprint, Gate, Rendered, sequences
from tunewright.train import Settings, footprint

# Of the rows that the sample leaves out, the longest decide what memory is needed.
_LONGEST = 16
# Scorers for which a question has one right answer, so that two different ones contradict each other.
_ONE_ANSWER = ("choice", "exact", "normalised", "numeric", "json_fields", "tool_calls", "regex", "sql_rows")
# Tokens of a forward pass where nothing tells how many memory holds: what training takes at most.
_ROOM = 16_384
_NO_ROWS = "rows.jsonl"


@dataclass(frozen=True)
class Decision:
    """The advice, the plan it was made with (None: there are no rows to make one for), and the command to type next."""

    advice: Advice
    plan: Plan | None
    next: str

    def as_dict(self) -> dict[str, Any]:
        """As `advise --json` prints it: the plan's keys, all without a value where nothing could be estimated."""
        unknown = dict.fromkeys(("expected", "low", "high"))
        figures: dict[str, Any] = {
            "fits": None,
            "memory_gb": dict.fromkeys(("total", "low", "high")),
            "heaviest": None,
            "hours": unknown,
            "price": {**unknown, "currency": None},
            "choice": {},
            "rejected": [],
            "serves": [],
        }
        if self.plan is not None:
            figures = self.plan.model_dump(mode="json")
        return {**figures, "advice": self.advice.model_dump(mode="json"), "next": self.next}


def decide(project: Project) -> Decision:
    """Whether to tune on this project's data; a project without a recipe file (`journey.open_files`) will do."""
    with project.tell.stage("advise") as found:
        plan = plan_of(project)
        ran = next(iter(hurdles.measured(project)), None)
        said = f"{project.audit.dataset.ledger.used:,} rows, {project.cases:,} cases"
        found.append(f"{said} · " + (f"measured by run {ran[0].id}" if ran else "nothing measured yet"))
    return Decision(plan.advice, plan, _next(project, plan.advice))


def without_data(overrides: Sequence[str] = (), *, rows: int | None = None) -> Decision:
    """What to do, on a person's word alone: settings of a recipe as `key=value` (`task`, `privacy`, `decide.…`).

    `rows` is how many examples there will be. Raises `RecipeError` for a setting that cannot be.
    """
    given = {"model": "seedling", "data": {"train": [_NO_ROWS]}}
    recipe, given = read_spec(Recipe, given, overrides)
    if rows is not None and rows < 0:
        raise RecipeError("fewer rows than none cannot be expected.", where="--rows")
    known = Circumstances(
        **_told(recipe, given), rows=rows, counted=False, project=False, least_cases=recipe.gates.suite_size
    )
    advice = advise(known)
    told = {
        "tell": 'tunewright advise --task "what goes in, and what should come out"',
        "collect": "tunewright advise FILE",
    }
    return Decision(advice, None, told.get(advice.step, told["collect"]))


def plan_of(project: Project) -> Plan:
    """What will be done, what it needs, and whether to do it at all."""
    sample = project.sample
    rows = [project.renderer.render(e, project.recipe.train.max_length) for e in sample]
    settings = starting.settings_of(project.resolved, project.folder.root)
    free, model = _free_gb(project), tuned.shape_of(project.base, settings)
    counted = _counted(project, settings, sample, rows, 1e9 * free)
    data = _data_facts(project, settings, rows, counted.room if counted else _ROOM)
    rate = models.probe.rate(project.base.model, project.resolved["precision"], project.device)
    machine = facts.Machine(device=project.device, memory_gb=free, rate=rate)
    plan = make_plan(project.resolved, data, model, machine, _circumstances(project), counted)
    return with_what_dropout_costs(plan, rows)


def _data_facts(project: Project, settings: Settings, rows: Sequence[Rendered], room: int) -> facts.DataFacts:
    """What training computes, told from `rows`, all that train or a sample; a forward pass holds `room` tokens."""
    share, splits = shares(project.base.model, settings), project.audit.dataset.splits
    measuring, validated = None, min(splits["validation"], LOSS_ROWS)
    if validated:
        at_once = settings.model_copy(update={"effective_batch_size": validated})
        loss = step_work(rows, at_once, room, share)
        measuring = facts.Measuring(loss, min(validated, VALIDATION_CASES), project.longest_answer)
    return facts.DataFacts(
        train=splits["train"],
        longest=max(len(each.ids) for each in sequences(rows)),
        step=step_work(rows, settings, room, share),
        measuring=measuring,
        folds=project.folds,
    )


def _counted(
    project: Project, settings: Settings, sample: Sequence[Example], rows: list[Rendered], free: float
) -> Footprint | None:
    """What training takes of memory, told from the `sample`, rendered as `rows`, and from the longest of all rows.

    `free` bytes are free for it. None where the base cannot be run without its numbers.
    """
    splits = project.audit.dataset.splits
    seen = set(map(id, sample))
    beside = (example for example in project.train_examples if id(example) not in seen)
    longest = sorted(beside, key=lambda example: -sum(len(turn.content) for turn in example.messages))[:_LONGEST]
    return footprint(
        project.base.model,
        [*rows, *(project.renderer.render(example, project.recipe.train.max_length) for example in longest)],
        settings,
        total=splits["train"] + splits.get("rehearsal", 0),
        free=free,
        cases=min(splits["validation"], VALIDATION_CASES),
        answer=project.longest_answer,
        on_a_gpu=project.device == "cuda",
    )


def _free_gb(project: Project) -> float:
    """Memory that is free where training will take place; the base that is loaded is counted as what training takes."""
    if project.device == "cuda":
        # PyTorch holds on to what earlier stages took, and takes from there first.
        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    else:
        free = free_memory()
    own = project.recipe.train.method == "full"  # weights that change are loaded once more
    return float((free + (0 if own else models.quantised.bytes_of(project.base.model))) / 1e9)


def _told(recipe: Recipe, given: dict[str, Any]) -> dict[str, Any]:
    """What a person says in the recipe."""
    privacy = recipe.privacy if "privacy" in given else None
    return {"task": recipe.task, "privacy": privacy, "enough": recipe.gates.enough, **recipe.decide.model_dump()}


def _circumstances(project: Project) -> Circumstances:
    audit, recipe = project.audit, project.recipe
    dataset, splits = audit.dataset, audit.dataset.splits
    run, evaluation, hurdle = _measured(project)
    held = 0 if recipe.data.test else splits["test"]
    return Circumstances(
        **_told(recipe, project.given),
        rows=splits["train"] + splits["validation"] + held,
        train=splits["train"],
        dataset=dataset.id,
        project=not project.bare,
        shapes=tuple(dict.fromkeys(source.shape for source in dataset.sources)),
        read=dataset.ledger.read,
        set_aside=dataset.ledger.set_aside,
        findings=audit.findings,
        gates=audit.gates,
        cases=project.cases,
        least_cases=recipe.gates.suite_size,
        labels=len(dataset.labels),
        one_answer=bool(dataset.labels) or bool(project.cases and project.suite.primary in _ONE_ANSWER),
        tool_rows=sum(any(m.role == "tool" for m in e.prompt) for e in project.train_examples),
        documents=recipe.rag is not None and recipe.rag.documents is not None,
        measured=evaluation,
        run=run,
        hurdle=hurdle,
    )


def _measured(project: Project) -> tuple[str, Evaluation | None, Gate | None]:
    """The newest experiment on this data, base and suite, one that judged a tuned model first; and its hurdle."""
    found = list(hurdles.measured(project))
    judged = [(run, e) for run, e in found if any(arm.name in TUNED for arm in e.arms)]
    run, evaluation = next(iter([*judged, *found]), (None, None))
    if run is None or evaluation is None:
        return "", None, None
    return run.id, evaluation, hurdles.gate_of(project, (e for _, e in found))


def _next(project: Project, advice: Advice) -> str:
    """The command that the advice leads to."""
    kept = [setting for setting in project.overrides if not setting.startswith("decide.")]
    if project.bare:
        return _begin(project, advice)
    place = project.command("").removeprefix("tunewright").strip()
    method = project.recipe.train.method
    lighter = {"full": "train.method=lora", "lora": "train.method=qlora"}.get(method)
    look = [] if project.recipe.rag else ["arms=[base, few_shot, {rag: {documents: docs/}}]"]
    commands = {
        "measure": project.command("baseline", *kept),
        "look_up": project.command("baseline", *kept, *look),
        "run": project.command("run", *kept),
        "check": project.command("check", *kept),
        "more": project.command("advise", *kept),
        "smaller": project.command("plan", *kept, lighter or "model=A-SMALLER-BASE"),
        "export": f"tunewright export --project {place or '.'}",
        "use": f"tunewright runs --project {place or '.'}",
    }
    return commands[advice.step]


def _begin(project: Project, advice: Advice) -> str:
    """Where there are only files: look at what is wrong with them, or make a project of them."""
    if advice.step in ("check", "more"):
        files, beside = _files(project)
        return shlex.join(["tunewright", "check" if advice.step == "check" else "advise", *files, *beside])
    return beginning(project)


def beginning(project: Project) -> str:
    """The command that makes a project of the files at hand."""
    (files, beside), task, model = _files(project), project.recipe.task, project.recipe.model.id
    words = ["tunewright", "init", "my-project", *(w for file in files for w in ("--data", file)), *beside]
    words += ["--task", task] if task else []
    words += ["--model", model] if model != "seedling" else []
    return shlex.join(words)


def _files(project: Project) -> tuple[list[str], list[str]]:
    """The data files by name, and the flags that go with them: those held out, and the columns."""
    data = project.recipe.data
    # A split of a file given already is found again by itself.
    flags = [("--test", _short(source.path)) for source in data.test if not source.split]
    flags += [(flag, name) for flag, name in (("--input", data.input), ("--output", data.output)) if name]
    return [_short(source.path) for source in data.train], [word for flag in flags for word in flag]


def _short(path: str) -> str:
    here, file = Path.cwd(), Path(path)
    return str(file.relative_to(here)) if file.is_relative_to(here) else path
