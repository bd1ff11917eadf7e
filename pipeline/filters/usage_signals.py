"""UsageSignals: pages whose owners say that they are not for machine learning."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.documents import Document
from pipeline.filters.base import Filter


@dataclass(frozen=True, kw_only=True)
class UsageSignals(Filter):
    """Drops pages whose owners say that they are not for machine learning.

    What they say is read in `meta`, where the formats of web pages write it:

    - "noai": the directive `noai` in `robots` (of the page's robots meta tag or X-Robots-Tag header);
    - "noimageai": the directive `noimageai`, where `images` says that it is to count for text as well;
    - "tdm-reservation": `tdm_reservation` is 1 (W3C Text and Data Mining Reservation Protocol).

    A document without these fields, as from any other format, is kept.
    """

    images: bool = False

    def verdict(self, document: Document) -> str | None:
        if '"robots"' not in document.meta and '"tdm_reservation"' not in document.meta:
            return None
        meta = json.loads(document.meta)
        directives = _directives(meta.get("robots"))
        if "noai" in directives:
            return "noai"
        if self.images and "noimageai" in directives:
            return "noimageai"
        return "tdm-reservation" if str(meta.get("tdm_reservation")).strip() == "1" else None


def _directives(robots: Any) -> set[str]:
    """The directives of one or several robots tags, which commas part, and which may name a crawler first."""
    tags = robots if isinstance(robots, list) else [robots]
    words = " ".join(tag for tag in tags if isinstance(tag, str)).lower()
    return set(words.replace(",", " ").replace(":", " ").replace(";", " ").split())
