"""Takes a folder with a recipe, gives the places where datasets, runs and artifacts lie in it."""

from tunewright.project.folders import RECIPE, ProjectFolder, RunFolder, outcome_of

__all__ = ["RECIPE", "ProjectFolder", "RunFolder", "outcome_of"]
