"""Work that is found done: the receipts of units whose outcome is a function of a key, kept for whatever recipe asks next.

A step may say what of its inputs an item of `map` stands for (the checksum of a shard, say). A unit's outcome then depends
on its code, on the step's own recipe without its inputs, and on that. So where a corpus has grown, the units of what was there
already are taken over, with their files where these lie: an increment is a build from scratch that finds most of its work done.

`units/STEP/CODE/PHASE/KEY.json` is such a receipt. It is no truth, and can be deleted at any time for the price of the work.
"""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.storage import LocalStore, Store
from pipeline.workflow.artifact import as_utf8
from pipeline.workflow.receipt import Receipt

FOLDER = "units"
AT_ONCE = 16
"""Requests to a store at a time."""


def remember(store: Store, path: str, address: str, receipt: Receipt) -> None:
    """Keep the receipt of a unit of the artifact at an address."""
    store.put(path, as_utf8(json.dumps({"address": address, "receipt": json.loads(receipt.to_json())}, ensure_ascii=False)))


def recall(store: Store, folder: str, paths: Mapping[int, str], address: str) -> dict[int, Receipt]:
    """The receipts that are kept at some of the paths in a folder, for the artifact at an address, whose files are all there."""
    known = {entry.path for entry in store.list(folder)} if paths else set()
    wanted = [(index, path) for index, path in paths.items() if path in known]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        at_once = map if isinstance(store, LocalStore) else pool.map  # a folder answers before a thread is told to ask
        found = at_once(lambda pair: (pair[0], _recalled(store, pair[1], address)), wanted)
        return {index: receipt for index, receipt in found if receipt is not None}


def forget_files(store: Store, gone: Iterable[str]) -> None:
    """Remove the receipts that name one of these files, given by their paths below the root."""
    lost = set(gone)
    for entry in list(store.list(FOLDER)):
        kept = _kept(store, entry.path)
        if kept is not None and any(file.place(kept.home) in lost for file in kept.receipt.files):
            store.delete(entry.path)


@dataclass(frozen=True)
class _Kept:
    home: str
    receipt: Receipt


def _kept(store: Store, path: str) -> _Kept | None:
    """What is kept at a path; None for what cannot be read."""
    try:
        fields = json.loads(store.get(path))
        return _Kept(fields["address"], Receipt.from_json(json.dumps(fields["receipt"]).encode()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _recalled(store: Store, path: str, address: str) -> Receipt | None:
    kept = _kept(store, path)
    moved = kept.receipt.seen_from(kept.home, address) if kept else None
    return moved if moved and _whole(store, address, moved) else None


def _whole(store: Store, address: str, receipt: Receipt) -> bool:
    """Whether a receipt leaves nothing to be done again: its files are there, and none was swept away with its step."""
    return not receipt.scratch and all(store.size(entry.place(address)) == entry.bytes for entry in receipt.files)
