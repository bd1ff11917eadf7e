"""Tar and zip archives: which members are read, as what, and where their records say that they are from."""

import bz2
import gzip
import io
import logging
import os
import random
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.documents import Document, Documents
from pipeline.sources.extraction.extractor import Extractor
from pipeline.sources.files import Files
from pipeline.sources.formats import archive, streams
from pipeline.sources.formats.base import SourceFile
from pipeline.sources.formats.inspector import Inspector
from pipeline.sources.formats.known import format_of
from pipeline.sources.formats.tar import Tar
from pipeline.sources.ingest import Ingest
from tests.sources.bounds import bounded, judged
from tests.sources.containers import COMPRESSED, encoded, kept
from tests.sources.web_archives import html, joined, octal, padded, page, pax, pax_line, summed, tar_header, tar_member

Build = Callable[[Ingest], Documents]
Content = Sequence[tuple[str, bytes]]
ROWS = [{"text": f"row {number}", "n": str(number)} for number in range(2)]
FILES = [
    ("a/page.html", html("a page", "<title>t</title>")),
    ("a/rows.jsonl.gz", gzip.compress(encoded("jsonl", ROWS))),
    ("./b/rows.parquet", encoded("parquet", ROWS)),
    ("b/crawl.warc", page("crawled")),
    ("picture.png", b"\x89PNG"),
    ("c/.hidden/x.txt", b"hidden"),
    ("z!#\\\u6587.txt", b"text"),
]
ORIGINS = [
    ("a/page.html#0", "a page"),
    ("a/rows.jsonl.gz#1", "row 0"),
    ("a/rows.jsonl.gz#2", "row 1"),
    ("./b/rows.parquet#0", "row 0"),
    ("./b/rows.parquet#1", "row 1"),
    ("b/crawl.warc#0", "crawled"),
    ("z\\u{21}\\u{23}\\u{5c}\u6587.txt#0", "text"),
]


def tar(content: Content, style: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=style) as writer:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        writer.addfile(folder)
        for name, data in content:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            writer.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def zipped(content: Content, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as writer:
        writer.writestr("a/", b"")
        for name, data in content:
            writer.writestr(name, data)
    return sink.getvalue()


ARCHIVES = {
    "a.tar": tar(FILES),
    "gnu.tar": tar(FILES, tarfile.GNU_FORMAT),
    "a.tar.gz": gzip.compress(tar(FILES)),
    "a.tgz": gzip.compress(tar(FILES)),
    "a.tar.zst": zstandard.compress(tar(FILES)),
    "a.zip": zipped(FILES),
    "stored.zip": zipped(FILES, zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_each_member_in_a_known_format_is_read_as_that_format(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / name).write_bytes(ARCHIVES[name])
    with caplog.at_level(logging.WARNING):
        documents = kept(tmp_path / name)
    assert [(document.origin, document.text) for document in documents] == [(f"{tmp_path}/{name}!{at}", text) for at, text in ORIGINS]
    assert documents[0].meta == '{"title": "t"}'
    assert caplog.messages == [f"{tmp_path}/{name}: passed over: 1 hidden, 1 in no known format"]


@pytest.mark.parametrize("length", [99, 100, 101, 155, 256, 3000])
@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_whole(style: int, length: int, tmp_path: Path) -> None:
    name = "f/" + "n" * (length - 6) + ".txt"
    (tmp_path / "a.tar").write_bytes(tar([(name, b"text"), ("next.txt", b"more")], style))
    assert [document.origin.split("!")[1] for document in kept(tmp_path / "a.tar")] == [f"{name}#0", "next.txt#0"]


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), max_size=120), st.binary(max_size=1500)), max_size=6
    )
)
def test_members_of_a_tar_are_those_that_tarfile_finds(tmp_path_factory: pytest.TempPathFactory, content: list[tuple[str, bytes]]) -> None:
    place = tmp_path_factory.mktemp("tar") / "a.tar"
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        place.write_bytes(tar(content, style))
        with tarfile.open(place) as reader:
            expected = [(member.name, member.size) for member in reader.getmembers() if member.isreg()]
        found = [member for member in Tar(format_of).members(SourceFile(place, "a.tar")) if member.fault is None]
        assert [(member.name.rstrip("/"), member.bytes) for member in found] == [(name.rstrip("/"), size) for name, size in expected]


def test_nothing_is_left_of_an_archive_but_its_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "data" / "a.tar").write_bytes(tar([("../up.txt", b"up"), ("down.txt", b"down"), (f"{tmp_path}/absolute.txt", b"root")]))
    Files.at(str(tmp_path / "data"))
    source = Files.at(str(tmp_path / "data"))
    list(source.read(source.partitions()[0]))
    assert sorted(os.listdir(tmp_path)) == ["data", "temporary"]
    assert os.listdir(tmp_path / "temporary") == []
    assert os.listdir(tmp_path / "data") == ["a.tar"]


GOOD = tar_member(b"good.txt", b"good")
END = bytes(1024)
NOISE = b"no header " * 200
TARS: dict[str, tuple[bytes, list[str]]] = {
    "an absolute path": (tar_member(b"/etc/x.txt", b"bad"), ["unsafe-path"]),
    "a path that leads up": (tar_member(b"a/../../x.txt", b"bad"), ["unsafe-path"]),
    "a path that leads up elsewhere": (tar_member(b"a\\..\\x.txt", b"bad"), ["unsafe-path"]),
    "a drive": (tar_member(b"C:\\x.txt", b"bad"), ["unsafe-path"]),
    "a path that leads up in a pax header": (pax([(b"path", b"../x.txt")]) + tar_member(b"x.txt", b"bad"), ["unsafe-path"]),
    "an absolute prefix": (tar_header(b"x.txt", octal(0), prefix=b"/etc"), ["unsafe-path"]),
    "a name of a megabyte": (tar_member(b"long", b"a" * 900_000 + b".txt\0", b"L") + tar_member(b"x.txt", b"bad"), ["unsafe-path"]),
    "NUL in a name": (pax([(b"path", b"a\0/../x.txt")]) + tar_member(b"x.txt", b"bad"), ["unsafe-path"]),
    "no name": (tar_member(b"", b"bad"), ["unsafe-path"]),
    "a symbolic link": (tar_header(b"x.txt", octal(0), b"2", b"/etc/passwd"), ["link"]),
    "a hard link": (tar_header(b"x.txt", octal(0), b"1", b"../good.txt"), ["link"]),
    "a link that claims data": (tar_header(b"x.txt", octal(4000), b"2", b"good.txt"), ["link"]),
    "a character device": (tar_header(b"x.txt", octal(0), b"3"), ["device"]),
    "a block device": (tar_header(b"x.txt", octal(0), b"4"), ["device"]),
    "a pipe": (tar_header(b"x.txt", octal(0), b"6"), ["device"]),
    "an unknown type": (tar_member(b"x.txt", b"bad", b"Z"), ["unknown-member-type"]),
    "an old sparse member": (tar_member(b"x.txt", b"bad", b"S"), ["sparse-member"]),
    "a sparse member of terabytes": (
        pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"9" * 15)]) + tar_member(b"x.txt", b"bad"),
        ["sparse-member"],
    ),
    "a member of the same name": (tar_member(b"good.txt", b"bad"), ["duplicate-member"]),
    "an archive in it": (tar_member(b"x.tar.gz", gzip.compress(GOOD)), ["nested-archive"]),
    "a zip in it": (tar_member(b"x.ZIP", b"PK"), ["nested-archive"]),
    "a size beyond the end": (tar_header(b"x.txt", octal(7 << 30)) + padded(b"bad"), ["lying-size"]),
    "a binary size beyond all ends": (tar_header(b"x.txt", b"\x80" + b"\xff" * 11) + padded(b"bad"), ["lying-size"]),
    "a pax size beyond the end": (pax([(b"size", b"9" * 18)]) + tar_member(b"x.txt", b"bad"), ["lying-size"]),
    "a pax size that is no number": (pax([(b"size", b"-5")]) + tar_member(b"x.txt", b"bad"), ["bad"]),
    "a negative size": (tar_header(b"x.txt", b"\xff" * 12), ["damaged-file"]),
    "a size of letters": (tar_header(b"x.txt", b"abcdefghijk\0"), ["damaged-file"]),
    "a wrong checksum": (tar_member(b"x.txt", b"bad")[:20] + b"?" + tar_member(b"x.txt", b"bad")[21:], ["damaged-file"]),
    "blocks that are no headers": (padded(NOISE), ["damaged-file"]),
    "a pax header of megabytes": (tar_member(b"p", b"a" * 3_000_000, b"x") + tar_member(b"x.txt", b"bad"), ["malformed-header"]),
    "a pax header of terabytes": (tar_header(b"p", octal((8 << 30) - 1), b"x") + padded(b"bad"), ["truncated"]),
    "a pax header of wrong lengths": (tar_member(b"p", b"99999 path=x\n", b"x") + tar_member(b"x.txt", b"bad"), ["malformed-header"]),
    "a pax header of negative lengths": (tar_member(b"p", b"-5 path=x\n", b"x") + tar_member(b"x.txt", b"bad"), ["malformed-header"]),
    "a pax header of spaces": (tar_member(b"p", b" " * 500_000, b"x") + tar_member(b"x.txt", b"bad"), ["malformed-header"]),
    "a pax header of a hundred thousand lines": (
        tar_member(b"p", pax_line(b"k", b"v") * 100_000, b"x") + tar_member(b"x.txt", b"fine"),
        ["fine"],
    ),
    "ten thousand headers of one member": (pax([(b"path", b"y.txt")]) * 10_000 + tar_member(b"x.txt", b"fine"), ["fine"]),
    "ten thousand long names": (tar_member(b"l", b"y.txt\0", b"L") * 10_000 + tar_member(b"x.txt", b"fine"), ["fine"]),
    "a text of wrong bytes": (tar_member(b"x.txt", b"\xff\xfe\xfd wrong \xe6"), ["undecodable"]),
    "a bomb": (tar_member(b"x.txt.gz", gzip.compress(bytes(150_000_000))), ["decompression-limit"]),
    "a zstd bomb": (tar_member(b"x.jsonl.zst", zstandard.compress(bytes(150_000_000))), ["decompression-limit"]),
    "a compressed member cut off": (tar_member(b"x.txt.gz", gzip.compress(random.Random(7).randbytes(999))[:-50]), ["truncated"]),
    "a table that is none": (tar_member(b"x.parquet", b"PAR1 nonsense PAR1"), ["damaged-file"]),
    "a name of wrong bytes": (tar_member(b"caf\xe9\n\x1b[31m.txt", b"fine"), ["fine"]),
}


def outcomes(name: str, content: bytes, folder: Path, build: Build) -> list[str]:
    (folder / "data").mkdir()
    (folder / "data" / name).write_bytes(content)
    (folder / "data" / "z.txt").write_text("the next file")
    found = judged(folder / "data", build)
    assert found[-1] == "the next file"
    return found[:-1]


@pytest.mark.parametrize("name", TARS)
def test_a_hostile_member_of_a_tar_costs_itself_alone(name: str, tmp_path: Path, build: Build) -> None:
    bad, reasons = TARS[name]
    found = outcomes("a.tar", GOOD + bad + tar_member(b"last.txt", b"last") + END, tmp_path, build)
    assert found == (["good", *reasons, "last"] if name != "a pax header of terabytes" else ["good", *reasons])


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        (GOOD + tar_header(b"x.txt", octal(7 << 30)) + padded(b"bad"), ["good", "too-large", "truncated"]),
        (GOOD + tar_header(b"x.txt", octal(1 << 30)) + padded(b"bad"), ["good", "truncated"]),
        (GOOD + tar_header(b"x.png", octal(7 << 30)) + padded(b"bad"), ["good", "truncated"]),
        (GOOD + GOOD[:700], ["good", "duplicate-member"]),
        (GOOD[:700], ["good"]),
        (GOOD + GOOD[:300], ["good", "truncated"]),
        (GOOD + tar_member(b"x.txt", bytes(300_000_000)), ["good", "decompression-limit"]),
        (NOISE, ["damaged-file"]),
        (b"", []),
    ],
    ids=["large size", "size", "size of no document", "cut in a duplicate", "cut in padding", "cut in a header", "bomb", "no tar", "empty"],
)
def test_a_compressed_tar_that_breaks_off_is_kept_up_to_there(
    content: bytes, reasons: list[str], suffix: str, tmp_path: Path, build: Build
) -> None:
    assert outcomes(f"a.tar{suffix}", COMPRESSED[suffix](content), tmp_path, build) == reasons


def test_a_compressed_tar_with_wrong_bytes_in_it_is_kept_up_to_them(tmp_path: Path, build: Build) -> None:
    whole = gzip.compress(
        GOOD + b"".join(tar_member(b"%d.txt" % number, random.Random(number).randbytes(5000).hex().encode()) for number in range(50)) + END
    )
    found = outcomes("a.tar.gz", whole[:200_000] + bytes(50) + whole[200_050:], tmp_path, build)
    assert found[0] == "good"
    assert len(found) > 20
    assert found[-1] in ("damaged-file", "truncated")


def test_all_members_together_are_bounded(tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 20 << 20)
    monkeypatch.setattr(archive, "FREE_MEMBER_BYTES", 4 << 20)
    bombs = [(f"{number}.txt.gz", gzip.compress(bytes(3_000_000))) for number in range(20)]
    found = outcomes("a.zip", zipped(bombs), tmp_path, build)
    assert found.count("binary") == 6
    assert set(found[6:]) == {"decompression-limit"}


def test_too_many_members_are_given_up(tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS", 3)
    found = outcomes("a.tar", b"".join(tar_member(b"%d.txt" % number, b"text") for number in range(9)) + END, tmp_path, build)
    assert found == ["text", "text", "text", "too-many-members"]


def changed(content: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    for old, new in changes:
        assert old in content
        content = content.replace(old, new)
    return content


def attributed(mode: int) -> bytes:
    entry = zipfile.ZipInfo("x.txt")
    entry.external_attr = mode << 16
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as writer:
        writer.writestr("good.txt", b"good")
        writer.writestr(entry, b"/etc/passwd")
    return sink.getvalue()


def overlapping() -> bytes:
    """Two entries in the central directory for the same bytes."""
    whole = zipped([("good.txt", b"good"), ("x.txt", b"bad")])
    first = whole.rindex(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    entry = whole[first:end]
    again = entry.replace(b"x.txt", b"y.txt")
    count = 4
    size = end - whole.index(b"PK\x01\x02") + len(entry)
    tail = b"PK\x05\x06\0\0\0\0" + count.to_bytes(2, "little") * 2 + size.to_bytes(4, "little") + whole[end + 16 :]
    return whole[:end] + again + tail


PLAIN = zipped([("good.txt", b"good"), ("x.txt", b"some text that is deflated " * 9)])
STORED = zipped([("good.txt", b"good"), ("x.txt", b"some text")], zipfile.ZIP_STORED)
CENTRAL = PLAIN.rindex(b"PK\x01\x02")


def central(place: int, value: bytes) -> bytes:
    """The archive with other bytes in the last entry of its central directory."""
    return PLAIN[: CENTRAL + place] + value + PLAIN[CENTRAL + place + len(value) :]


def many(*names: str) -> bytes:
    return zipped([("good.txt", b"good"), *((name, b"bad") for name in names)])


ZIPS: dict[str, tuple[bytes, list[str]]] = {
    "an absolute path": (many("/etc/x.txt"), ["good", "unsafe-path"]),
    "a path that leads up": (many("../../x.txt"), ["good", "unsafe-path"]),
    "a path that leads up elsewhere": (many("..\\x.txt"), ["good", "unsafe-path"]),
    "a drive": (many("C:/x.txt"), ["good", "unsafe-path"]),
    "a symbolic link": (attributed(0o120777), ["good", "link"]),
    "a device": (attributed(0o020666), ["good", "device"]),
    "a pipe": (attributed(0o010666), ["good", "device"]),
    "an archive in it": (many("x.zip", "x.tgz"), ["good", "nested-archive", "nested-archive"]),
    "an encrypted member": (central(8, b"\x01\0"), ["good", "encrypted-member"]),
    "a compression of much memory": (zipped([("x.txt", b"bad" * 99)], zipfile.ZIP_BZIP2), ["unknown-compression"]),
    "LZMA": (zipped([("x.txt", b"bad" * 99)], zipfile.ZIP_LZMA), ["unknown-compression"]),
    "a compression that nobody knows": (central(10, b"\x63\0"), ["good", "unknown-compression"]),
    "a wrong checksum": (central(16, b"\1\1\1\1"), ["good", "damaged-file"]),
    "a size that is too large": (central(24, (999).to_bytes(4, "little")), ["good", "lying-size"]),
    "a size that is too small": (central(24, (5).to_bytes(4, "little")), ["good", "damaged-file"]),
    "a size of gigabytes": (central(24, b"\xfe\xff\xff\xfe"), ["good", "lying-size"]),
    "a compressed size of gigabytes": (central(20, b"\xfe\xff\xff\xfe"), ["good", "lying-size"]),
    "a place beyond the end": (central(42, b"\xfe\xff\xff\x0f"), ["good", "lying-size"]),
    "another name before its data": (changed(STORED, (b"x.txtsome", b"y.txtsome")), ["good", "damaged-file"]),
    "wrong bytes in a member": (changed(STORED, (b"some text", b"SOME TEXT")), ["good", "damaged-file"]),
    "two entries for the same bytes": (overlapping(), ["good", "overlapping-members", "overlapping-members"]),
    "a bomb": (zipped([("x.txt", bytes(150_000_000)), ("good.txt", b"good")]), ["decompression-limit", "good"]),
    "a bomb in a bomb": (zipped([("x.txt.gz", gzip.compress(bytes(300_000_000))), ("good.txt", b"good")]), ["decompression-limit", "good"]),
    "its end cut off": (PLAIN[:-30], ["damaged-file"]),
    "its beginning cut off": (PLAIN[40:], ["damaged-file", "some text that is deflated " * 9]),
    "a directory of gigabytes": (PLAIN[:-10] + b"\xff\xff\xff\x7f" + PLAIN[-6:], ["damaged-file"]),
    "a directory elsewhere": (PLAIN[:-6] + b"\xff\xff\xff\x7f" + PLAIN[-2:], ["damaged-file", "damaged-file"]),
    "no zip": (b"PK\x03\x04 nonsense" * 100, ["damaged-file"]),
    "only an end": (b"PK\x05\x06" + bytes(18), []),
    "a comment that is an end": (PLAIN[:-2] + b"\x16\0" + b"PK\x05\x06" + bytes(18), []),
    "compressed data as a text": (zipped([("x.txt", bz2.compress(bytes(999)))]), ["binary"]),
}


@pytest.mark.parametrize("name", ZIPS)
def test_a_hostile_zip_ends_in_reasons(name: str, tmp_path: Path, build: Build) -> None:
    content, reasons = ZIPS[name]
    assert outcomes("a.zip", content, tmp_path, build) == reasons


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_first_of_two_members_of_the_same_name_is_read(tmp_path: Path, build: Build) -> None:
    assert outcomes("a.zip", many("x.txt", "x.txt"), tmp_path, build) == ["good", "bad", "duplicate-member"]


def test_a_central_directory_of_hundred_thousands_of_entries_is_too_large(tmp_path: Path, build: Build) -> None:
    entry = PLAIN[CENTRAL : PLAIN.index(b"PK\x05\x06")]
    size = len(entry) * 700_000
    end = b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff" + size.to_bytes(4, "little") + (0).to_bytes(4, "little") + b"\0\0"
    (tmp_path / "a.zip.gz").write_bytes(gzip.compress(entry * 700_000 + end, 1))
    assert judged(tmp_path, build) == ["too-large"]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip", "a.warc", "a.warc.gz", "a.warc.zst", "a.html"])
def test_no_wrong_byte_is_more_than_a_reason(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are changed at random; what comes of it is records and reasons, and nothing else."""
    numbers, suffix = random.Random(7), name.removeprefix("a")
    sound = ARCHIVES.get(name) or (FILES[0][1] if suffix == ".html" else joined([page("one"), page("two"), page("three")], suffix))
    reader = format_of(name)
    assert reader is not None
    outcomes = set[str]()
    with closing(Extractor()) as extractor, closing(Inspector()) as inspector, bounded():
        for _ in range(200):
            data = bytearray(sound)
            for _ in range(numbers.choice([1, 3, 20])):
                data[numbers.randrange(len(data))] = numbers.choice([0, 127, 255, numbers.randrange(256)])
            if numbers.random() < 0.2:
                del data[numbers.randrange(len(data)) :]
            (tmp_path / name).write_bytes(data)
            found = list(reader.records(SourceFile(tmp_path / name, name, inspector, extractor), "text"))
            assert len({(record.member, record.place) for record in found}) == len(found)
            outcomes |= {type(record).__name__ for record in found}
    assert outcomes == {"Record", "Bad"} or name == "a.tar.gz"  # of which nothing is left: it is one piece of compression


def test_a_summed_header_is_one_that_tarfile_takes() -> None:
    block = summed(tar_header(b"x.txt", octal(3)))
    assert tarfile.TarInfo.frombuf(block, "utf-8", "strict").size == 3


def test_members_of_real_archives_are_pages(shared_data: Path) -> None:
    for language in ("en-US", "zh-CN"):
        documents = kept(shared_data / "web" / f"{language}.tar.gz")
        assert len(documents) == 127
        assert all(f"{language}.tar.gz!{language}/" in document.origin for document in documents)
        assert all(isinstance(document, Document) and len(document.text) > 40 for document in documents)
