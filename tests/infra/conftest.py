"""The executor that tests of infra/ share."""

from collections.abc import Iterator

import pytest

from infra.ray_cluster import cluster
from infra.ray_executor import RayExecutor
from tests.conftest import RunningRay


@pytest.fixture(scope="session")
def executor(ray_cluster: RunningRay) -> Iterator[RayExecutor]:
    """This process connected to the Ray of all tests."""
    with cluster(ray_cluster.address) as connected:
        assert isinstance(connected, RayExecutor)
        yield connected
