"""What is refused of the sizes in a recipe, in the same words for every architecture."""

from collections.abc import Iterable

from pipeline.errors import RequestError
from pipeline.models.base import Architecture

CHUNK_LOGITS = 1 << 20
"""Logits that a head holds at once on a CPU: a few MiB stay near its caches."""
ACCELERATOR_LOGITS = 1 << 27
"""The same on an accelerator, half a GiB in fp32: each time the whole gradient of the head is read and written, a GiB at 32,000 × 2,048."""


def kept_by_head(width: int, vocab_size: int) -> int:
    """Numbers that a head which computes loss and gradient together holds: logits of a chunk and their slopes, and its gradient twice."""
    return 2 * max(CHUNK_LOGITS, vocab_size) + 2 * width * vocab_size


def check_counts(recipe: Architecture, names: Iterable[str]) -> None:
    """Raises RequestError for the first of these fields that is a number below 1."""
    for name in names:
        count = getattr(recipe, name)
        if count is not None and count < 1:
            raise RequestError(f"model.{name} is {count}: use at least 1")


def check_heads(dim: int, heads: int) -> None:
    """Raises RequestError unless heads share the width evenly."""
    if dim % heads:
        raise RequestError(f"model.heads is {heads}, which cannot share dim {dim} evenly: use a divisor of dim")


def check_rotary_heads(dim: int, heads: int, groups: int) -> None:
    """Raises RequestError unless heads share the width in even parts, as rotary positions need, and groups share the heads."""
    if dim % heads or dim // heads % 2:
        raise RequestError(f"model.heads is {heads}, which cannot share dim {dim} in even widths: use a divisor of dim / 2")
    if heads % groups:
        raise RequestError(f"model.key_value_heads is {groups}, which cannot share {heads} heads evenly: use a divisor of heads")


def check_fractions(recipe: Architecture, names: Iterable[str]) -> None:
    """Raises RequestError for the first of these fields that is no number from 0 up to, but not including, 1."""
    for name in names:
        if not 0 <= getattr(recipe, name) < 1:
            raise RequestError(f"model.{name} is {getattr(recipe, name)}: use a number from 0 up to, but not including, 1")
