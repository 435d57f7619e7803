"""The nouns that rooms hand to each other. No behaviour beyond what a reader needs to use them.

Rows in flight are frozen slotted dataclasses (cheap, by the million); what is written to disk or printed as JSON is
a frozen pydantic model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["error", "warning", "info"]
Decision = Literal["ship", "do_not_ship", "cannot_tell"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_calls` are `{"name": str, "arguments": dict}` mappings, in order."""

    role: str
    content: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The turn as chat templates take it (OpenAI's shape for tool calls)."""
        turn: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            turn["tool_calls"] = [{"type": "function", "function": dict(call)} for call in self.tool_calls]
        return turn


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a dataset: a conversation whose final assistant turn is the answer wanted.

    `row` names where it came from (`file:record`, records from 1); `label` is the answer when it is a class label.
    `rewords` is the question that a synthetic row puts in other words: the two stay in one split. `fold` (from 1) is
    the one that the row is not trained on in, 0 where there is none.
    """

    messages: tuple[Message, ...]
    row: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    source: str = ""
    license: str | None = None
    group: str | None = None
    weight: float = 1.0
    synthetic: bool = False
    label: str | None = None
    rewords: str | None = None
    fold: int = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """All turns before the final assistant turn."""
        return self.messages[:-1]

    @property
    def answer(self) -> Message:
        """The final assistant turn."""
        return self.messages[-1]


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Tokens of one example under a model's template: all, supervised, and supervised ones lost by cutting to length.

    `supervised` counts those lost as well.
    """

    total: int
    supervised: int
    lost: int = 0


class Record(BaseModel):
    """Base of everything written to disk: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Finding(Record):
    """Something a check noticed. `count` is defined per code in the docs; `rows` names at most the first 1,000."""

    code: str
    severity: Severity
    count: int
    rows: tuple[str, ...] = ()
    evidence: dict[str, Any] = {}
    message: str
    remedy: str = ""


class Gate(Record):
    """A condition to ship. `ok` None means cannot tell: shown amber, does not block."""

    name: str
    ok: bool | None
    message: str
    allowed_because: str | None = None


class Ledger(Record):
    """Every row read is kept, changed (and used) or set aside for one named reason."""

    read: int
    kept: int
    changed: int = 0
    set_aside: dict[str, int] = {}

    @property
    def used(self) -> int:
        return self.kept + self.changed

    def sums(self) -> bool:
        return self.read == self.kept + self.changed + sum(self.set_aside.values())


class SourceFile(Record):
    """A file the dataset was made from, as it was then."""

    path: str
    sha256: str
    rows: int
    license: str | None = None
    shape: str
    reason: str


class DatasetRecord(Record):
    """An immutable dataset version; `id` is the hash of its rows and their split. `synthetic` counts used rows.

    `folds` are the rows held out in each fold, which are all in the split `train`; empty without folds.
    """

    id: str
    sources: tuple[SourceFile, ...]
    ledger: Ledger
    splits: dict[str, int]
    folds: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    synthetic: int = 0
    tokens: Ledger | None = None
    parent: str | None = None
    note: str = ""


class Case(Record):
    """One question of a suite, with the answer wanted. `slices` are named values to break scores down by.

    Cases of one `group` come from one source (a customer, a document) and are no independent evidence.
    """

    id: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    expected: str
    slices: dict[str, str] = {}
    row: str = ""
    group: str | None = None


class Suite(Record):
    """The cases every arm meets, and how their answers are scored. `labels`: the classes, where answers are classes."""

    id: str
    cases: tuple[Case, ...]
    scorers: tuple[str, ...]
    primary: str
    source: str = ""
    labels: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, str] | None:
        """Case to source, where some cases share one: such cases are resampled and flipped together."""
        named = {c.id: f"case {c.id}" if c.group is None else c.group for c in self.cases}
        return named if len(set(named.values())) < len(named) else None


class Prediction(Record):
    """What one arm answered to one case. `score` is the primary scorer's, None when the scorer itself failed.

    `key` is the hash of all that made the answer: weights, adapter, template, prompt and sampling. `cost` is of this
    one request, None where unknown.
    """

    case: str
    arm: str
    prompt_ids: tuple[int, ...] = ()
    output_ids: tuple[int, ...] = ()
    text: str
    score: float | None
    seconds: float
    scores: dict[str, float | None] = {}
    error: str | None = None
    key: str = ""
    cost: float | None = None


class ArmScore(Record):
    """An arm's mean primary score with its 95 % interval. `seconds` are per case, `cost` per 1,000 requests."""

    name: str
    score: float
    low: float
    high: float
    cases: int
    cost: float | None = None
    seconds: float
    scores: dict[str, float] = {}
    errors: int = 0


class Verdict(Record):
    """The decision and the paired comparison behind it: tuned minus `against`, in score units.

    `detectable` is the smallest true gain that so many cases, spread so, find four times in five.
    """

    decision: Decision
    against: str
    difference: float
    low: float
    high: float
    p: float
    more_cases: int | None = None
    reason: str = ""
    detectable: float | None = None


class SliceScore(Record):
    """Scores of the cases that share one value of a slice."""

    slice: str
    value: str
    cases: int
    tuned: float
    low: float
    high: float
    untuned: float


class Comparison(Record):
    """Tuned minus one untuned arm, paired, with its 95 % interval; p is corrected (Holm) for comparing with several."""

    against: str
    difference: float
    low: float
    high: float
    p: float
    cases: int


class Hurdle(Record):
    """What tuning must beat: the best untuned arm with its 95 % interval, all in score units.

    `min_gain` is what the recipe asks for; `detectable` is about the smallest gain that the cases would show four times
    in five; `left` is what is left to win at most; `enough` is the score with which any means would do, where stated.
    """

    arm: str
    score: float
    low: float
    high: float
    cases: int
    min_gain: float
    detectable: float
    left: float
    enough: float | None = None


class LabelScore(Record):
    """How well one label is told from the others under an arm, and its F1 under the arm it is compared with."""

    label: str
    cases: int
    precision: float
    recall: float
    f1: float
    untuned: float | None = None


class Evaluation(Record):
    """One matched experiment: every arm on the same cases, the decision, the gates, and the slices, worst first.

    With `folds`, each case was answered by one of so many models that had not seen it.
    """

    arms: tuple[ArmScore, ...]
    verdict: Verdict
    gates: tuple[Gate, ...]
    slices: tuple[SliceScore, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    hurdle: Hurdle | None = None
    comparisons: tuple[Comparison, ...] = ()
    folds: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """What an engine produced for one prompt: ids with the stop token where one was met, and wall seconds."""

    output_ids: tuple[int, ...]
    seconds: float
    stopped: bool = True


@dataclass(frozen=True, slots=True)
class Rendered:
    """One example as the model sees it.

    `ids` are token ids; `weights[i]` is the loss weight of predicting `ids[i]` (0 where nothing is supervised; the
    first position is always 0). `prompt_length` is the number of tokens before the final assistant turn's first
    supervised token.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    prompt_length: int
    row: str = ""

    @property
    def supervised(self) -> int:
        return sum(1 for w in self.weights if w > 0)


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One optimiser step, as written to `events.jsonl`."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    examples: int
    supervised_tokens: int
    tokens_per_second: float
    peak_gb: float
    extra: dict[str, Any] = field(default_factory=dict)


class RunRecord(Record):
    """What a training run was asked for and what it resolved to. Status is derived from the files beside it.

    `overrides` were given beside the recipe's file and are in `recipe` too. `quantisation` is the form the base's
    weights were held in; None: as they are in its files.
    """

    id: str
    created: str
    recipe: dict[str, Any]
    overrides: tuple[str, ...] = ()
    resolved: dict[str, Any]
    dataset: str
    base: str
    base_sha256: str
    renderer: str
    versions: dict[str, str]
    quantisation: dict[str, Any] | None = None


class TrainResult(Record):
    """How training ended. Validation figures are None when there was nothing to validate on."""

    run: str
    steps: int
    best_step: int
    loss: dict[str, float | None]
    validation_score: float | None
    trainable_parameters: int
    tokens_per_second: float
    peak_gb: float
    paths: dict[str, str]
    seconds: float = 0.0


class Certificate(Record):
    """Proof that an exported model answers as the trained one did, and not as the base does."""

    ok: bool
    probes: int
    tokens_equal: bool
    logprob_gap: float
    differs_from_base: bool
    suite_score: float | None = None
    suite_score_trained: float | None = None


class Artifact(Record):
    """An exported model: `bytes` and `sha256` are over all its files."""

    artifact: str
    path: str
    bytes: int
    sha256: str
    certificate: Certificate
