"""What licences allow: ids, names and expressions, and the model licences that SPDX does not list."""

from __future__ import annotations

import pytest

from tunewright.licences import terms_of


@pytest.mark.parametrize(
    ("text", "name", "commercial"),
    [
        ("mit", "MIT", "yes"),
        ("The MIT License", "MIT", "yes"),
        ("Apache License, Version 2.0", "Apache-2.0", "yes"),
        ("CC BY 4.0", "CC-BY-4.0", "yes"),
        ("odc-by", "ODC-BY", "yes"),
        ("Unlicense", "Unlicense", "yes"),
        ("cc-by-nc", "CC-BY-NC", "no"),
        ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0", "no"),
        ("PolyForm-Noncommercial-1.0.0", "PolyForm-Noncommercial-1.0.0", "no"),
        ("BUSL-1.1", "BUSL-1.1", "no"),
        ("qwen-research", "qwen-research", "no"),
        ("For academic use only", "For academic use only", "no"),
        ("llama3.1", "llama3.1", "terms"),
        ("Llama 3 Community License Agreement", "Llama 3 Community License Agreement", "terms"),
        ("gemma", "gemma", "terms"),
        ("bigscience-bloom-rail-1.0", "bigscience-bloom-rail-1.0", "terms"),
        ("openrail++", "openrail++", "terms"),
        ("CC-BY-ND-4.0", "CC-BY-ND-4.0", "terms"),
        ("other", "other", "unsaid"),
        ("  ", "not stated", "unsaid"),
        (None, "not stated", "unsaid"),
        ("company internal", "company internal", "unknown"),
        ("LicenseRef-ours", "LicenseRef-ours", "unknown"),
    ],
)
def test_single_licences(text: str | None, name: str, commercial: str) -> None:
    terms = terms_of(text)
    assert (terms.name, terms.commercial) == (name, commercial)
    assert bool(terms.note) >= (commercial == "terms"), "conditions are told"


@pytest.mark.parametrize(
    ("text", "commercial"),
    [
        ("MIT OR CC-BY-NC-4.0", "yes"),
        ("mit and cc-by-nc-4.0", "no"),
        ("MIT, CC-BY-NC-4.0", "no"),
        ("MIT AND (CC-BY-NC-4.0 OR gemma)", "terms"),
        ("CC-BY-NC-4.0 OR MIT AND CC-BY-NC-4.0", "no"),
        ("(CC-BY-NC-4.0 OR MIT) AND Apache-2.0", "yes"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "yes"),
        ("MIT AND other", "unsaid"),
        ("MIT OR", "unknown"),
        ("(MIT", "unknown"),
        ("MIT WITH nonsense", "unknown"),
        ("() AND MIT", "unknown"),
    ],
)
def test_expressions(text: str, commercial: str) -> None:
    assert terms_of(text).commercial == commercial
