"""Blots secrets out of what leaves this machine: those that stand in locations, and those of the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BLOT = "***"
LEAST_CHARACTERS = 6
_NAMES = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/\s@?#]+@")
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>]*=[^\s\"'<>#]*")


@dataclass(frozen=True)
class Blotter:
    """Knows the secret values of an environment; the patterns of locations are known to all."""

    values: tuple[str, ...] = ()

    @classmethod
    def of_environment(cls) -> "Blotter":
        """With the values of all environment variables whose name speaks of a key, a token, a password or the like."""
        found = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= LEAST_CHARACTERS and "/" != value[0]}
        return cls(tuple(sorted(found, key=len, reverse=True)))

    def blot(self, value: Any) -> Any:
        """The same text, list or mapping, with secrets blotted out of every text in it."""
        match value:
            case str():
                return self._text(value)
            case Mapping():
                return {self._text(str(name)): self.blot(item) for name, item in value.items()}
            case list() | tuple():
                return [self.blot(item) for item in value]
        return value

    def _text(self, text: str) -> str:
        for value in self.values:
            text = text.replace(value, BLOT)
        if "://" in text:
            text = _QUERY.sub(f"?{BLOT}", _USER.sub(f"{BLOT}@", text))
        return text
