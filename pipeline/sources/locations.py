"""What a location on the command line means."""

import re

from pipeline.errors import RequestError
from pipeline.sources.base import Source
from pipeline.sources.extraction.extractors import ExtractorName
from pipeline.sources.files import OBJECT_SCHEMES, WEB_SCHEMES, Files
from pipeline.sources.hugging_face import SCHEME, HuggingFace

SCHEMES = (*OBJECT_SCHEMES, *WEB_SCHEMES, "file://")


def source_at(location: str, text_field: str = "text", extractor: ExtractorName = "resiliparse") -> Source:
    """The source at a file, folder, glob, s3://… (gs, az, abfss), https://… or hf://datasets/OWNER/NAME[@REVISION].

    Looks at it, since its state is part of its identity. Raises RequestError where it cannot be read.
    """
    if location.startswith(SCHEME):
        return HuggingFace.at(location, text_field=text_field)
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", location) and not location.startswith(SCHEMES):
        raise RequestError(f"cannot read {location!r}: use a file, a folder, a glob, {'… '.join(SCHEMES)}… or {SCHEME}datasets/OWNER/NAME")
    return Files.at(location, text_field=text_field, extractor=extractor)
