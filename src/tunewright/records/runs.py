"""A training run from what was asked for to the files that leave the house."""

from __future__ import annotations

from typing import Any

from tunewright.records.record import Record


class RunRecord(Record):
    """What a training run was asked for and what it resolved to. Status is derived from the files beside it.

    `overrides` were given beside the recipe's file and are in `recipe` too. `allow` passes gates by name, with the
    reason, and with `strict` any finding of severity error is a no: both hold whenever the run is taken up again.
    `quantisation` is the form the base's weights were held in; None: as they are in its files.
    """

    id: str
    created: str
    recipe: dict[str, Any]
    overrides: tuple[str, ...] = ()
    allow: dict[str, str] = {}
    strict: bool = False
    resolved: dict[str, Any]
    dataset: str
    base: str
    base_sha256: str
    renderer: str
    versions: dict[str, str]
    quantisation: dict[str, Any] | None = None


class Footprint(Record):
    """What a training is expected to take of memory, in bytes by part at the `moment` when it is heaviest.

    What it really takes lies between `low` and `high`. `trained` is how many weights are trained, `room` how many
    tokens a forward pass may hold to begin with. `by_modules`: the model's own modules compute the adapters.
    """

    moment: str
    parts: dict[str, float]
    low: float
    high: float
    trained: int
    room: int
    by_modules: bool = False

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return sum(self.parts.values())


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
    """Proof that an exported model answers as the trained one did, and not as the base does.

    `unscored` says why the suite's scores are not compared, where the trained model has one.
    """

    ok: bool
    probes: int
    tokens_equal: bool
    logprob_gap: float
    differs_from_base: bool
    suite_score: float | None = None
    suite_score_trained: float | None = None
    unscored: str = ""


class Artifact(Record):
    """An exported model: `bytes` and `sha256` are over all its files."""

    artifact: str
    path: str
    bytes: int
    sha256: str
    certificate: Certificate
