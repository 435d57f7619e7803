"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Several workers share the cores: each, and whatever it starts, computes in as many threads as fall to it.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))

# The same cases on every machine and every run: a red suite means a change, never a draw. `--hypothesis-profile=draw`
# searches new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("draw", deadline=None, max_examples=500)
settings.load_profile("same")

pytest_plugins = ["tests.command_line", "tests.scripted"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets kept beside the repository; tests that want them skip where they are not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data sets are not beside the repository")
    return folder


@pytest.fixture(scope="session")
def seedling_renderer() -> object:
    """The embedded base's renderer."""
    from tunewright import models
    from tunewright.render import Renderer

    base = models.load("seedling")
    return Renderer(base.tokenizer, base.model.generation_config.eos_token_id)
