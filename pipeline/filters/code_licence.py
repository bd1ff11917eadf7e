"""CodeLicence: source files under licences that allow their use."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Filter
from pipeline.filters.licences import allows, licence_of_header, spdx_in

PERMISSIVE = (
    *("0BSD", "Apache-2.0", "Artistic-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-2-Clause-Patent", "BSD-3-Clause", "BSD-3-Clause-Clear"),
    *(
        "BSL-1.0",
        "CC-BY-4.0",
        "CC0-1.0",
        "curl",
        "ISC",
        "MIT",
        "MIT-0",
        "NCSA",
        "PostgreSQL",
        "PSF-2.0",
        "Python-2.0",
        "UPL-1.0",
        "Unicode-3.0",
    ),
    *("Unicode-DFS-2016", "Unlicense", "W3C", "WTFPL", "X11", "Zlib", "zlib-acknowledgement"),
)
"""SPDX identifiers of licences that ask for no more than that their text or their authors be named, put together for this project."""


@dataclass(frozen=True, kw_only=True)
class CodeLicence(Filter):
    """Keeps source code whose licence allows its use.

    It is to be one of `keep` (SPDX identifiers, by default the permissive ones). The licence is the file's own
    SPDX-License-Identifier, else the one whose usual header begins it, else `license` in its meta (an identifier, an
    expression, or a list of which all must be kept). An expression is kept if it can be met: "GPL-2.0-only OR MIT" is.
    Others are dropped as "other-licence", and files that name none as "unknown-licence", unless `unknown` is kept.
    After Kocetkov et al. 2022 (The Stack, https://arxiv.org/abs/2211.15533), who go by repositories. A header is no
    legal advice: files without one may be under their project's licence.
    """

    keep: tuple[str, ...] = PERMISSIVE
    unknown: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = [name for name in self.keep if not isinstance(name, str) or not name or " " in name]
        if wrong or not self.keep:
            raise RequestError(f"CodeLicence.keep holds {wrong}: use SPDX identifiers such as 'MIT' or 'Apache-2.0'")

    def verdict(self, document: Document) -> str | None:
        named = _own(document.text) or _declared(document.meta)
        if not named:
            return None if self.unknown else "unknown-licence"
        kept = frozenset(name.lower() for name in self.keep)
        return None if all(allows(expression, kept) for expression in named) else "other-licence"


def _own(text: str) -> list[str]:
    """What a file says of its licence itself."""
    licence = spdx_in(text) or licence_of_header(text)
    return [licence] if licence else []


def _declared(meta: str) -> list[str]:
    """What its record says of it."""
    if '"license"' not in meta:
        return []
    declared: Any = json.loads(meta).get("license")
    return [name for name in (declared if isinstance(declared, list) else [declared]) if isinstance(name, str) and name.strip()]
