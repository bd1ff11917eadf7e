"""A driver that tests kill: builds the small corpus on a running cluster, and says when it begins. Arguments: ADDRESS ROOT PAUSE."""

import sys

from infra.ray_cluster import cluster
from pipeline.storage import open_store
from pipeline.workflow.events import Advanced, Event
from pipeline.workflow.run import run
from tests.infra.steps import corpus


def tell(event: Event) -> None:
    if isinstance(event, Advanced) and event.done == 0:
        print(event.phase, flush=True)


if __name__ == "__main__":
    address, root, pause = sys.argv[1:]
    with cluster(address) as executor:
        run([corpus(float(pause))], open_store(root), executor, [tell])
