"""Whether work on a cluster waits for its place. Ray has no priorities: who can wait asks this, and begins nothing new meanwhile."""

from collections import Counter
from collections.abc import Mapping
from typing import Any


def waits_for_room(address: str) -> bool:
    """Whether anybody's tasks or gangs wait for a place on the cluster that runs at an address (see `running_at`).

    What is larger than the whole cluster does not count: it would wait for ever.
    """
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(address)
    has = {usage.resource_name: usage.total for usage in status.cluster_resource_usage}
    demands = status.resource_demands
    tasks = [part.bundle for demand in demands.ray_task_actor_demand for part in demand.bundles_by_count]
    gangs = [_together(demand.bundles_by_count) for demand in demands.placement_group_demand]
    return any(all(needed <= has.get(name, 0) for name, needed in asked.items()) for asked in [*tasks, *gangs])


def _together(parts: Any) -> Mapping[str, float]:
    """What the places of a gang need, which it is given all at once."""
    needed = Counter[str]()
    for part in parts:
        needed.update({name: amount * part.count for name, amount in part.bundle.items()})
    return needed
