"""A receipt: what one unit of work left. It is written once, after the unit's files, and says which of them count."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.workflow.artifact import FileEntry, as_utf8


@dataclass(frozen=True)
class Receipt:
    """What one unit left: files of the artifact, scratch files for later units of the same step, and counts."""

    files: tuple[FileEntry, ...]
    scratch: tuple[FileEntry, ...]
    facts: Mapping[str, Any]

    def to_json(self) -> bytes:
        return as_utf8(json.dumps(asdict(self), ensure_ascii=False))

    def seen_from(self, home: str, address: str) -> "Receipt":
        """The receipt of a unit of the artifact at `home`, for the one at `address`."""
        return replace(self, files=tuple(entry.seen_from(home, address) for entry in self.files))

    @classmethod
    def from_json(cls, data: bytes) -> "Receipt":
        fields = json.loads(data)
        entries = {kind: tuple(FileEntry(**entry) for entry in fields[kind]) for kind in ("files", "scratch")}
        return cls(facts=fields["facts"], **entries)
