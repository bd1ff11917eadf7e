"""Read hostile files as a run does: within a hard limit on time and memory, and with a ledger that balances."""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.documents import Document, Documents
from pipeline.sources.files import Files
from pipeline.sources.ingest import Ingest
from tests.sources.containers import read

SECONDS = 60
MORE_BYTES = 1 << 30
"""Much less than what any of the files would become, or asks for."""


@contextmanager
def bounded() -> Iterator[None]:
    """Ends this process's patience: an alarm on time, and no memory beyond MORE_BYTES from now on."""

    def alarm(*_: object) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    handler = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_DATA, (used + MORE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def judged(folder: Path, build: Callable[[Ingest], Documents], **options: Any) -> list[str]:
    """What becomes of each record below a folder, in order: its text, or the reason that it is quarantined with.

    It is read twice, once as a step: both have to agree, and every record is kept or dropped.
    """
    with bounded():
        records = read(folder, **options)
        artifact = build(Ingest(source=Files.at(str(folder), **options), loss_budget=1.0))
    facts = artifact.facts
    reasons = [record.reason for record in records if not isinstance(record, Document)]
    assert facts["read"] == facts["kept"] + sum(facts["dropped"].values()) == len(records)
    assert facts["dropped"] == {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    assert len({record.origin for record in records}) == len(records)
    return [record.text if isinstance(record, Document) else record.reason for record in records]
