"""An audit on the terminal: any width, any encoding, with or without colour."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text as Line

from client.audit.document import Document, Plot, Table, Text
from client.audit.legible import harmless, numeric, rewritten, spell
from client.audit.sparkline import curve_rows

STYLES = {
    "sound": "bold green",
    "nothing to look for": "bold yellow",
    "over budget": "bold red",
    "tampered": "bold white on red",
    "leaking": "bold white on red",
}
MOST_ROWS = 30
NARROWEST = 24
UNBROKEN = 24  # longer words, such as hashes, are folded
GAP = 3


def show(document: Document, console: Console | None = None, written: Path | None = None) -> None:
    """Print a document.

    Args:
        document: what was found.
        console: where; None takes stdout.
        written: the page that was written as well, to be named at the end.
    """
    console = console or Console(highlight=False, markup=False, emoji=False)
    console.width = max(NARROWEST, console.width)
    encoding = console.encoding or "ascii"
    clean = rewritten(document, lambda text: spell(harmless(text), encoding))
    with console.capture() as captured:
        for block in _blocks(clean, console):
            console.print(block)
    text = captured.get()
    console.file.write(text)
    if console.is_terminal and text.count("\n") > console.height:  # the top has scrolled away
        console.print(_verdict(clean))
    if written is not None:
        name = spell(harmless(str(written)), encoding)
        console.print(Line(f"Written: {name}"), soft_wrap=True)
    sys.stdout.flush()


def _blocks(document: Document, console: Console) -> Iterator[RenderableType]:
    yield Line(document.title, style="bold")
    yield _verdict(document)
    yield Line(document.summary)
    for part in document.parts:
        yield Line("")
        yield Line(part.title, style="bold")
        if isinstance(part, Text):
            yield from map(Line, part.paragraphs)
        elif isinstance(part, Plot):
            yield from _plot(part, console)
        else:
            yield from _table(part, console)


def _verdict(document: Document) -> Line:
    return Line.assemble("Verdict: ", (document.verdict, STYLES[document.verdict]))


def _plot(plot: Plot, console: Console) -> Iterator[RenderableType]:
    columns, rows = curve_rows(plot)
    cells = tuple(tuple(spell(cell, console.encoding) for cell in row) for row in rows)
    heads = tuple(spell(head, console.encoding) for head in columns)
    yield from _table(Table(plot.title, heads, cells, plot.note), console)


def _table(table: Table, console: Console) -> Iterator[RenderableType]:
    shown = table.rows[:MOST_ROWS]
    least = [_least((name, *cells)) for name, cells in _columns(table, shown)]
    if sum(least) + GAP * (len(least) - 1) <= console.width:
        yield _grid(table, shown, least)
    else:
        yield from _records(table, shown)
    if len(shown) < len(table.rows):
        more = (
            f"{len(table.rows) - len(shown):,} more rows are left out; --html and --json give them."
        )
        yield Line(more, style="dim")
    if table.note:
        yield Line(table.note, style="dim")


def _columns(table: Table, rows: tuple[tuple[str, ...], ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Each column's head and cells."""
    return [(name, tuple(row[at] for row in rows)) for at, name in enumerate(table.columns)]


def _least(texts: Iterable[str]) -> int:
    """The width that a column needs: its longest number whole, and its longest word as far as words stay whole."""
    head, *cells = texts
    words = [cell_len(word) for text in (head, *cells) for word in text.split()]
    numbers = [cell_len(line) for text in cells for line in text.split("\n")]
    whole = max(numbers, default=1) if numeric(cells) else 1
    return max(whole, min(max(words, default=1), UNBROKEN))


def _grid(table: Table, rows: tuple[tuple[str, ...], ...], least: list[int]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for (name, cells), width in zip(_columns(table, rows), least, strict=True):
        side: JustifyMethod = "right" if numeric(list(cells)) else "left"
        grid.add_column(Line(name), justify=side, min_width=width, overflow="fold")
    for row in rows:
        grid.add_row(*map(Line, row))
    return grid


def _records(table: Table, rows: Iterable[tuple[str, ...]]) -> Iterator[RenderableType]:
    """For a table that does not fit: each row as lines of its own, under its first cell."""
    for row in rows:
        yield Line(row[0] if row else "", style="underline")
        for name, cell in zip(table.columns[1:], row[1:], strict=False):
            if cell:
                value = cell.replace("\n", "; ")
                yield Padding(Line(f"{name}: {value}", overflow="fold"), (0, 0, 0, 2))
