"""What a location on the command line means."""

from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.sources.files import Files
from pipeline.sources.locations import source_at


def test_a_path_and_a_file_address_are_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "text"}\n')
    for location in (str(tmp_path), f"file://{tmp_path}", f"{tmp_path}/*.jsonl"):
        source = source_at(location, text_field="body")
        assert isinstance(source, Files)
        assert [record.origin for unit in source.partitions() for record in source.read(unit)] == [f"{tmp_path}/a.jsonl#1"]


@pytest.mark.parametrize("location", ["ftp://host/a.txt", "hdfs://host/a", "memory://a"])
def test_an_address_of_another_kind_is_a_wrong_request(location: str) -> None:
    with pytest.raises(RequestError, match=f"cannot read '{location}': use a file, a folder, a glob, s3://.*hf://datasets/OWNER/NAME"):
        source_at(location)


@pytest.mark.parametrize("location", ["hf://", "hf://datasets/", "hf://models/a/b", "hf://datasets/a/b/c", "hf://datasets/a/b@"])
def test_an_address_on_the_hub_has_one_form(location: str) -> None:
    with pytest.raises(RequestError, match="write hf://datasets/OWNER/NAME or hf://datasets/OWNER/NAME@REVISION"):
        source_at(location)
