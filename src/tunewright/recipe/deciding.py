"""What only a person knows about whether to tune at all."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.recipe.base import Above, Some, Spec


class DecideSpec(Spec):
    """What no file tells about whether to tune at all: read by `advise` and `plan`."""

    needs: tuple[Literal["behaviour", "knowledge", "actions"], ...] = Field(
        (),
        description="What is wanted: `behaviour` (form, style, labels, a field's words), `knowledge` (facts that the "
        "question does not hold), `actions` (several steps with tools).",
    )
    changes: tuple[Literal["knowledge", "rules"], ...] = Field(
        (), description="What changes every month or oftener: the `knowledge`, or the `rules` an answer has to keep."
    )
    cite: bool = Field(False, description="True: answers must name their source.")
    requests: Some | None = Field(None, description="Requests a month, when it is in use.")
    cost: Above | None = Field(None, description="What 1,000 requests cost with what is used today.")
    hours: Above | None = Field(None, description="Hours that a training may take.")
    budget: Above | None = Field(None, description="What a training may cost.")
    machine_hour: Above | None = Field(None, description="What an hour of this machine costs: rent, or electricity.")
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$", description="Currency of the sums here, as EUR or USD.")
