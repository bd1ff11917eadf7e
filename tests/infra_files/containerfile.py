"""A reader of container files: instructions with their arguments, continued lines joined, comments left out."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, such as COPY, and the rest of its line."""

    name: str
    arguments: str

    @property
    def words(self) -> list[str]:
        return self.arguments.split()


def instructions(file: Path) -> list[Instruction]:
    """The instructions of a container file, in order."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    split = [line.strip().split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [Instruction(words[0], words[1] if len(words) > 1 else "") for words in split]
