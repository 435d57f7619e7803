"""The nouns that rooms hand to each other. No behaviour beyond what a reader needs to use them.

Rows in flight are frozen slotted dataclasses (cheap, by the million); what is written to disk or printed as JSON is
a frozen pydantic model. One family of nouns a file; everybody imports them from here.
"""

from tunewright.records.arms import TUNED, ArmScore, arm_called, arm_label, best_untuned, tuned_arm
from tunewright.records.datasets import DatasetRecord, Ledger, SourceFile
from tunewright.records.deciding import Advice, Means, Prerequisite, Step
from tunewright.records.evaluation import (
    Comparison,
    Evaluation,
    Hurdle,
    LabelScore,
    SliceScore,
    Verdict,
    scored,
)
from tunewright.records.findings import GATES, Finding, Gate, Severity
from tunewright.records.growth import Expected, Growth, GrowthPoint, Needed, Trial, Worth
from tunewright.records.means import PromptChoice, PromptScore, Recall
from tunewright.records.opinions import Calibration, JudgeReport, Preference
from tunewright.records.record import Record
from tunewright.records.rows import Branch, Example, Generation, Message, Rendered, TokenFacts, sequences
from tunewright.records.runs import Artifact, Certificate, Footprint, RunRecord, TrainResult
from tunewright.records.suites import NEAR, Case, Prediction, Suite
from tunewright.records.trials import Ability, Forgetting, Probe, Refusals, Robustness

__all__ = [
    "GATES",
    "NEAR",
    "TUNED",
    "Ability",
    "Advice",
    "ArmScore",
    "Artifact",
    "Branch",
    "Calibration",
    "Case",
    "Certificate",
    "Comparison",
    "DatasetRecord",
    "Evaluation",
    "Example",
    "Expected",
    "Finding",
    "Footprint",
    "Forgetting",
    "Gate",
    "Generation",
    "Growth",
    "GrowthPoint",
    "Hurdle",
    "JudgeReport",
    "LabelScore",
    "Ledger",
    "Means",
    "Message",
    "Needed",
    "Prediction",
    "Preference",
    "Prerequisite",
    "Probe",
    "PromptChoice",
    "PromptScore",
    "Recall",
    "Record",
    "Refusals",
    "Rendered",
    "Robustness",
    "RunRecord",
    "Severity",
    "SliceScore",
    "SourceFile",
    "Step",
    "Suite",
    "TokenFacts",
    "TrainResult",
    "Trial",
    "Verdict",
    "Worth",
    "arm_called",
    "arm_label",
    "best_untuned",
    "scored",
    "sequences",
    "tuned_arm",
]
