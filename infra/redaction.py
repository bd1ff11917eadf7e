"""Takes secrets out of what leaves this machine: those that stand in locations, and those of the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REDACTED = "***"
LEAST_CHARACTERS = 8
_NAMES = re.compile(r"(^|_)(\w*key|token|secret|pass\w*|credentials?)(_|$)", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/\s?#]+@")
_QUERY = re.compile(r"(?<=\S)\?[^\s\"'<>#]+")


@dataclass(frozen=True)
class Redactor:
    """Knows the secret values of an environment; the patterns of locations are known to all."""

    values: tuple[str, ...] = ()

    @classmethod
    def of_environment(cls) -> "Redactor":
        """With the values of all environment variables whose name speaks of a key, a token, a password or the like."""
        found = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= LEAST_CHARACTERS}
        return cls(tuple(sorted(found, key=len, reverse=True)))

    def redact(self, value: Any) -> Any:
        """The same text, list or mapping, with no secret in any text of it."""
        match value:
            case str():
                return self._text(value)
            case Mapping():
                return {self._text(str(name)): self.redact(item) for name, item in value.items()}
            case list() | tuple():
                return [self.redact(item) for item in value]
        return value

    def _text(self, text: str) -> str:
        for value in self.values:
            text = text.replace(value, REDACTED)
        if "://" in text:
            text = _QUERY.sub(f"?{REDACTED}", _USER.sub(f"{REDACTED}@", text))
        return text
