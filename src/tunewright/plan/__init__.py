"""Takes a recipe, facts about the data and this machine, gives a Plan: what will be done, what it needs, and why."""

from tunewright.plan import facts
from tunewright.plan.advice import advise
from tunewright.plan.circumstances import Circumstances
from tunewright.plan.estimate import Plan, make_plan
from tunewright.plan.resolve import resolve

__all__ = ["Circumstances", "Plan", "advise", "facts", "make_plan", "resolve"]
