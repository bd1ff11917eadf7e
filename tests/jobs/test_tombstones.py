"""Records of forgotten documents: to which part of a source they belong, whatever its files are called."""

import pytest

from jobs.history.tombstones import Gone, Tombstone, Tombstones
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.files import Files
from pipeline.sources.places import LocalPlace

SOURCE = Files(location="data", place=LocalPlace("data", "."), snapshot="0")


def forgotten(origin: str, *files: str) -> bool:
    """Whether a part with these files is told to keep a document away."""
    gone = Gone(id="id", origin=origin, source="data", text="digest")
    tombstone = Tombstone(at="", by="", reason="", how="", documents=(gone,), spared=(), seen_by={})
    return Tombstones((tombstone,)).of(SOURCE, Catalogue.of(ListedFile(name, 1, "m") for name in files), 0) is not None


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("data/a.jsonl#3", "data/a.jsonl"),
        ("data/a.zip!in it/b.txt#0", "data/a.zip"),
        ("data/wow!.jsonl#3", "data/wow!.jsonl"),
        ("data/wow!.zip!b!.txt#0", "data/wow!.zip"),
        ("data/caf\\xe9.txt#0", "data/caf\udce9.txt"),
        ("data/caf\\xe9.zip!b.txt#0", "data/caf\udce9.zip"),
    ],
)
def test_a_forgotten_document_stays_away_from_the_part_with_its_file_alone(origin: str, name: str) -> None:
    assert forgotten(origin, "data/0.txt", name)
    assert not forgotten(origin, "data/0.txt", f"{name}.gz")
