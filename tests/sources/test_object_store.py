"""Files in an object store, from a real S3 server on this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.documents import Documents
from pipeline.errors import RequestError, RunError
from pipeline.sources.files import Files
from pipeline.sources.ingest import Ingest
from pipeline.sources.places import matcher
from pipeline.storage import Store, open_store
from tests.sources.containers import kept, write

RECORDS = [{"text": f"document {number}"} for number in range(50)]


@pytest.fixture
def objects(bucket: str, tmp_path: Path) -> Store:
    """The bucket with files in it."""
    store = open_store(bucket)
    for key in ("data/b.jsonl.gz", "data/a b/文.csv", "data/a b/z.parquet", "data/.hidden/x.jsonl", "database/x.jsonl"):
        store.put(key, write(tmp_path / key.rsplit("/", 1)[1], RECORDS).read_bytes())
    store.put("data/_SUCCESS", b"")
    store.put("data/picture.png", b"png")
    return store


def origins(location: str) -> list[str]:
    """The files read at a location."""
    return list(dict.fromkeys(document.origin.rsplit("#")[0] for document in kept(location)))


def test_a_prefix_is_read_like_a_folder(bucket: str, objects: Store) -> None:
    expected = [f"{bucket}/data/{name}" for name in ("a b/z.parquet", "a b/文.csv", "b.jsonl.gz")]
    assert origins(f"{bucket}/data") == expected
    assert origins(f"{bucket}/data/") == expected
    assert Files.at(f"{bucket}/data").left_out == {".png": 1, "no suffix": 1}


def test_an_object_a_glob_and_a_whole_bucket_are_read(bucket: str, objects: Store) -> None:
    assert origins(f"{bucket}/data/b.jsonl.gz") == [f"{bucket}/data/b.jsonl.gz"]
    assert origins(f"{bucket}/data/*/*.csv") == [f"{bucket}/data/a b/文.csv"]
    assert origins(f"{bucket}/**/*.jsonl*") == [f"{bucket}/data/b.jsonl.gz", f"{bucket}/database/x.jsonl"]
    assert len(origins(bucket)) == 4


def test_documents_are_those_of_the_same_files_here(bucket: str, objects: Store, tmp_path: Path) -> None:
    here = [(document.text, document.meta) for document in kept(tmp_path / "b.jsonl.gz")]
    assert [(document.text, document.meta) for document in kept(f"{bucket}/data/b.jsonl.gz")] == here


def test_a_store_is_ingested_with_its_etags_as_the_snapshot(
    bucket: str, objects: Store, build: Callable[[Ingest], Documents], tmp_path: Path
) -> None:
    source = Files.at(f"{bucket}/data")
    assert build(Ingest(source=source)).facts["kept"] == 150
    assert Files.at(f"{bucket}/data").snapshot == source.snapshot
    objects.put("data/b.jsonl.gz", write(tmp_path / "b.jsonl.gz", RECORDS[:-1]).read_bytes())
    assert Files.at(f"{bucket}/data").snapshot != source.snapshot


def test_a_store_that_lists_its_etags_without_quotation_marks_is_read(bucket: str, objects: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Azure does."""
    import obstore

    listed, plain = Files.at(f"{bucket}/data").snapshot, obstore.list

    def unquoted(*given: Any, **options: Any) -> Iterator[list[dict[str, Any]]]:
        return ([{**item, "e_tag": item["e_tag"].strip('"')} for item in page] for page in plain(*given, **options))

    monkeypatch.setattr(obstore, "list", unquoted)
    assert Files.at(f"{bucket}/data").snapshot == listed
    assert len(origins(f"{bucket}/data")) == 3


@pytest.mark.parametrize("new", [b"other content", None])
def test_an_object_that_changed_since_it_was_listed_fails_the_run(new: bytes | None, bucket: str, objects: Store) -> None:
    source = Files.at(f"{bucket}/data/b.jsonl.gz")
    (unit,) = source.partitions()
    if new is None:
        objects.delete("data/b.jsonl.gz")
    else:
        objects.put("data/b.jsonl.gz", new)
    with pytest.raises(RunError, match=r"b\.jsonl\.gz has changed since it was listed; run the same command again"):
        list(source.read(unit))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("/nothing", "cannot read 'BUCKET/nothing': there is no such object or prefix; check the address"),
        ("/data/picture.png", "cannot read 'BUCKET/data/picture.png': its name says no known format"),
        ("/data/*.parquet", "there is no such object or prefix"),
        ("-and-no-such-bucket/data", "cannot read 'BUCKET-and-no-such-bucket/data': .*404"),
    ],
)
def test_an_address_that_cannot_be_read_is_a_wrong_request(key: str, message: str, bucket: str, objects: Store) -> None:
    with pytest.raises(RequestError, match=message.replace("BUCKET", bucket)) as raised:
        Files.at(f"{bucket}{key}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a/*.txt", ["a/b.txt", "a/.txt"], ["a/b/c.txt", "a/bxtxt", "b/a/b.txt"]),
        ("a/**/b.txt", ["a/b.txt", "a/x/b.txt", "a/x/y/b.txt"], ["a/xb.txt", "b.txt"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab/c"]),
        ("a?[0-9][!x].(t)", ["ab1y.(t)"], ["ab1x.(t)", "a/1y.(t)", "abcy.(t)"]),
    ],
)
def test_a_pattern_matches_whole_keys(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [key for key in (*yes, *no) if matcher(pattern).match(key)] == yes
