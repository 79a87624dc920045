"""What an audit found, in a form that the terminal, a program and an ethics board can all read.

Every audit makes one `Document`; how it looks is the business of the renderers beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["sound", "nothing to look for", "over budget", "tampered", "leaking"]
EXIT_CODES: Mapping[Verdict, int] = {
    "sound": 0,
    "nothing to look for": 0,
    "over budget": 3,
    "tampered": 4,
    "leaking": 10,
}


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst verdict; "sound" of none."""
    return max(verdicts, key=lambda verdict: EXIT_CODES[verdict], default="sound")


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns.

    Attributes:
        title: what the rows are.
        columns: their heads.
        rows: as many cells as columns in each.
        note: what a reader needs to know about the figures; may be empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """A named line of a plot.

    Attributes:
        label: its name in the legend.
        x, y: coordinates, of equal length; finite.
        dashed: for a limit or a reference.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False


@dataclass(frozen=True)
class Plot:
    """Curves over one pair of axes.

    Attributes:
        title: what is shown.
        x_label, y_label: axes, with units where there are any.
        curves: at least one.
        note: how to read it; may be empty.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    note: str = ""


@dataclass(frozen=True)
class Text:
    """Paragraphs under a title; plain text."""

    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """One audit.

    Attributes:
        title: of the audit, such as "Privacy ledger of hospital-1".
        verdict: decides the exit code.
        summary: one or two sentences that give the answer.
        parts: tables, plots and text, in reading order.
        data: the same as JSON values, for programs; infinite ε is the string "inf".
    """

    title: str
    verdict: Verdict
    summary: str
    parts: tuple[Table | Plot | Text, ...]
    data: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """The exit code that stands for the verdict."""
        return EXIT_CODES[self.verdict]
