"""The listings of a corpus, kept beside its states: Parquet files named by their content, written before the state that names them.

What did not change from one state to the next is kept once.
"""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import Damaged
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.rows import BATCH_FILES, SCHEMA, Rows, held
from pipeline.storage import Store, checksum_of, open_store

FOLDER = "listings"


class KeptCatalogue(Catalogue):
    """A catalogue that a state names by its length and its checksum; it is read when it is asked for.

    `folder` is the address of the corpus. Raises Damaged where what is kept there is not what the state names.
    """

    def __init__(self, folder: str, length: int, checksum: str) -> None:
        self.folder, self.length, self.checksum = folder, length, checksum

    @cached_property
    def rows(self) -> Rows:
        import pyarrow.parquet as pq

        path = path_of(self.checksum)
        try:
            with pq.ParquetFile(open_store(self.folder).local(path, self.checksum)) as file:
                found = held(file.iter_batches(BATCH_FILES))
        except Damaged as problem:
            raise self._damaged(str(problem).partition(";")[0]) from problem
        except (pa.ArrowException, OSError) as problem:
            raise self._damaged(f"{path} is no listing ({str(problem).splitlines()[0]})") from problem
        if found.table.num_rows != self.length:
            raise self._damaged(f"{path} has {found.table.num_rows} files, and the state says {self.length}")
        return found

    def _damaged(self, what: str) -> Damaged:
        return Damaged(f"{self.folder}/{what}: restore it, or delete the states beside it that name it, to go on from the one before")

    def __len__(self) -> int:
        return self.length

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, KeptCatalogue) and other.checksum == self.checksum) or super().__eq__(other)

    __hash__ = None

    @property
    def recorded(self) -> dict[str, Any]:
        """What a state says of it."""
        return {"rows": self.length, "checksum": self.checksum}


def path_of(checksum: str) -> str:
    """Where a listing is kept, below the folder of its corpus."""
    return f"{FOLDER}/{checksum.removeprefix('sha256:')}.parquet"


def catalogue_from(recorded: Any, folder: str) -> Catalogue:
    """The catalogue that a state names; the first states held the files themselves."""
    if isinstance(recorded, list):
        return Catalogue.of(ListedFile(**file) for file in recorded)
    return KeptCatalogue(folder, recorded["rows"], recorded["checksum"])


def keep(store: Store, folder: str, files: Catalogue) -> KeptCatalogue:
    """Write a catalogue into the folder of a corpus, unless it is there already."""
    address = f"{store.url}/{folder}"
    if isinstance(files, KeptCatalogue) and files.folder == address:
        return files
    with tempfile.TemporaryDirectory(prefix="millrace-") as draft:
        place = Path(draft, "listing.parquet")
        _write(files, place)
        checksum = checksum_of(place)
        path = f"{folder}/{path_of(checksum)}"
        if not store.put_new(path, place) and store.checksum(path) != checksum:  # it was damaged since
            store.delete(path)
            store.put_new(path, place)
    return KeptCatalogue(address, len(files), checksum)


def _write(files: Catalogue, place: Path) -> None:
    """Paths in order share their beginnings, which are written once."""
    import pyarrow.parquet as pq

    options = {"compression": "zstd", "use_dictionary": False, "column_encoding": {"path": "DELTA_BYTE_ARRAY"}}
    with pq.ParquetWriter(place, SCHEMA, **options) as writer:
        for batch in files.rows.batches():
            writer.write_batch(batch)
