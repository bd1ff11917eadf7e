"""How many processes a gang has now: all that it may have where there is room for them, and fewer where it may do with fewer."""

from collections.abc import Sequence


class Resized(Exception):
    """A gang is to go on with another number of processes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def largest(sizes: Sequence[int], room: int) -> int | None:
    """The greatest of the sizes for which there is room; None where there is none for the smallest."""
    return max((size for size in sizes if size <= room), default=None)


def free_places() -> int:
    """Processes that the cluster has room for beside what runs on it: a GPU each where it has GPUs, else a core."""
    import ray

    name = "GPU" if ray.cluster_resources().get("GPU") else "CPU"
    return int(ray.available_resources().get(name, 0))


def waits() -> bool:
    """Whether a gang of this driver waits for its place: Ray gives all of its members theirs at once."""
    return any(state in ("PENDING", "RESCHEDULING") for state in _places().values())


def give_back() -> None:
    """Let go of the places of this driver's gangs, with what runs there: those of a controller that was killed are kept for long."""
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    for group, state in _places().items():
        if state != "REMOVED":
            remove_placement_group(PlacementGroup(PlacementGroupID(group)))


def _places() -> dict[bytes, str]:
    """The placement groups that this driver's processes have made, and their states. Ray's own list does not say whose they are."""
    from ray import get_runtime_context
    from ray._private import state
    from ray.core.generated import gcs_pb2

    mine, form = bytes.fromhex(get_runtime_context().get_job_id()), gcs_pb2.PlacementGroupTableData
    groups = (form.FromString(data) for data in state.state._connect_and_get_accessor().get_placement_group_table())
    return {group.placement_group_id: form.PlacementGroupState.Name(group.state) for group in groups if group.creator_job_id == mine}
