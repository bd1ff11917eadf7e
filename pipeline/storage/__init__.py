"""Where artifacts live: a local folder or an object store."""

from pathlib import Path

from pipeline.errors import RequestError
from pipeline.storage.base import CHUNK_BYTES, Entry, Store, cache_folder, checksum_of
from pipeline.storage.local import LocalStore
from pipeline.storage.objects import ObjectStore, Patience

__all__ = ["CHUNK_BYTES", "Entry", "LocalStore", "ObjectStore", "Patience", "Store", "cache_folder", "checksum_of", "open_store"]
OBJECT_SCHEMES = ("s3://", "gs://", "az://", "abfss://", "http://", "https://", "memory://")


def open_store(url: str) -> Store:
    """The store at `url`: a folder (relative, absolute or file://), or an object store's URL."""
    if url.startswith(OBJECT_SCHEMES):
        return ObjectStore(url.rstrip("/"))
    if "://" in url and not url.startswith("file://"):
        raise RequestError(f"cannot keep artifacts at {url!r}: use a folder, s3://bucket/prefix, gs://… or az://…")
    return LocalStore(str(Path(url.removeprefix("file://")).expanduser().absolute()))
