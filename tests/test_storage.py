"""Both kinds of store keep the same contract; object stores are tried on a real S3 server."""

import multiprocessing
import os
import pickle
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import Damaged, RequestError, RunError
from pipeline.storage import Entry, LocalStore, ObjectStore, Store, checksum_of, open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.workflow.driver import graph
from tests.workflow.steps import tree

ODD = "文档/a b#?%+é.txt"


@pytest.fixture
def s3(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """A store of its own in a new bucket."""
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))
    return open_store(f"{bucket}/deep/prefix/")


@pytest.fixture(params=["folder", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        found: Store = request.getfixturevalue("s3")
        return found
    return open_store(str(tmp_path / "root"))


def paths(store: Store, prefix: str) -> list[str]:
    return [entry.path for entry in store.list(prefix)]


@pytest.mark.parametrize("path", ["a", "a/b/c.json", ODD])
@pytest.mark.parametrize("data", [b"", b"some bytes\x00\xff"])
def test_what_is_put_is_got(any_store: Store, path: str, data: bytes) -> None:
    assert any_store.put_new(path, data) is True
    assert any_store.get(path) == data
    assert any_store.size(path) == len(data)
    assert any_store.checksum(path) == checksum_of(data)
    assert [(entry.path, entry.bytes) for entry in any_store.list("")] == [(path, len(data))]


def test_a_local_file_is_put_whole(any_store: Store, tmp_path: Path) -> None:
    data = os.urandom(12_000_000)  # above what object stores upload in one part by default
    (tmp_path / "shard").write_bytes(data)
    assert any_store.put_new("shards/0", tmp_path / "shard") is True
    assert any_store.put_new("shards/0", tmp_path / "shard") is False
    assert any_store.local("shards/0", checksum_of(data)).read_bytes() == data


def test_the_first_writer_wins(any_store: Store) -> None:
    assert [any_store.put_new("manifest.json", data) for data in (b"first", b"second")] == [True, False]
    assert any_store.get("manifest.json") == b"first"


def test_of_many_writers_at_once_exactly_one_wins(any_store: Store) -> None:
    gate = threading.Barrier(8)
    won: list[bytes] = []

    def write(number: int) -> None:
        data = b"%d" % number * 100_000
        gate.wait()
        if any_store.put_new("manifest.json", data):
            won.append(data)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [any_store.get("manifest.json")]


def test_a_journal_is_overwritten(any_store: Store) -> None:
    any_store.put("journal/run.json", b"running, with more words")
    any_store.put("journal/run.json", b"done")
    assert any_store.get("journal/run.json") == b"done"
    assert paths(any_store, "") == ["journal/run.json"]


def test_what_is_not_there_is_told_apart(any_store: Store) -> None:
    any_store.put_new("step/file", b"x")
    for path in ("nothing", "step", "step/file/below"):
        assert any_store.size(path) is None
    with pytest.raises(FileNotFoundError):
        any_store.get("nothing")
    with pytest.raises(FileNotFoundError):
        any_store.checksum("nothing")
    assert paths(any_store, "nothing") == []


def test_a_listing_is_of_a_folder_and_in_order_of_paths(any_store: Store) -> None:
    for path in ("tokens/b/2", "tokens/a", "tokens-more/x", "tokens/b/10", "tokens/B", "tokens/b.json"):
        any_store.put_new(path, b"x")
    assert paths(any_store, "tokens") == ["tokens/B", "tokens/a", "tokens/b.json", "tokens/b/10", "tokens/b/2"]
    assert paths(any_store, "tokens/b") == ["tokens/b/10", "tokens/b/2"]


def test_deleting_is_final_and_may_be_repeated(any_store: Store) -> None:
    any_store.put_new("a/b", b"x")
    any_store.delete("a/b")
    any_store.delete("a/b")
    assert any_store.size("a/b") is None
    assert any_store.put_new("a/b", b"y") is True


def test_a_local_copy_is_checked(any_store: Store) -> None:
    any_store.put_new("a", b"other bytes")
    with pytest.raises(Damaged, match=r"^a is damaged"):
        any_store.local("a", checksum_of(b"bytes"))


def test_a_local_copy_of_what_is_gone_is_damage(any_store: Store) -> None:
    with pytest.raises(Damaged, match=r"^a is missing"):
        any_store.local("a", checksum_of(b"bytes"))


def test_a_store_travels_to_another_process(any_store: Store) -> None:
    any_store.put_new("a", b"x")
    assert pickle.loads(pickle.dumps(any_store)).get("a") == b"x"
    assert open_store(any_store.url).get("a") == b"x"


def test_a_root_that_can_be_written_is_left_as_it_was(any_store: Store) -> None:
    any_store.check_writable()
    assert paths(any_store, "") == []


def test_a_graph_is_built_in_the_same_bytes_in_any_store(any_store: Store, tmp_path: Path) -> None:
    run([graph()], any_store, InlineExecutor())
    assert run([graph()], any_store, InlineExecutor()).built == ()
    folder = LocalStore(str(tmp_path / "folder"))
    run([graph()], folder, InlineExecutor())
    files = {path: any_store.get(path) for path in paths(any_store, "") if not path.endswith("manifest.json")}
    assert files == tree(folder.url)


def test_a_damaged_copy_in_the_cache_is_fetched_anew(s3: Store) -> None:
    s3.put_new("a", b"bytes")
    place = s3.local("a", checksum_of(b"bytes"))
    place.write_bytes(b"")
    assert s3.local("a", checksum_of(b"bytes")).read_bytes() == b"bytes"


def test_a_damaged_object_leaves_nothing_in_the_cache(s3: Store, tmp_path: Path) -> None:
    s3.put_new("a", b"other bytes")
    with pytest.raises(Damaged):
        s3.local("a", checksum_of(b"bytes"))
    assert [place for place in (tmp_path / "cache").rglob("*") if place.is_file()] == []


def test_a_bucket_that_is_not_there_is_a_wrong_request(s3: Store) -> None:
    with pytest.raises(RequestError, match=r"cannot write artifacts below 's3://no-such-bucket/x'.*check the address and the credentials"):
        open_store("s3://no-such-bucket/x").check_writable()


@pytest.mark.parametrize("kind", ["refusing", "unknown"])
def test_a_store_that_cannot_be_reached_is_told_on_one_line(kind: str, s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", {"refusing": "http://127.0.0.1:9", "unknown": "http://no-such-host.invalid"}[kind])
    store = open_store("s3://bucket/prefix")
    with pytest.raises(RunError) as told:
        store.get("manifest.json")
    assert str(told.value).startswith("s3://bucket/prefix/manifest.json: ")
    assert "run the same command again" in str(told.value)
    assert "\n" not in str(told.value)
    with pytest.raises(RequestError, match="check the address and the credentials"):
        store.check_writable()


def test_a_silent_store_is_given_up_after_a_few_tries(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes connections and never answers: as many tries as the settings say, each of bounded time."""
    monkeypatch.setattr("pipeline.storage.objects.QUICK", "200ms")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(RunError, match="after 3 retries"):
            open_store("s3://bucket/prefix").get("manifest.json")


def test_settings_of_the_environment_are_kept(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(RequestError):
        open_store(s3.url).check_writable()


def test_the_kind_of_store_follows_from_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert open_store("runs") == LocalStore(str(tmp_path / "runs"))
    assert open_store("file:///data/runs") == LocalStore("/data/runs")
    assert open_store("~/runs") == LocalStore("/home/someone/runs")
    assert open_store("s3://bucket/prefix/") == ObjectStore("s3://bucket/prefix")
    with pytest.raises(RequestError, match="cannot keep artifacts at 'ftp://host/x': use a folder"):
        open_store("ftp://host/x")


def test_a_draft_is_no_file(tmp_path: Path) -> None:
    """What a killed process was writing."""
    store = LocalStore(str(tmp_path))
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / ".draft-0").write_bytes(b"half")
    store.put_new("step/whole", b"x")
    assert list(store.list("")) == [Entry("step/whole", 1)]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "root"))
    with pytest.raises(FileNotFoundError):
        store.put_new("a", tmp_path / "no-such-file")
    (tmp_path / "root" / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        store.put("folder", b"x")
    assert [place.name for place in (tmp_path / "root").rglob("*")] == ["folder"]


def test_a_listing_passes_over_what_another_driver_removes_meanwhile(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    for name in "abc":
        store.put_new(name, b"x")
    listing = store.list("")
    first = next(listing)
    store.delete("b")
    assert [entry.path for entry in (first, *listing)] == ["a", "c"]


def test_a_root_that_is_a_file_is_a_wrong_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in ("file", "file/below"):
        with pytest.raises(RequestError, match=f"cannot write artifacts below '.*{root}'.*choose another --root"):
            LocalStore(str(tmp_path / root)).check_writable()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(place)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_told_with_the_file_and_leaves_no_draft(small_disk: Path) -> None:
    store = LocalStore(str(small_disk / "root"))
    with pytest.raises(OSError, match="No space left on device") as told:
        store.put_new("shard", bytes(1 << 20))
    assert told.value.filename == str(small_disk / "root" / "shard")
    assert list((small_disk / "root").iterdir()) == []
    assert store.put_new("shard", b"small") is True


def test_a_full_disk_is_a_wrong_request_before_anything_starts(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(512 << 10))
    with pytest.raises(RequestError, match="No space left on device; choose another --root"):
        LocalStore(str(small_disk)).check_writable()


def test_a_disk_that_may_only_be_read_is_a_wrong_request(small_disk: Path) -> None:
    run([graph()], LocalStore(str(small_disk)), InlineExecutor())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RequestError, match="Read-only file system; choose another --root"):
        LocalStore(str(small_disk)).check_writable()
    assert run([graph()], LocalStore(str(small_disk)), InlineExecutor()).built == (), "what is built can still be used"


def _check_as_nobody(root: str, told: "multiprocessing.SimpleQueue[str]") -> None:
    os.setuid(65534)
    try:
        LocalStore(root).check_writable()
    except RequestError as problem:
        told.put(str(problem))
    else:
        told.put("written")


def test_a_folder_without_permission_is_a_wrong_request(tmp_path: Path) -> None:
    if os.getuid():
        (tmp_path / "root").mkdir(mode=0o500)
        with pytest.raises(RequestError, match="Permission denied; choose another --root"):
            LocalStore(str(tmp_path / "root")).check_writable()
        return
    context = multiprocessing.get_context("fork")  # root may write anywhere: ask as someone else
    told: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    asker = context.Process(target=_check_as_nobody, args=(str(tmp_path / "root"), told))
    asker.start()
    asker.join()
    assert "Permission denied; choose another --root" in told.get()
