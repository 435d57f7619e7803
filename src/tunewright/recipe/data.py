"""What may be asked about the examples: where they are, how they are read and divided."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from tunewright.recipe.base import Auto, Spec


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
    split: str | None = Field(None, description="Split of a dataset that has several; `train` by default.")
    weight: float = Field(1.0, gt=0, description="Loss weight of every row of this file.")
    group: str | None = Field(None, description="Column whose equal values must stay in one split.")
    synthetic: bool = Field(False, description="Rows made by a model; kept out of test.")

    @model_validator(mode="after")
    def _only_of_the_hub(self) -> Self:
        if not self.path.startswith("hub:") and (self.revision or self.config):
            raise ValueError("`revision` and `config` are for datasets of the hub (`path: hub:org/name`)")
        if self.query and self.split:
            raise ValueError("a query has no splits: leave `split` out")
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
    seed: int = Field(0, ge=0, description="Which of the possible splits.")
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
