"""HTML from data: whatever is not markup already is escaped, so that no document, source or name can run."""

import html
from collections.abc import Iterable
from typing import TypeAlias


class Markup(str):
    """Text that is HTML. Made by `tag` alone, and by what reads the page's own style and script."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"
VOID = frozenset({"meta", "link", "br", "col", "img", "input"})


def text(value: str) -> Markup:
    """Escaped text; half characters that no encoding knows become the replacement character."""
    return Markup(html.escape(value.encode("utf-8", "replace").decode("utf-8"), quote=True))


def tag(element: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element. In the names of attributes `_` stands for `-`, but at the end for nothing (`class_`); None and False are left out."""
    given = "".join(
        f' {_attribute(key)}="{text("" if value is True else str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{element}{given}>" if element in VOID else f"<{element}{given}>{join(children)}</{element}>")


def breakable(value: str) -> Markup:
    """Escaped text that may be broken after its slashes and underscores."""
    return Markup(text(value).replace("/", "/<wbr>").replace("_", "_<wbr>"))


def join(children: Child) -> Markup:
    """Children one after the other."""
    match children:
        case None:
            return Markup("")
        case Markup():
            return children
        case str() | int() | float():
            return text(str(children))
    return Markup("".join(join(child) for child in children))


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
