"""Text of documents on a terminal: on one line, as wide as there is room, and without power over it."""

import shutil

WIDEST = 100


def room() -> int:
    """The cells of a line."""
    return min(shutil.get_terminal_size().columns, WIDEST)


def cut(text: str, cells: int) -> str:
    """Text on one line of so many cells, in which Chinese takes two a character, and nothing that commands a terminal."""
    from rich.cells import cell_len, set_cell_size

    line = " ".join("".join(character if character.isprintable() else " " for character in text[: 4 * cells]).split())
    return line if cell_len(line) <= cells else f"{set_cell_size(line, cells - 1).rstrip()}…"
