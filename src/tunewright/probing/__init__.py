"""Takes a base's and a tuned model's answers to other questions, gives what changed between them.

General abilities, cases from elsewhere, and the suite's own cases with the asker exchanged, an order slipped in, or a
provocation.
"""

from tunewright.probing.abilities import abilities_gate, ability, ability_suite
from tunewright.probing.probes import bias_probes, changed_answers, injection_probes, probe, provoked_probes

__all__ = [
    "abilities_gate",
    "ability",
    "ability_suite",
    "bias_probes",
    "changed_answers",
    "injection_probes",
    "probe",
    "provoked_probes",
]
