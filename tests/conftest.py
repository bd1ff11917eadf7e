"""Fixtures that every test may use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.run import InlineExecutor, run
from pipeline.workflow.step import Step
from pipeline.workflow.unit import open_artifact

settings.register_profile("millrace", deadline=None)  # machines are shared: a slow example proves nothing
settings.load_profile("millrace")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public data files for trials, beside the checkout; no part of the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no trial data in {folder}")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "root"))


@pytest.fixture
def build(store: Store) -> Callable[[Step[Any]], Any]:
    """Builds a step (and what it needs) in this process and opens its artifact."""

    def build_step(step: Step[Any]) -> Artifact:
        run([step], store, InlineExecutor())
        return open_artifact(store, step)

    return build_step
