"""Tasks whose examples are the records of a file, asked alone or after a few others with their answers."""

import random
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pipeline.errors import RequestError
from pipeline.evaluate.base import A, EvalTask, NoDocuments, Q
from pipeline.evaluate.task_file import Row, TaskFile
from pipeline.evaluate.template import filled

BETWEEN_SHOTS = "\n\n"


@dataclass(frozen=True, kw_only=True)
class FileTask(EvalTask[Q, A]):
    """A task that asks about every record of a file, in order."""

    file: TaskFile
    """A file of records, or a folder of such files."""
    called: str = ""
    """The task's name among the scores; the file's name where none is given."""
    limit: int | None = None
    """Ask about so many records, from the first; None: about all."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise RequestError(f"limit of {self.name} is {self.limit}: use 1 or more, or none to ask about all records")

    @property
    def name(self) -> str:
        return self.called or self.file.name

    def rows(self) -> Iterator[Row]:
        """The records that are asked about."""
        return islice(self.file.rows(), self.limit)

    def check(self) -> None:
        for _ in self.examples(NoDocuments()):
            pass


@dataclass(frozen=True, kw_only=True)
class FewShotTask(FileTask[Q, A]):
    """A task whose question may come after a few others with their answers (Brown and others, 2020)."""

    shots: int = 0
    """Answered records before a question."""
    seed: int = 0
    """Decides which ones: for each question others, and the same in every run."""
    shots_from: TaskFile | None = None
    """Where they are drawn from; none: from the other records of the same file."""
    description: str = ""
    """A template of what stands before everything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shots < 0:
            raise RequestError(f"shots of {self.name} is {self.shots}: use 0 or more")
        if self.shots_from is not None and not self.shots:
            raise RequestError(f"shots_from of {self.name} is given and shots is 0: say how many to draw, such as shots=5")

    @abstractmethod
    def shown(self, row: Row) -> str:
        """A record with its answer, as it stands before a question."""

    def prompted(self) -> Iterator[tuple[Row, str]]:
        """Each record that is asked about, and what stands before its question."""
        pool = list((self.shots_from or self.file).rows()) if self.shots else []
        for place, row in enumerate(self.rows()):
            shots = "".join(self.shown(other) + BETWEEN_SHOTS for other in self._drawn(pool, place))
            yield row, filled(self.description, row) + shots

    def _drawn(self, pool: list[Row], place: int) -> list[Row]:
        """Records of a pool for the question at a place, which is not among them."""
        own = None if self.shots_from else place
        if not self.shots:
            return []
        if self.shots > len(pool) - (own is not None):
            raise RequestError(f"shots of {self.name} is {self.shots}, and there are {len(pool)} records to draw from: use fewer")
        drawn = random.Random(f"{self.seed}:{place}").sample(range(len(pool)), min(self.shots + 1, len(pool)))  # noqa: S311 - no secret
        return [pool[number] for number in drawn if number != own][: self.shots]
