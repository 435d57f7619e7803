"""Takes a `tunewright.yaml`, gives a frozen `Recipe` – or says which line to mend."""

from tunewright.recipe.data import DataSpec
from tunewright.recipe.load import read_spec, recipe_yaml
from tunewright.recipe.spec import GateSpec, ModelSpec, Recipe, SuiteSpec
from tunewright.recipe.training import TrainSpec

__all__ = [
    "DataSpec",
    "GateSpec",
    "ModelSpec",
    "Recipe",
    "SuiteSpec",
    "TrainSpec",
    "read_spec",
    "recipe_yaml",
]
