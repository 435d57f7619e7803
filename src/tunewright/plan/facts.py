"""What a plan is made from: facts about the data, the base and the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepWork:
    """What a step computes: `tokens`, how many tokens all of these look back at (`looked`), states `predicted` from."""

    tokens: float
    looked: float
    predicted: float


@dataclass(frozen=True)
class Measuring:
    """What is done at every checkpoint: the `loss` of validation rows, and `cases` answered in `tokens` each."""

    loss: StepWork
    cases: int
    tokens: int


@dataclass(frozen=True)
class DataFacts:
    """Rows that train, tokens of the longest of them, and what a `step` on them computes.

    With `folds`, so many models are trained on a part of the rows and then one on all. `measuring` None: there are no
    validation rows.
    """

    train: int
    longest: int
    step: StepWork
    measuring: Measuring | None = None
    folds: int = 0


@dataclass(frozen=True)
class ModelFacts:
    """Shape of the base: `parameters`, and how many are `trainable`; `hidden`, `layers`, `intermediate` sizes.

    `body` are the weights that a token is multiplied by in all layers (of a mixture, those of the experts that it is
    sent to), `head` those that tell the next one, `features` what it is attended by in a layer. `weight_bytes` is what
    the weights take as they are held, `whole_bytes` what they take where none is in 4 bits; `read_back_bytes` what
    training holds beside them of weights in 4 bits, in the compute type.
    """

    parameters: int
    trainable: int
    hidden: int
    layers: int
    intermediate: int
    body: int
    head: int
    features: int
    weight_bytes: int
    whole_bytes: int
    read_back_bytes: int = 0


@dataclass(frozen=True)
class Machine:
    """`memory_gb` free where it computes, and the `rate` of its matrix products in the type chosen, in GFLOP/s."""

    device: str
    memory_gb: float
    rate: float
