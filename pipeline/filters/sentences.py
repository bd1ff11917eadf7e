"""Where sentences end, in Chinese as well as in English."""

from functools import cache
from typing import Any

QUOTES = ('"', "”", "」", "』")
END_MARKS = (*".?!。？！｡", "؟", "۔", "।", "॥", "።", "։", "။", "។", *QUOTES)
"""What a line ends in that is a sentence: C4's marks (. ? ! and the closing quote), and those of other scripts."""
ELLIPSES = ("...", "…")


@cache
def _inner_ends() -> Any:
    """A mark with more of the line after it; marks of scripts without spaces need none."""
    import re2

    return re2.compile(r"[.?!؟۔।॥።։][\"'”’)\]]*[ \t]+[^ \t\n]|[。？！｡။។]+[”’」』）\"]*[^\n。？！｡။។”’」』）\"]".encode())


def sentences(lines: list[str]) -> int:
    """About how many sentences there are in lines that each end in a mark: one each, and one for each mark within."""
    return len(lines) + len(_inner_ends().findall("\n".join(lines).encode("utf-8", "surrogatepass")))
