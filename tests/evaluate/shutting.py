"""The sandbox, for tests that run programs in it; they are skipped where programs cannot be shut in."""

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.sandbox import require_sandbox


def need_sandbox() -> None:
    """Skip the test where there is none."""
    try:
        require_sandbox()
    except RequestError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="module")
def sandbox() -> None:
    need_sandbox()
