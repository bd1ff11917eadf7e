"""Bytes that are not what was written are noticed, whatever happened to them: of checkpoints, and of token shards.

Every corruption is drawn from a seed, so that one that is not noticed can be looked at again: its number is in the assertion.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.errors import Damaged
from pipeline.storage import base, open_store
from pipeline.tokens.shards import TRAIN, VALIDATION, TokenShards
from pipeline.train.checkpoint import Checkpoints
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.train.test_checkpoint import Diary
from tests.train.tiny import Lone, tokens

Files = dict[Path, bytes]
SAVED = (10, 20)


def flip(random: Random, data: bytes) -> bytes:
    place = random.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def truncate(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def zero(random: Random, data: bytes) -> bytes:
    start = random.randrange(len(data))
    stop = min(len(data), start + random.choice([1, 16, 512, 4096]))
    return data[:start] + bytes(stop - start) + data[stop:]


def append(random: Random, data: bytes) -> bytes:
    return data + random.choice([b"\n", b"\0", random.randbytes(random.randint(1, 64)), data])


CORRUPTIONS: tuple[Callable[[Random, bytes], bytes], ...] = (flip, truncate, zero, append)


def corrupted(random: Random, files: Files) -> Files:
    """The files after one to three mishaps."""
    changed = dict(files)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        act = random.choice([*CORRUPTIONS, "swap", "lose"])
        there = sorted(place for place, data in changed.items() if data)
        if act == "swap":
            one, other = random.choice(there), random.choice(there)
            changed[one], changed[other] = changed[other], changed[one]
        elif act == "lose":
            del changed[random.choice(there)]
        else:
            place = random.choice(there)
            changed[place] = act(random, changed[place])  # type: ignore[operator]
    return changed


def put_down(root: Path, files: Files) -> None:
    """Make these the files of a root, each a new one; a process that was started after that knows of none of them."""
    shutil.rmtree(root)
    for place, data in files.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    base._whole.clear()


def files_below(root: Path) -> Files:
    return {place: place.read_bytes() for place in root.rglob("*") if place.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoints, Files]:
    """Two checkpoints, and their files."""
    root = tmp_path_factory.mktemp("checkpoints")
    checkpoints = Checkpoints(open_store(str(root)), "pretrain/x/work/checkpoints/basis", "1 worker with Diary()", Lone())
    for step in SAVED:
        checkpoints.commit(step, [checkpoints.write(Diary(f"after {step}, " * 50).save, step, f"history of {step}\n" * 20)])
    return checkpoints, files_below(root)


def whole(files: Files, changed: Files) -> Iterator[int]:
    """The checkpoints of which every file is as it was."""
    for step in SAVED:
        if all(changed.get(place) == data for place, data in files.items() if f"step-{step:08d}" in str(place)):
            yield step


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 10))])
def test_of_corrupted_checkpoints_the_newest_whole_one_is_gone_on_from(
    written: tuple[Checkpoints, Files], part: int, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints, files = written
    for number in range(part * 130, (part + 1) * 130):
        changed = corrupted(Random(number), files)
        put_down(Path(checkpoints.store.url), changed)
        caplog.clear()
        engine, newest = Diary(), max(whole(files, changed), default=0)
        with caplog.at_level(logging.WARNING):
            resumed = checkpoints.resume(engine)  # type: ignore[arg-type]
        assert resumed.steps == newest, number
        assert (engine.text, resumed.history) == (f"after {newest}, " * 50, f"history of {newest}\n" * 20) if newest else ("", ""), number
        assert (f"the checkpoint of {SAVED[-1]} steps is" in caplog.text) is (newest != SAVED[-1]), number
        assert ("no checkpoint is whole: training begins with the first step" in caplog.text) is (newest == 0), number


def test_a_whole_checkpoint_under_the_number_of_another_is_noticed(written: tuple[Checkpoints, Files]) -> None:
    checkpoints, files = written
    put_down(
        Path(checkpoints.store.url), {Path(str(place).replace("step-00000020", "step-00000030")): data for place, data in files.items()}
    )
    assert checkpoints.resume(Diary()).steps == 10  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenShards, Files]:
    store = open_store(str(tmp_path_factory.mktemp("shards")))
    run([tokens()], store, InlineExecutor())
    opened = open_artifact(store, tokens())
    return opened, {Path(store.url, entry.place(opened.address)): b"" for entry in (*opened.files(TRAIN), *opened.files(VALIDATION))}


def test_token_shards_that_were_corrupted_are_not_read(shards: tuple[TokenShards, Files]) -> None:
    opened, places = shards
    files = {place: place.read_bytes() for place in places}
    for number in range(700):
        changed = corrupted(Random(number), files)
        for place in files:
            place.unlink(missing_ok=True)
            if place in changed:
                place.write_bytes(changed[place])
        base._whole.clear()
        if changed == files:
            assert list(opened.batches(TRAIN)), number
            continue
        with pytest.raises(Damaged):
            [*opened.batches(TRAIN), *opened.batches(VALIDATION)]
