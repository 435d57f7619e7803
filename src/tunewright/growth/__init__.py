"""Takes scores of models trained on growing parts of the rows, gives the curve behind them and what it can answer.

What would twice the rows bring, how many does a wanted score need, is it worth the cost – or that it cannot be told.
"""

from tunewright.growth.answers import Cost, growth
from tunewright.growth.power import PowerLaw, fit_power_law
from tunewright.growth.said import Said, said

__all__ = ["Cost", "PowerLaw", "Said", "fit_power_law", "growth", "said"]
