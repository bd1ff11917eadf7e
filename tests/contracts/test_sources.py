"""What every source promises. Sources are found by themselves: one in pipeline/sources/NAME.py shows an instance of
itself as `example(folder)` in tests/sources/test_NAME.py, where `folder` is the working folder."""

import dataclasses
import importlib
import json
import os
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeline.sources
from pipeline.documents import Document, Documents, Dropped
from pipeline.sources.base import Source
from pipeline.sources.ingest import Ingest
from pipeline.workflow.fingerprint import canonical_json

PROJECT = Path(__file__).parents[2]
ELSEWHERE = """
import pickle, sys
from pipeline.sources.ingest import Ingest
source = pickle.load(sys.stdin.buffer)
print(Ingest(source=source).address)
"""


def found(cls: type[Any]) -> Iterator[type[Source]]:
    """The concrete classes below `cls` that live in pipeline/sources."""
    for below in cls.__subclasses__():
        if below.__module__.startswith("pipeline.sources.") and not below.__abstractmethods__:
            yield below
        yield from found(below)


for module in pkgutil.walk_packages(pipeline.sources.__path__, "pipeline.sources."):
    importlib.import_module(module.name)
SOURCES = sorted(found(Source), key=lambda cls: cls.__name__)


@pytest.fixture(params=SOURCES, ids=lambda cls: cls.__name__)
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Source]:
    """Makes the source anew, as another command would."""
    cls = request.param
    name = cls.__module__.removeprefix("pipeline.sources.")
    shown = importlib.import_module(f"tests.sources.test_{name}")
    assert hasattr(shown, "example"), f"give {shown.__name__} a function example(folder) that returns a {cls.__name__}"
    monkeypatch.chdir(tmp_path)

    def example() -> Source:
        source = shown.example(tmp_path)
        assert type(source) is cls
        return source

    return example


@pytest.fixture
def source(make: Callable[[], Source]) -> Source:
    return make()


def read(source: Source) -> list[Document | Dropped]:
    return [record for partition in source.partitions() for record in source.read(partition)]


def test_there_are_sources() -> None:
    assert {cls.__name__ for cls in SOURCES} >= {"Files", "HuggingFace", "PythonLibrary"}


def test_a_source_is_a_frozen_keyword_only_dataclass(source: Source) -> None:
    assert dataclasses.is_dataclass(source)
    assert all(field.kw_only for field in dataclasses.fields(source))
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.snapshot = "another"  # type: ignore[misc]


def test_reading_twice_gives_the_same_documents_with_ids_of_their_own(make: Callable[[], Source]) -> None:
    first, second = read(make()), read(make())
    assert first == second
    assert any(isinstance(record, Document) for record in first)
    assert len({record.id for record in first}) == len(first)
    assert len({record.origin for record in first}) == len(first)


def test_documents_say_where_they_are_from_and_no_folder_of_this_machine(source: Source, tmp_path: Path) -> None:
    for record in read(source):
        assert "#" in record.origin
        assert not record.origin.startswith("/")
        assert str(tmp_path) not in record.origin
        if isinstance(record, Document):
            assert record.text
            assert (record.source, record.snapshot) == (source.name, source.snapshot)
            assert isinstance(json.loads(record.meta), dict)
            record.text.encode()
        else:
            assert record.reason == record.reason.lower()
            assert " " not in record.reason


def test_ingested_every_record_is_kept_or_dropped(source: Source, build: Callable[[Ingest], Documents]) -> None:
    artifact, records = build(Ingest(source=source)), read(source)
    documents = [document for shard in artifact.shards for document in artifact.read(shard)]
    dropped = artifact.dropped().to_pylist()
    assert documents == [record for record in records if isinstance(record, Document)]
    assert [Dropped(**row) for row in dropped] == [record for record in records if isinstance(record, Dropped)]
    facts = artifact.facts
    assert (facts["read"], facts["kept"], sum(facts["dropped"].values())) == (len(records), len(documents), len(dropped))
    assert set(facts["sources"]) == {source.name}


def test_a_source_and_its_partitions_travel(source: Source) -> None:
    travelled = pickle.loads(pickle.dumps(source))
    partitions = source.partitions()
    assert travelled == source
    assert list(travelled.partitions()) == list(partitions)
    for partition in (partitions[0], partitions[-1]):
        assert list(travelled.read(pickle.loads(pickle.dumps(partition)))) == list(source.read(partition))


def test_its_address_is_the_same_in_every_process_and_holds_nothing_of_this_machine(make: Callable[[], Source], tmp_path: Path) -> None:
    source = make()
    step = Ingest(source=source)
    assert Ingest(source=make()).address == step.address
    assert str(tmp_path) not in canonical_json(step.recipe).decode()
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=pickle.dumps(source), env=environment, capture_output=True)
    assert done.stdout.decode().strip() == step.address, done.stderr.decode()


def test_another_snapshot_is_another_address(source: Source) -> None:
    assert Ingest(source=dataclasses.replace(source, snapshot="another")).address != Ingest(source=source).address
