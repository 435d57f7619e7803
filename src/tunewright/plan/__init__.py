"""Takes a recipe, facts about the data and this machine, gives a Plan: what will be done, what it needs, and why."""

from tunewright.plan.advice import advise
from tunewright.plan.circumstances import Circumstances
from tunewright.plan.estimate import DataFacts, Machine, ModelFacts, Plan, make_plan
from tunewright.plan.resolve import resolve

__all__ = ["Circumstances", "DataFacts", "Machine", "ModelFacts", "Plan", "advise", "make_plan", "resolve"]
