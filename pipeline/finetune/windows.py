"""Examples as a model is shown them: arrays of numbers, encoded once and read at random."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.batches.permutation import epoch_permutation
from pipeline.documents import document_id
from pipeline.errors import RunError
from pipeline.finetune.base import DOCUMENTS, Arrays, FinetuneTask, Shown, Unfit
from pipeline.finetune.examples import Examples
from pipeline.finetune.reader import Reader, labels_for
from pipeline.tokens.split import Split
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

WINDOWS = "windows"
ROWS_A_UNIT = 1 << 13


class Column(NamedTuple):
    """Arrays of different lengths, one after the other; array n is values[starts[n] : starts[n + 1]]."""

    values: NDArray[Any]
    starts: NDArray[np.int64]


class Windows(Artifact):
    """All that is trained on."""

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The arrays by the names of the model's inputs."""
        import pyarrow as pa
        from pyarrow.parquet import read_table

        table = pa.concat_tables([read_table(self.local(entry)) for entry in self.files(WINDOWS)]).combine_chunks()
        columns = {}
        for name in table.column_names:
            array = table[name].combine_chunks()
            columns[name] = Column(array.flatten().to_numpy(), np.concatenate(([0], np.cumsum(array.value_lengths().to_numpy()))))
        return columns

    def __len__(self) -> int:
        return int(self.facts["windows"])

    def rows(self, numbers: Sequence[int]) -> int:
        """How many rows are packed into some windows; windows that are not packed count as one each."""
        if DOCUMENTS not in self.columns:
            return len(numbers)
        values, starts = self.columns[DOCUMENTS]
        return int(values[starts[np.asarray(numbers) + 1] - 1].sum())

    def batch(self, numbers: Sequence[int], names: Sequence[str], filling: Mapping[str, int]) -> list[NDArray[Any]]:
        """Some windows as one array [B, T] a name, filled up behind to the longest."""
        arrays = []
        for name in names:
            values, starts = self.columns[name]
            rows = [values[starts[number] : starts[number + 1]] for number in numbers]
            filled = np.full((len(rows), max(map(len, rows))), filling[name], dtype=values.dtype)
            for place, row in enumerate(rows):
                filled[place, : len(row)] = row
            arrays.append(filled)
        return arrays


@dataclass(frozen=True, kw_only=True)
class EncodeExamples(Step[Windows]):
    """Show examples to a checkpoint's tokenizer. Facts: `read`, `kept`, `dropped`, `truncated`, `windows`, `tokens` (targets included)."""

    artifact: ClassVar[type[Artifact]] = Windows
    examples: Step[Examples]
    checkpoint: Step[Checkpoint]
    task: FinetuneTask
    context: int | None = None
    """Greatest number of tokens in a window; None: the model's."""
    held_out: float = 0.0
    """The share of the examples that is left out."""

    def run(self, context: Context) -> Facts:
        count = context.open(self.examples).facts["kept"]
        totals = Counter[str]()
        dropped = Counter[str]()
        for receipt in context.map(self.encode, range(0, count, ROWS_A_UNIT)):
            totals.update({name: value for name, value in receipt.facts.items() if name != "dropped"})
            dropped.update(receipt.facts["dropped"])
        if not totals["windows"]:
            raise RunError(
                f"none of {count} examples fits the model ({', '.join(dropped) or 'no example'}): raise context, or shorten them"
            )
        return {**totals, "dropped": dict(dropped)}

    def encode(self, unit: Unit, first: int) -> Facts:
        """One unit: some rows, one after the other."""
        reader = self._reader(unit)
        windows, dropped, truncated, read = list[Arrays](), Counter[str](), 0, 0
        for _, shown in self._shown(unit, reader, first):
            read += 1
            if isinstance(shown, str):
                dropped[shown] += 1
                continue
            windows += shown.windows
            truncated += shown.truncated
        windows = list(self.task.completed(windows, reader))
        unit.write(WINDOWS, _parquet(windows, self.task.inputs), ".parquet", len(windows))
        tokens = sum(len(window[self.task.inputs[0]]) for window in windows)
        kept = read - dropped.total()
        counts = {"read": read, "kept": kept, "truncated": truncated, "windows": len(windows), "tokens": tokens}
        return {**counts, "dropped": dict(dropped)}

    def origins(self, unit: Unit, first: int) -> list[list[str]]:
        """Where the examples in each window of a unit were read: they are shown once more, since windows do not say it."""
        reader, windows, origins = self._reader(unit), list[Arrays](), list[str]()
        for origin, shown in self._shown(unit, reader, first):
            if not isinstance(shown, str):
                windows += shown.windows
                origins += [origin] * len(shown.windows)
        return [[origins[number] for number in group] for group in self.task.together(windows, reader)]

    def _reader(self, unit: Unit) -> Reader:
        folder = unit.open(self.checkpoint).model
        return Reader(folder, labels_for(folder, unit.open(self.examples).labels), self.context)

    def _shown(self, unit: Unit, reader: Reader, first: int) -> Iterator[tuple[str, Shown | str]]:
        """Where each example of a unit was read, and what the model is shown of it, or why it is nothing."""
        for example in itertools.islice(unit.open(self.examples).rows(), first, first + ROWS_A_UNIT):
            if is_held_out(example.origin, self.held_out):
                yield example.origin, "held-out"
                continue
            try:
                yield example.origin, self.task.shown(example.row, reader)
            except Unfit as problem:
                yield example.origin, str(problem)


def origins_of(encode: EncodeExamples, unit: Unit, windows: Windows, numbers: Sequence[int]) -> list[str]:
    """Where the examples in some of the windows that a step made were read, in order and each once."""
    wanted, found, before = sorted(set(numbers)), dict[str, None](), 0
    for place, entry in enumerate(windows.files(WINDOWS)):
        here = [number - before for number in wanted if before <= number < before + (entry.rows or 0)]
        if here:
            origins = encode.origins(unit, place * ROWS_A_UNIT)
            found |= dict.fromkeys(origin for number in here for origin in origins[number])
        before += entry.rows or 0
    return list(found)


def is_held_out(origin: str, share: float) -> bool:
    """Whether an example is kept from training, by a hash of where it stands: those of one group (`FILE#GROUP.PLACE`) all or none."""
    file, _, place = origin.rpartition("#")
    return share > 0 and Split(fraction=share).held_out(document_id(f"{file}#{place.partition('.')[0]}", ""))


def _parquet(windows: Sequence[Arrays], names: Sequence[str]) -> bytes:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    def kind(name: str) -> Any:
        return pa.float64() if any(isinstance(value, float) for window in windows for value in window[name]) else pa.int64()

    arrays = {name: pa.array([list(window[name]) for window in windows], pa.list_(kind(name))) for name in names}
    sink = pa.BufferOutputStream()
    write_table(pa.table(arrays), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


@dataclass(frozen=True)
class Visits:
    """The order in which windows are trained on, epoch after epoch: a function of the seed and the step."""

    count: int
    seed: int

    def numbers(self, first: int, count: int) -> list[int]:
        """The windows at some places of the order."""
        return list(self._numbers(first, first + count))

    def _numbers(self, place: int, stop: int) -> Iterator[int]:
        while place < stop:
            epoch, within = divmod(place, self.count)
            here = min(stop - place, self.count - within)
            yield from map(int, epoch_permutation(self.count, self.seed, 0, epoch)(np.arange(within, within + here, dtype=np.uint64)))
            place += here


def windows_of(step: int, count: int, batch: int, seed: int) -> list[int]:
    """The windows, of so many, that are trained on in a step, counted from 0."""
    return Visits(count, seed).numbers(step * batch, batch)
