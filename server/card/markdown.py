"""A model card as Markdown, as repositories and registries show it."""

from __future__ import annotations

from collections.abc import Iterator

from server.card.parts import Card, Part
from server.report.subgroups import Table


def render(card: Card) -> str:
    """Return the card's text."""
    lines = [f"# {_plain(card.title)}", "", _plain(card.lede)]
    for part in card.parts:
        lines += ["", f"## {part.title}", *_part(part)]
    return "\n".join(lines) + "\n"


def _part(part: Part) -> Iterator[str]:
    for sentence in part.sentences:
        yield from ("", _plain(sentence))
    if part.points:
        yield ""
        yield from (f"- {_plain(point)}" for point in part.points)
    if part.facts:
        yield from ("", "| | |", "|---|---|")
        for fact in part.facts:
            yield f"| {_cell(fact.name)} | {f'`{_cell(fact.value)}`' if fact.code else _cell(fact.value)} |"
    for table in part.tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield from ("", f"### {_plain(table.name)}", "")
    yield f"| | {' | '.join(_cell(column) for column in table.columns)} |"
    yield "|---" * (len(table.columns) + 1) + "|"
    for row in table.rows:
        yield f"| {' | '.join(_cell(text) for text in (row.name, *row.cells))} |"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return text that stays on its line and opens no HTML."""
    return " ".join(text.replace("<", "&lt;").split())
