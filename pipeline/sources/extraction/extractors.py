"""What makes text of a page: its main content, without navigation, advertisements and scripts."""

from collections.abc import Callable
from typing import Any, Literal, get_args

ExtractorName = Literal["resiliparse", "trafilatura"]
EXTRACTORS: tuple[ExtractorName, ...] = get_args(ExtractorName)


def extractor(name: str) -> Callable[[str, Any], str]:
    """The function that makes text of a page (as characters, and as resiliparse's tree), with its library loaded."""
    return _resiliparse() if name == "resiliparse" else _trafilatura()


def _resiliparse() -> Callable[[str, Any], str]:
    """Resiliparse (Bevendorff et al., 2018): rules over tags, classes and the density of links."""
    from resiliparse.extract.html2text import extract_plain_text

    return lambda _, tree: extract_plain_text(tree, main_content=True, alt_texts=False)


def _trafilatura() -> Callable[[str, Any], str]:
    """Trafilatura (Barbaresi, 2021): slower, and stricter about what is main content."""
    from trafilatura import extract

    return lambda html, _: extract(html, include_comments=False) or ""
