"""What the journey has at hand: the recipe, the loaded base, the audited data, the suite. Loaded once, when needed."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch

from tunewright import models
from tunewright.data import Audit, audit, fix
from tunewright.data import versions as dataset_versions
from tunewright.engine import Embedder, Sampling, TorchEngine
from tunewright.errors import DataError, Interrupted, RecipeError, RenderError
from tunewright.evaluate import make_suite
from tunewright.export import without_passwords
from tunewright.joins import starting, tuned
from tunewright.joins.questions import questions_of
from tunewright.joins.remembered import key_of, remembered
from tunewright.joins.splits import data_of, drawn, held_and_rest, rows_of
from tunewright.joins.telling import Silent, Teller
from tunewright.licences import Stated
from tunewright.plan import resolve
from tunewright.project import RECIPE, ProjectFolder, RunFolder
from tunewright.recipe import Recipe
from tunewright.records import Example, Message, Rendered, RunRecord, Suite, TokenFacts
from tunewright.render import Renderer
from tunewright.store import write_json
from tunewright.train import Ranks

_SAMPLE = 500
Made = TypeVar("Made")
_LONGEST_ANSWER = 1024


@dataclass
class Project:
    """A recipe in its folder. `allow` passes gates by name, with the reason; `should_stop` is asked at safe places.

    `bare`: there is no recipe file, only data files to be checked; with `count_tokens` off no base is needed for it.
    `fold` (from 1) is held out: its rows are the test split, all others train. 0: nothing is, and all rows train.
    `overrides`: settings given beside the recipe's file, as `key=value`; `recipe` and `given` have them in them.
    `begun`: the run that was begun or is gone on with, so that whoever stops it is told how it goes on.
    """

    folder: ProjectFolder
    recipe: Recipe
    given: dict[str, Any]
    allow: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    tell: Teller = field(default_factory=Silent)
    should_stop: Callable[[], bool] = lambda: False
    bare: bool = False
    count_tokens: bool = True
    fold: int = 0
    overrides: tuple[str, ...] = ()
    begun: RunFolder | None = None
    _tuned: TorchEngine | None = field(default=None, init=False, repr=False)

    @cached_property
    def ranks(self) -> Ranks:
        """The processes started together with this one; nearly always it is alone."""
        return Ranks.join()

    @cached_property
    def device(self) -> str:
        self.ranks  # noqa: B018 – with several processes on several GPUs, this gives each its own
        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def base(self) -> models.Base:
        """The base that is tuned, as `loaded` gives it, never changed: adapters are put on a `fresh` one."""
        return self.loaded()

    @property
    def title(self) -> str:
        """What pages and the first line call it: its task, or else its folder."""
        return (self.recipe.task or self.folder.root.name).rstrip(".")

    def pieces(self, text: str) -> int:
        """Tokens of a plain text."""
        return len(self.base.tokenizer(text, add_special_tokens=False)["input_ids"])

    @cached_property
    def licence(self) -> Stated:
        """What is said of the base's licence."""
        return models.licence_of(self.recipe.model, self.folder.root)

    @cached_property
    def untuned(self) -> models.Base:
        """The base that untuned arms ask: whole, as it is published, also where the tuned one is in 4 bits.

        A rival that lost accuracy to 4 bits would be too easy to beat. Only where memory cannot hold it whole, they ask
        the one in 4 bits.
        """
        if self.base.quantisation is None or not models.quantised.fits_beside(self.base.model, self.base.dtype):
            return self.base
        return models.load(self.recipe.model, root=self.folder.root, dtype=self._dtype, device=self.device)

    @property
    def machine_words(self) -> str:
        """What computes: where threads or whoever started us leave cores out, only those that are used count."""
        if self.device == "cuda":
            return "one GPU"
        cores, used = psutil.cpu_count() or 1, torch.get_num_threads()
        words = f"{cores} CPU core{'s' if cores > 1 else ''}"
        return words if used >= cores else f"{used} of {words}"

    @property
    def _dtype(self) -> str:
        """What a base that is not changed is held in, but what of it is in 4 bits."""
        return "float32" if self.recipe.train.precision == "float32" else "auto"

    def loaded(self, dtype: str | None = None) -> models.Base:
        """The base that is tuned, from its files.

        Weights that learn are held in float32, others as published where a GPU computes in that (or in `dtype`).
        """
        method = self.recipe.train.method
        kept = dtype or ("float32" if method == "full" else self._dtype)
        packed = method == "qlora"
        return models.load(self.recipe.model, root=self.folder.root, dtype=kept, device=self.device, in_4_bits=packed)

    def fresh(self) -> models.Base:
        """The base to tune or to put an adapter on: with weights of its own only where they will change."""
        return self.loaded() if self.recipe.train.method == "full" else self.base.twin()

    @cached_property
    def renderer(self) -> Renderer:
        thinking = self.recipe.model.thinking
        return Renderer(self.base.tokenizer, self.base.stops, self.base.known, thinking=thinking)

    @cached_property
    def audit(self) -> Audit:
        """The audit of the recipe's data; the same files and settings give the same dataset version."""
        recipe, root, counted = self.recipe, self.folder.root, self.count_tokens
        base = (self.base.sha256, self.renderer.fingerprint, recipe.train.max_length, self.licence) if counted else ()
        key = key_of(recipe, root, questions_of(recipe, root), sorted(self.allow.items()), base)
        make = lambda: _counted(self, lambda options: audit(data_of(recipe), **options))  # noqa: E731
        return remembered(self.folder.store, key, make)

    def fixed(self, accept: Sequence[str]) -> dataset_versions.Fix:
        """The data with fixes accepted, by the codes of findings: the version before, the one after, what differs."""
        return _counted(self, lambda options: fix(data_of(self.recipe), accept, **options))

    @property
    def folds(self) -> int:
        """How many parts of the rows are held out one after the other; 0: one split."""
        return len(self.audit.dataset.folds)

    def examples(self, split: str) -> list[Example]:
        """The rows of a split."""
        return rows_of(self.audit.path, self.audit.dataset, split, self.fold)

    @cached_property
    def train_examples(self) -> list[Example]:
        return self.examples("train")

    @property
    def sample(self) -> list[Example]:
        """Some hundred rows that train, evenly taken, to tell from what cannot be asked of all."""
        return self.train_examples[:: max(1, len(self.train_examples) // _SAMPLE)]

    @cached_property
    def cases(self) -> int:
        """How many cases can decide; 0 where no row is held out and no file of cases is named."""
        named = self.recipe.suite.source != "test"
        return len(self.suite.cases) if named or self.folds or self.audit.dataset.splits["test"] else 0

    @cached_property
    def suite(self) -> Suite:
        """The cases that decide."""
        spec, data = self.recipe.suite, self.recipe.data
        options: dict[str, Any] = {"seed": data.split.seed, "output": data.output, "said": self._learnt}
        if self.folds:
            held, rest = held_and_rest(self.train_examples)
            return make_suite(held, spec, known=rest, **options)
        leaks = [f for f in self.audit.findings if f.code == "leak_near"]
        near = {row for leak in leaks for row in leak.evidence["test_rows"]}
        if spec.source != "test":
            path, thinking = self.folder.root / spec.source, self.recipe.model.thinking
            return make_suite(
                path, spec, known=self.train_examples, near=near, system=data.system, thinking=thinking, **options
            )
        return make_suite(self.examples("test"), spec, known=self.train_examples, near=near, **options)

    def _learnt(self, example: Example) -> str:
        """What the base says that has learnt the row, as it is read."""
        row = self.renderer.render(example)
        return self.renderer.decode(row.ids[row.prompt_length :])

    def rendered(self, split: str, most: int | None = None) -> list[Rendered]:
        """The rows of a split as token ids with loss weights, all or at most so many, drawn by the split's seed.

        The audit has set aside those that cannot be rendered.
        """
        rows = self.examples(split)
        rows = rows if most is None else drawn(rows, most, self.recipe.data.split.seed)
        return [self.renderer.render(e, self.recipe.train.max_length) for e in rows]

    def engine(self, model: Any, identity: str) -> TorchEngine:
        renderer = self.renderer
        return TorchEngine(
            model,
            stop_ids=renderer.stop_ids,
            pad_id=renderer.pad_id,
            identity=identity,
            tokenizer=self.base.tokenizer if self.recipe.suite.json_schema else None,
        )

    @cached_property
    def base_engine(self) -> TorchEngine:
        """The base as it answers; one for all stages, for an engine finds out at first use what it may share."""
        return self.engine(self.base.model, tuned.identity(self.base, None))

    @cached_property
    def untuned_engine(self) -> TorchEngine:
        """What answers for the untuned arms."""
        whole = self.untuned
        return self.base_engine if whole is self.base else self.engine(whole.model, tuned.identity(whole, None))

    def forget_untuned(self) -> None:
        """Give back the memory of a base that only the untuned arms ask; it is loaded again when they do."""
        for name in ("untuned", "untuned_engine"):
            self.__dict__.pop(name, None)

    def tuned_engine(self, weights: Path) -> TorchEngine:
        """The model tuned in a run as it answers. The last one asked for is kept: several stages ask the same."""
        who = tuned.identity(self.base, weights)
        if self._tuned is None or self._tuned.identity != who:
            self._tuned = self.engine(tuned.load(weights, self.base, self.fresh, self.device), who)
        return self._tuned

    @property
    def context(self) -> int:
        """How many tokens the base can tell apart by place."""
        return int(getattr(self.base.config.get_text_config(), "max_position_embeddings", 0) or 1 << 20)

    @cached_property
    def sampling(self) -> Sampling:
        """How suites are answered: greedily, as long as training answers are, held to a schema where one is named."""
        held = self.schema if self.recipe.suite.constrain else None
        return Sampling(max_new_tokens=self.recipe.suite.max_tokens or self.longest_answer, schema=held)

    @cached_property
    def schema(self) -> str | None:
        """The recipe's JSON schema, as text in one form."""
        return _schema(self)

    def render_prompt(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """Prompt ids of turns as suites hold them."""
        return self.renderer.prompt(list(map(Message.from_dict, messages)), tools)

    def command(self, name: str, *more: str) -> str:
        """What to type for command `name` on this project from where we are; `more` are settings given beside it."""
        folder, here = self.folder, Path.cwd()
        meant = folder.root if folder.name == RECIPE else folder.recipe
        where = "" if meant == here else str(meant.relative_to(here)) if meant.is_relative_to(here) else str(meant)
        sets = (f"--set {shlex.quote(setting)}" for setting in more)
        return " ".join(["tunewright", name, *([shlex.quote(where)] if where else []), *sets])

    def going_on(self, name: str = "run") -> str:
        """What to type to go on with the run that was begun; `name` is `run` or `train`."""
        which = f" --run {self.begun.id}" if self.begun else ""
        return f"{self.command(name)} --resume{which}"

    def progress(self, name: str, done: int, total: int | None, note: str = "") -> None:
        """Tell how far a stage is; this is also a place where it may stop."""
        if self.should_stop():
            # Before a run has begun there is nothing to resume: only who gave the command can say it again.
            remedy = f"Go on with: {self.going_on()}" if self.begun else ""
            raise Interrupted(f"stopped in stage `{name}`; what was done is kept.", remedy=remedy)
        self.tell.progress(name, done, total, note)

    @cached_property
    def precision(self) -> str:
        """What this machine computes this base fastest in."""
        # A base that is held in bfloat16 is on a GPU that has it.
        held = self.base.dtype is torch.bfloat16
        return "bfloat16" if held else models.probe.precision(self.base.model, self.device)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The training settings with nothing left open."""
        found = resolve(
            self.recipe.train,
            rows=self.audit.dataset.splits["train"] + self.audit.dataset.splits.get("rehearsal", 0),
            parameters=self.base.parameters,
            precision=self.precision,
        )
        name = self.recipe.train.init_from
        if name is not None:
            found |= starting.start(name, self.folder, self.base, found, self.held())
        return {**found, "folds": self.folds} if self.folds else found

    def held(self) -> Iterator[tuple[Message, ...]]:
        """The conversations that choose and judge."""
        for case in self.suite.cases if self.cases else ():
            yield tuple(map(Message.from_dict, case.messages))
        yield from (example.prompt for example in self.examples("validation"))

    @cached_property
    def longest_answer(self) -> int:
        """Tokens an answer may have: what nearly all training answers need, and a quarter more."""
        sizes = sorted(len(r.ids) - r.prompt_length for r in map(self.renderer.render, self.sample))
        # Thoughts may take all that a row has room for.
        most = max(_LONGEST_ANSWER, self.recipe.train.max_length) if self.recipe.model.thinking else _LONGEST_ANSWER
        return min(most, math.ceil(1.25 * sizes[int(0.99 * (len(sizes) - 1))]) + 4)


def _schema(project: Project) -> str | None:
    name = project.recipe.suite.json_schema
    if name is None:
        return None
    path = project.folder.root / name
    try:
        return json.dumps(json.loads(path.read_text(encoding="utf-8")), sort_keys=False)
    except FileNotFoundError:
        raise RecipeError("there is no such file.", where=f"suite.json_schema: {name}") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot be read as JSON: {error}", where=f"suite.json_schema: {name}") from None


def embedder(project: Project, name: str) -> Embedder:
    """What makes vectors of texts: the base's pooled states for `base`, else the embedding model of that name."""
    if name == "base":
        return Embedder(project.base.model, project.base.tokenizer, identity=project.base_engine.identity)
    model, tokenizer, first = models.load_encoder(name, root=project.folder.root, device=project.device)
    return Embedder(model, tokenizer, identity=name, first=first)


def _counted(project: Project, make: Callable[[dict[str, Any]], Made]) -> Made:
    """What `make` makes with the options of an audit, tokens counted by the project's renderer."""
    refused: list[RenderError] = []

    def tokens(example: Example) -> TokenFacts:
        try:
            return project.renderer.facts(example, project.recipe.train.max_length)
        except RenderError as error:
            refused.append(error)
            return TokenFacts(0, refused=error.message.splitlines()[0])

    try:
        return make(
            {
                "root": project.folder.root,
                "store": project.folder.store,
                "tokens": tokens if project.count_tokens else None,
                "pieces": project.pieces if project.count_tokens else None,
                "gates": project.recipe.gates,
                "allow": project.allow,
                "use": project.recipe.use,
                "base": project.licence if project.count_tokens else None,
                "embed": embedder(project, project.recipe.data.embedding)
                if project.recipe.data.embedding != "words"
                else None,
                "thinking": project.recipe.model.thinking,
                "asked": questions_of(project.recipe, project.folder.root),
                "progress": lambda what, done, total: project.progress("data", done, total, what),
            }
        )
    except DataError as error:
        if refused:  # the data may be fine and the template not
            raise refused[0] from error
        raise


def begin_run(project: Project) -> RunFolder:
    """A new run with its record: what was asked, what it resolved to, and everything needed to do it again."""
    folder = project.folder.new_run()
    record = RunRecord(
        id=folder.id,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        recipe=without_passwords(project.given),
        overrides=project.overrides,
        allow=dict(project.allow),
        strict=project.strict,
        resolved=project.resolved,
        dataset=project.audit.dataset.id,
        base=project.base.name,
        base_sha256=project.base.sha256,
        renderer=project.renderer.fingerprint,
        versions=tuned.versions(),
        quantisation=project.base.quantisation,
    )
    write_json(folder.record, record.model_dump(mode="json"))
    project.begun = folder
    return folder
