"""Takes records, gives self-contained HTML pages: no script, no request, readable on paper and on a phone."""

from tunewright.report.compose import evidence_of
from tunewright.report.evidence import CaseShown, DataEvidence, Evidence, Training
from tunewright.report.growth import growth_page
from tunewright.report.pages import data_page, evidence_page

__all__ = [
    "CaseShown",
    "DataEvidence",
    "Evidence",
    "Training",
    "data_page",
    "evidence_of",
    "evidence_page",
    "growth_page",
]
