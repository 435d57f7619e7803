"""What a person may ask for. Every field has a doc line, and something reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AliasChoices, Discriminator, Field, Tag, field_validator, model_validator

from tunewright.recipe.base import Auto, Some, Spec
from tunewright.recipe.data import DataSpec
from tunewright.recipe.deciding import DecideSpec
from tunewright.recipe.load import read_spec
from tunewright.recipe.training import TrainSpec


class ModelSpec(Spec):
    """A base model by hub id, path, or the embedded `seedling`."""

    id: str = Field(description="Hub id, local path, or `seedling`.")
    revision: str | None = Field(None, description="Commit, tag or branch on the hub.")
    license: str | None = Field(
        None,
        validation_alias=AliasChoices("license", "licence"),
        description="The base's licence, where its card does not say it or yours is another.",
    )
    template: str | None = Field(
        None,
        description="How conversations are written, where the tokenizer does not say it: `plain`, or a Jinja file.",
    )
    thinking: bool = Field(
        False,
        description="True: it thinks before it answers. Thoughts in the rows are learned, the template's switch is on, "
        "and what stands behind a thought is what is scored.",
    )


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
    max_tokens: int | None = Field(
        None, ge=1, description="Tokens an answer may have, with what is thought first; none: as many as the rows need."
    )
    json_schema: str | None = Field(None, description="JSON schema file that answers are held to, and scored by.")
    constrain: bool = Field(True, description="False: the schema only scores answers, and does not shape them.")
    tone: ToneSpec | None = Field(None, description="The voice wanted, for the scorer `tone`.")
    embedding: str = Field(
        "words", description="What `similarity` compares: words (TF-IDF), the base's states, or a model's path or id."
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


class FewShotSpec(Spec):
    """What the few-shot arm is shown."""

    examples: int = Field(8, ge=1, le=100, description="At most this many training rows, as the context holds.")


class FewShotArm(Spec):
    """`{few_shot: {examples: 4}}` in the list of arms."""

    name: ClassVar[str] = "few_shot"
    few_shot: FewShotSpec = Field(description="What is shown as examples.")


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
    max_tokens: int | None = Field(
        None, ge=1, description="Tokens a reply may have, with what it thinks first; none: as many as the rows need."
    )


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
    max_tokens: int = Field(16, ge=1, description="Tokens a reply may have, with what it thinks first.")
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
    return next((f"{key} arm" for key in keys if key in ("prompted", "few_shot", "rag", "external")), None)


Arm = Annotated[
    Annotated[ArmName, Tag("by name")]
    | Annotated[PromptedArm, Tag("prompted arm")]
    | Annotated[FewShotArm, Tag("few_shot arm")]
    | Annotated[RagArm, Tag("rag arm")]
    | Annotated[ExternalArm, Tag("external arm")],
    Discriminator(
        _kind_of_arm,
        custom_error_type="no_arm",
        custom_error_message="an arm is a name, or `prompted`, `few_shot`, `rag` or `external` with settings",
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
    decide: DecideSpec = Field(
        default_factory=lambda: DecideSpec(), description="What no file tells about whether to tune at all."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_becomes_model(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("model"), str):
            value = {**value, "model": {"id": value["model"]}}
        return value

    @model_validator(mode="after")
    def _thoughts_pass(self) -> Self:
        if self.model.thinking and self.suite.json_schema and self.suite.constrain:
            raise ValueError(
                "`suite.json_schema` would shape the thought too, where `model.thinking` is on: set "
                "`suite.constrain: false`, and the schema only scores the answers"
            )
        if self.model.thinking and "perplexity" in (self.suite.primary, *self.suite.scorers):
            raise ValueError(
                "the scorer `perplexity` reads the wanted answer right behind the question, where a thought comes "
                "first with `model.thinking`: name another one"
            )
        return self

    @field_validator("arms", mode="before")
    @classmethod
    def _some_arm(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and not value:
            raise ValueError("names nothing to compare: list some of base, prompted, few_shot, tuned, or leave it out")
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
    def few_shot(self) -> FewShotSpec:
        """What the few-shot arm is shown."""
        return next((arm.few_shot for arm in self.arms if isinstance(arm, FewShotArm)), FewShotSpec())

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
