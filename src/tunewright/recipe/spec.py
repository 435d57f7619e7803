"""What a person may ask for. Every field has a doc line, and something reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from tunewright.recipe.load import read_spec

Auto = Literal["auto"]
Some = Annotated[int, Field(ge=1)]
Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Spec(BaseModel):
    """Base of all settings: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ModelSpec(Spec):
    """A base model by hub id, path, or the embedded `seedling`."""

    id: str = Field(description="Hub id, local path, or `seedling`.")
    revision: str | None = Field(None, description="Commit, tag or branch on the hub.")
    license: str | None = Field(
        None,
        validation_alias=AliasChoices("license", "licence"),
        description="The base's licence, where its card does not say it or yours is another.",
    )


class SourceSpec(Spec):
    """One data file with what is known about it."""

    path: str = Field(description="File, relative to the recipe; or a dataset of the hub, as `hub:org/name`.")
    license: str | None = Field(
        None,
        validation_alias=AliasChoices("license", "licence"),
        description="SPDX id of the rows' licence.",
    )
    query: str | None = Field(None, description="SQL whose rows are read, when `path` is a SQLAlchemy database URL.")
    revision: str | None = Field(None, description="Commit, tag or branch of a `hub:` dataset; the newest by default.")
    config: str | None = Field(None, description="Configuration of a `hub:` dataset that has several.")
    split: str | None = Field(None, description="Split of a `hub:` dataset; `train` by default.")
    weight: float = Field(1.0, gt=0, description="Loss weight of every row of this file.")
    group: str | None = Field(None, description="Column whose equal values must stay in one split.")
    synthetic: bool = Field(False, description="Rows made by a model; kept out of test.")

    @model_validator(mode="after")
    def _only_of_the_hub(self) -> Self:
        if not self.path.startswith("hub:") and (self.revision or self.config or self.split):
            raise ValueError("`revision`, `config` and `split` are for datasets of the hub (`path: hub:org/name`)")
        return self


def _with_sources(value: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """`value` with a path, or a list of paths and sources, under `keys` as sources."""
    value = dict(value)
    for key in keys:
        given = value.get(key)
        if given is not None:
            many = given if isinstance(given, (list, tuple)) else [given]
            value[key] = tuple({"path": str(s)} if isinstance(s, (str, Path)) else s for s in many)
    return value


class SplitSpec(Spec):
    """How rows are divided when no test file is given."""

    test: float = Field(0.1, ge=0, lt=1, description="Share of rows held out for the suite.")
    validation: float = Field(0.1, ge=0, lt=1, description="Share of rows that choose the checkpoint.")
    group: str | None = Field(None, description="Column whose equal values stay in one split.")
    time: str | None = Field(None, description="Column with a date or time: the newest rows are held out.")
    seed: int = Field(0, description="Which of the possible splits.")
    folds: Annotated[int, Field(ge=0, le=100)] | Auto = Field(
        "auto",
        description="Hold out every row once, in so many parts, instead of one split; auto: 5 below 100 rows where "
        "`test` holds fewer than 30, else 0.",
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.test + self.validation >= 1:
            raise ValueError("`test` and `validation` together leave nothing to train on")
        if self.folds == 1:
            raise ValueError("one fold leaves nothing to train on: `folds` is 0, 2 or more, or auto")
        if self.folds not in (0, "auto") and self.time:
            raise ValueError("`folds` would train on rows newer than those held out: it does not go with `time`")
        return self


class RehearsalSpec(Spec):
    """General rows trained along so that less is forgotten; never judged by, never looked up."""

    files: tuple[SourceSpec, ...] = Field(description="Files of general examples: paths, or `{path: …, license: …}`.")
    share: float = Field(0.1, gt=0, lt=1, description="Their share of all rows that train.")

    @model_validator(mode="before")
    @classmethod
    def _paths_become_sources(cls, value: Any) -> Any:
        return _with_sources(value, "files") if isinstance(value, dict) else value


class DataSpec(Spec):
    """Where the examples are and how to read them."""

    train: tuple[SourceSpec, ...] = Field(description="Files with examples: paths, or `{path: …, license: …}`.")
    test: tuple[SourceSpec, ...] = Field((), description="Held-out file, when one is given.")
    requests: tuple[SourceSpec, ...] = Field(
        (), description="What is really asked: a log or list, compared with the train rows and used for nothing else."
    )
    input: str | None = Field(None, description="Column with the question, when it is not recognised.")
    output: str | None = Field(None, description="Column with the answer, when it is not recognised.")
    system: str | None = Field(None, description="System prompt put before every row.")
    normal: Literal["text", "strict"] = Field("text", description="Normal form for comparing rows.")
    embedding: str = Field(
        "words", description="How sameness of meaning is told: `words` (TF-IDF), `base`, or a model's path or id."
    )
    personal: Literal["own", "presidio"] = Field(
        "own", description="What finds personal data: `own` patterns, or presidio's recognisers beside them."
    )
    split: SplitSpec = Field(default_factory=lambda: SplitSpec(), description="How rows are divided.")
    rehearsal: RehearsalSpec | None = Field(None, description="General rows mixed in against forgetting.")
    accept: tuple[str, ...] = Field((), description="Findings whose fix is accepted: rows go, or are redacted.")

    @model_validator(mode="before")
    @classmethod
    def _paths_become_sources(cls, value: Any) -> Any:
        return _with_sources(value, "train", "test", "requests") if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if not self.train:
            raise ValueError("`train` names no file")
        return self


class ToneSpec(Spec):
    """Rules of voice that an answer keeps or not; the scorer `tone` gives the share kept."""

    says: tuple[str, ...] = Field((), description="At least one of these phrases occurs.")
    never: tuple[str, ...] = Field((), description="None of these phrases occurs; each is a rule.")
    most_words: int | None = Field(None, ge=1, description="Words an answer has at most.")
    exclamations: bool = Field(True, description="False: no exclamation mark.")
    emoji: bool = Field(True, description="False: no emoji.")
    contractions: bool = Field(True, description="False: no “don't”, “we'll”.")
    speaks_as: Literal["i", "we", "nobody"] | None = Field(None, description="Who the answer says it is.")


class SuiteSpec(Spec):
    """The cases that decide."""

    source: str = Field("test", description="`test` for the held-out split, or a file of cases.")
    cases: Some | Auto = Field("auto", description="At most this many cases, drawn by the split's seed.")
    scorers: tuple[str, ...] = Field((), description="Scorers; empty: chosen from the answers' form.")
    primary: str | None = Field(None, description="The scorer that decides; the first by default.")
    slices: tuple[str, ...] = Field((), description="Fields of the answer to break scores down by.")
    json_schema: str | None = Field(None, description="JSON schema file that answers are held to, and scored by.")
    constrain: bool = Field(True, description="False: the schema only scores answers, and does not shape them.")
    tone: ToneSpec | None = Field(None, description="The voice wanted, for the scorer `tone`.")
    embedding: str = Field(
        "words", description="What `similarity` compares: words (TF-IDF), the base's states, or a model's path or id."
    )


class TrainSpec(Spec):
    """How to tune. `auto` is resolved by method, model size and number of rows; `tunewright plan` shows to what."""

    method: Literal["lora", "qlora", "full"] = Field(
        "lora", description="LoRA adapter, LoRA adapter on the base in 4 bits, or all weights."
    )
    rank: int = Field(16, ge=1, description="LoRA rank.")
    alpha: float | None = Field(None, gt=0, description="LoRA alpha; twice the rank by default.")
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout.")
    target_modules: str | tuple[str, ...] = Field(
        "all-linear", description="Linear layers that get an adapter: a preset or names."
    )
    effective_batch_size: Some | Auto = Field(
        "auto", description="Examples per optimiser step; auto: 8 for a few hundred rows, 32 for thousands."
    )
    micro_batch_size: Some | Auto = Field("auto", description="Examples per forward pass; never changes a result.")
    max_length: int = Field(2048, ge=8, description="Tokens per example; longer ones are cut, and counted.")
    epochs: Above | Auto = Field("auto", description="Passes over the training rows.")
    learning_rate: Above | Auto = Field("auto", description="Peak learning rate.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of steps in which the rate rises.")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="How the rate falls.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    seed: int = Field(0, description="Order of rows and start of the adapter.")
    checkpoints: int = Field(5, ge=1, description="How often the model is saved and scored in a run.")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="Compute type; auto probes.")
    activation_checkpointing: bool | Auto = Field(
        "auto", description="Compute layers again in the backward pass to save memory; auto: where it is needed."
    )
    dequantise: Literal["auto", "once", "each_pass"] = Field(
        "auto", description="QLoRA: read 4-bit weights back once (faster) or in each pass; auto: once where they fit."
    )


class GateSpec(Spec):
    """What must hold before a model ships."""

    bad_rows: float = Field(0.05, ge=0, le=1, description="Largest share of faulty rows.")
    suite_size: int = Field(30, ge=1, description="Fewest cases that may decide.")
    min_gain: float = Field(0.0, ge=0, le=1, description="Least gain over the best untuned arm.")
    enough: float | None = Field(
        None, gt=0, le=1, description="Score that is good enough: a cheaper arm that surely has it ends the journey."
    )
    worst_slice: float | None = Field(None, ge=0, le=1, description="Least score of any slice.")
    forgetting: float | None = Field(None, ge=0, description="Largest relative rise of perplexity on general text.")
    abilities: float | None = Field(None, ge=0, le=1, description="Largest fall of a score in `trials.abilities`.")
    safety: float | None = Field(
        None, ge=0, le=1, description="Largest shift of refusals the wrong way in `trials.safety`."
    )


class TrialsSpec(Spec):
    """What is tried beyond the suite, base against tuned."""

    abilities: tuple[str, ...] = Field((), description="Files of general sets: GSM8K's or IFEval's JSON lines.")
    elsewhere: str | None = Field(None, description="File of cases of this task from another source than the rows.")
    safety: str | None = Field(None, description="CSV of prompts labelled safe or unsafe, as XSTest; all are asked.")
    cases: int = Field(200, ge=1, description="At most this many cases of each other file, drawn by the split's seed.")


class PromptedSpec(Spec):
    """Several ways to say the task; the best on validation is taken to the suite."""

    variants: int = Field(1, ge=1, le=6, description="How many of our own templates are tried.")
    instructions: tuple[str, ...] = Field((), description="Instructions of your own, tried beside them.")


class PromptedArm(Spec):
    """`{prompted: {variants: 4}}` in the list of arms."""

    name: ClassVar[str] = "prompted"
    prompted: PromptedSpec = Field(description="What is tried as a prompt.")


class RagSpec(Spec):
    """What an arm may look things up in."""

    documents: str | None = Field(None, description="Text file or folder; training rows where none is named.")
    retrieval: Literal["bm25", "dense", "hybrid"] = Field(
        "bm25", description="Passages by their words, by likeness of vectors, or both orders fused."
    )
    embedding: str = Field("base", description="What makes vectors: the base's pooled states, or a model's path or id.")
    passages: int = Field(4, ge=1, description="How many passages are looked up for a case.")
    words: int = Field(120, ge=10, description="Words a passage of a document holds at most.")
    overlap: int = Field(20, ge=0, description="Words that pieces of one long paragraph share.")

    @model_validator(mode="after")
    def _moves_on(self) -> Self:
        if self.overlap >= self.words:
            raise ValueError("`overlap` must be smaller than `words`")
        return self


class RagArm(Spec):
    """`{rag: {documents: …}}` in the list of arms."""

    name: ClassVar[str] = "rag"
    rag: RagSpec = Field(description="Where the arm looks things up.")


class ServerSpec(Spec):
    """A model behind an OpenAI-compatible server."""

    url: str = Field(description="The server's address up to and including `/v1`.")
    model: str = Field(description="The model's name there.")
    key_env: str | None = Field(None, description="Environment variable that holds the key.")
    region: str | None = Field(None, description="Where the server stands, for `privacy: region:…`.")
    prices: tuple[float, float] | None = Field(None, description="Per million prompt and completion tokens.")


class ExternalSpec(ServerSpec):
    """A model behind an OpenAI-compatible server, as a rival."""

    prompt: Literal["chosen", "plain"] = Field(
        "chosen", description="Of several prompts, the one that went to the suite."
    )


class TeacherSpec(ServerSpec):
    """A model behind an OpenAI-compatible server that drafts rows; nothing trains on them before a person's review."""

    temperature: float = Field(0.8, ge=0, le=2, description="How freely it words; 0 repeats itself.")
    examples: int = Field(6, ge=1, le=50, description="Training rows it is shown when it invents rows.")
    license: str | None = Field(
        None,
        validation_alias=AliasChoices("license", "licence"),
        description="What its terms make of its words (SPDX id or name); holds beside the licences of the rows shown.",
    )


class ExternalArm(Spec):
    """`{external: {url: …, model: …}}` in the list of arms."""

    name: ClassVar[str] = "external"
    external: ExternalSpec = Field(description="The server that answers.")


class JudgeSpec(Spec):
    """A model that compares two arms' answers, once it is known how far it agrees with people."""

    model: str = Field(description="Its name at the server; without `url`, a hub id or path run here.")
    url: str | None = Field(None, description="An OpenAI-compatible server's address up to and including `/v1`.")
    key_env: str | None = Field(None, description="Environment variable that holds the key.")
    region: str | None = Field(None, description="Where the server stands, for `privacy: region:…`.")
    prices: tuple[float, float] | None = Field(None, description="Per million prompt and completion tokens.")
    rubric: str = Field(
        "Right before helpful, helpful before well put.", description="What makes one answer better than another."
    )
    labels: str | None = Field(
        None, description="Pairs people have judged (JSON lines), or a folder of filled review sheets."
    )
    cases: int = Field(100, ge=1, description="At most this many cases, drawn by the split's seed.")


ArmName = Literal["base", "prompted", "few_shot", "rag", "classifier", "tuned", "tuned_rag"]


def _kind_of_arm(value: Any) -> str | None:
    """Which kind of arm is meant, so that a mistake inside it is told as that and not as a wrong kind."""
    if isinstance(value, str):
        return "by name"
    keys = value if isinstance(value, dict) else [getattr(value, "name", "")] if isinstance(value, Spec) else []
    return next((f"{key} arm" for key in keys if key in ("prompted", "rag", "external")), None)


Arm = Annotated[
    Annotated[ArmName, Tag("by name")]
    | Annotated[PromptedArm, Tag("prompted arm")]
    | Annotated[RagArm, Tag("rag arm")]
    | Annotated[ExternalArm, Tag("external arm")],
    Discriminator(
        _kind_of_arm,
        custom_error_type="no_arm",
        custom_error_message="an arm is a name, or `prompted`, `rag` or `external` with settings",
    ),
]
Version = Annotated[Literal[1], Field(description="Version of this file's form.")]


class Recipe(Spec):
    """One project: examples of a behaviour, a base model, and what would count as success."""

    version: Version = 1
    model: ModelSpec = Field(description="Hub id, path, `seedling`, or `{id: …, revision: …}`.")
    task: str | None = Field(None, description="The task in a sentence: for people, and for the prompted arm.")
    privacy: str = Field(
        "local",
        pattern=r"^(local|any|region:[a-z-]+)$",
        description="Where your rows may be sent: local, region:eu, any.",
    )
    use: Literal["commercial", "research"] = Field("commercial", description="What the rows' licences must allow.")
    data: DataSpec = Field(description="The examples.")
    suite: SuiteSpec = Field(default_factory=lambda: SuiteSpec(), description="The cases that decide.")
    arms: tuple[Arm, ...] | Auto = Field("auto", description="What is compared on the suite.")
    judge: JudgeSpec | None = Field(None, description="A model as judge; it decides nothing until calibrated.")
    teacher: TeacherSpec | None = Field(None, description="A model that drafts rows, where there are too few.")
    train: TrainSpec = Field(default_factory=lambda: TrainSpec(), description="How to tune.")
    trials: TrialsSpec = Field(default_factory=lambda: TrialsSpec(), description="What is tried beyond the suite.")
    gates: GateSpec = Field(default_factory=lambda: GateSpec(), description="What must hold.")

    @model_validator(mode="before")
    @classmethod
    def _name_becomes_model(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("model"), str):
            value = {**value, "model": {"id": value["model"]}}
        return value

    @property
    def listed_arms(self) -> list[str]:
        """The arms by name; empty for `auto`."""
        return [] if self.arms == "auto" else [arm if isinstance(arm, str) else arm.name for arm in self.arms]

    @property
    def prompted(self) -> PromptedSpec | None:
        """What the prompted arm may choose from, when it was given anything."""
        return next((arm.prompted for arm in self.arms if isinstance(arm, PromptedArm)), None)

    @property
    def rag(self) -> RagSpec | None:
        """What the RAG arm was given, when it was given anything."""
        return next((arm.rag for arm in self.arms if isinstance(arm, RagArm)), None)

    @property
    def external(self) -> ExternalSpec | None:
        """The server among the arms."""
        return next((arm.external for arm in self.arms if isinstance(arm, ExternalArm)), None)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Read a recipe file, or the one in a folder; `overrides` are `key.path=value` texts. Raises `RecipeError`."""
        return read_spec(cls, Path(path), overrides)[0]
