"""The Python library: the default corpus is on every machine, the same wherever it lies, and quickly listed."""

import platform
from pathlib import Path

import pytest

from pipeline.documents import Document, Dropped
from pipeline.errors import RequestError
from pipeline.sources import python_library
from pipeline.sources.base import Source
from pipeline.sources.ingest import Ingest
from pipeline.sources.python_library import TOPICS, PythonLibrary

NAME = f"python-{platform.python_version()}"


def example(folder: Path) -> Source:
    """For the contract of sources."""
    return PythonLibrary.at()


@pytest.fixture(scope="module")
def records() -> list[Document | Dropped]:
    source = PythonLibrary.at()
    return [record for partition in source.partitions() for record in source.read(partition)]


def test_modules_and_documentation_are_documents_without_a_path_of_this_machine(records: list[Document | Dropped]) -> None:
    origins = {record.origin for record in records}
    assert f"{NAME}/json/decoder.py#0" in origins
    assert all(origin.startswith(f"{NAME}/") for origin in origins)
    assert not [origin for origin in origins if "site-packages" in origin or "__pycache__" in origin]
    decoder = next(record for record in records if record.origin == f"{NAME}/json/decoder.py#0")
    assert isinstance(decoder, Document)
    assert decoder.text == Path(python_library._folder(), "json", "decoder.py").read_text()
    assert decoder.source == NAME


def test_each_topic_of_the_language_reference_is_a_document(records: list[Document | Dropped]) -> None:
    topics = [record for record in records if record.origin.startswith(f"{NAME}/{TOPICS}#")]
    assert len(topics) > 50
    assert '{"topic": "lambda"}' in {record.meta for record in topics if isinstance(record, Document)}


def test_nearly_all_of_it_is_text(records: list[Document | Dropped]) -> None:
    lost = [record for record in records if isinstance(record, Dropped)]
    assert len(lost) < 0.01 * len(records)
    assert all("/test/" in record.origin for record in lost)


def test_the_folder_it_lies_in_is_no_part_of_its_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = set()
    for name in ("one", "two"):
        (tmp_path / name / "json").mkdir(parents=True)
        (tmp_path / name / "json" / "decoder.py").write_text("pass\n")
        for left_out in ("site-packages", "__pycache__", "json/__pycache__"):
            (tmp_path / name / left_out).mkdir()
            (tmp_path / name / left_out / "a.py").write_text(name)
        monkeypatch.setattr(python_library, "_folder", lambda name=name: str(tmp_path / name))
        addresses.add(Ingest(source=PythonLibrary.at()).address)
    assert len(addresses) == 1
    (tmp_path / "two" / "json" / "decoder.py").write_text("import json\n")
    assert Ingest(source=PythonLibrary.at()).address not in addresses


def test_a_python_without_its_library_as_files_is_a_wrong_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_library, "_folder", lambda: str(tmp_path))
    with pytest.raises(RequestError, match="give sources of your own"):
        PythonLibrary.at()
