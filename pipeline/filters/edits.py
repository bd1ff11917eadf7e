"""What editors did to the documents that were kept, counted for a stage's manifest."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.filters.base import Editor, Filter


class Change(NamedTuple):
    """One document's text, changed: by which editor, by how many characters it became shorter, and how, by kind."""

    editor: str
    characters: int
    changes: Mapping[str, int]


@dataclass
class Edited:
    """The documents that an editor changed, the characters that they lost together, and its changes by kind."""

    documents: int = 0
    characters: int = 0
    changes: Counter[str] = field(default_factory=Counter)


@dataclass
class Edits:
    """The counts of a chain's editors, by their names. A chain without editors has none."""

    editors: dict[str, Edited]

    @classmethod
    def none(cls, filters: Sequence[Filter]) -> "Edits":
        """No edits yet."""
        return cls({member.name(): Edited() for member in filters if isinstance(member, Editor)})

    @classmethod
    def total(cls, filters: Sequence[Filter], parts: Iterable[Mapping[str, Any]]) -> "Edits":
        """The sums of the facts of several units."""
        whole = cls.none(filters)
        for part in parts:
            for name, counts in part.get("edited", {}).items():
                whole._count(name, **counts)
        return whole

    def add(self, edits: Iterable[Change]) -> None:
        """Count what was done to one document."""
        for edit in edits:
            self._count(edit.editor, 1, edit.characters, edit.changes)

    def _count(self, name: str, documents: int, characters: int, changes: Mapping[str, int]) -> None:
        mine = self.editors[name]
        mine.documents += documents
        mine.characters += characters
        mine.changes.update(changes)

    def facts(self) -> dict[str, Any]:
        """`edited`: for each editor `documents`, `characters` (that texts became shorter by) and `changes`; nothing without editors."""
        if not self.editors:
            return {}
        return {
            "edited": {
                name: {"documents": mine.documents, "characters": mine.characters, "changes": dict(sorted(mine.changes.items()))}
                for name, mine in sorted(self.editors.items())
            }
        }
