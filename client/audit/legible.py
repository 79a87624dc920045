"""Text as it may be shown: nothing that moves the cursor, reorders a line or is missing from the output's encoding.

Names of studies and sites come from files that somebody else may have written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace

from client.audit.document import Curve, Document, Plot, Table, Text

_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_NUMBER = re.compile(
    r"[≤≥<>~≈]?\s*[+−±-]?[\d,.]*\d(e[+-]?\d+)?(\s?×\s?10\S+)?\s?%?|\d+/\d+|10[⁻⁰¹²³⁴-⁹]+|[−-]?∞|–|"
)
_PLAIN = {
    "ε": "eps", "δ": "delta", "σ": "sigma", "μ": "mu", "Δ": "Delta", "∞": "inf", "–": "-", "—": "-", "−": "-",
    "≤": "<=", "≥": ">=", "≈": "~", "×": "x", "→": "->", "…": "...", "·": "*", "’": "'", "‘": "'", "“": '"',
    "”": '"', "√": "sqrt", "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#",
    "⁻": "^-", "²": "^2", "³": "^3", "ö": "oe", "ä": "ae", "ü": "ue", "é": "e", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


def harmless(text: str) -> str:
    """Replace control characters (but not line ends), marks that reorder text, and lone surrogates."""
    return "".join("\ufffd" if _harmful(char) else char for char in text)


def spell(text: str, encoding: str) -> str:
    """Write out what `encoding` has no character for: ε as "eps"."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_spelled(char, encoding) for char in text)
    return text


def numeric(column: list[str]) -> bool:
    """Whether the cells are numbers, to be set to the right."""
    lines = [line for cell in column for line in cell.split("\n")]
    return any(re.search(r"[\d∞]", line) for line in lines) and all(
        _NUMBER.fullmatch(line.strip()) for line in lines
    )


def rewritten(document: Document, write: Callable[[str], str]) -> Document:
    """The document with `write` applied to every text that people read; `data` stay as they are."""
    return replace(
        document,
        title=write(document.title),
        summary=write(document.summary),
        parts=tuple(_part(part, write) for part in document.parts),
    )


def _part(part: Table | Plot | Text, write: Callable[[str], str]) -> Table | Plot | Text:
    if isinstance(part, Text):
        return Text(write(part.title), tuple(map(write, part.paragraphs)))
    if isinstance(part, Table):
        rows = tuple(tuple(map(write, row)) for row in part.rows)
        return Table(write(part.title), tuple(map(write, part.columns)), rows, write(part.note))
    curves = tuple(_curve(curve, write) for curve in part.curves)
    return Plot(
        write(part.title), write(part.x_label), write(part.y_label), curves, write(part.note)
    )


def _curve(curve: Curve, write: Callable[[str], str]) -> Curve:
    return replace(curve, label=write(curve.label))


def _harmful(char: str) -> bool:
    return (unicodedata.category(char) in ("Cc", "Cs") and char != "\n") or char in _REORDERING


def _spelled(char: str, encoding: str) -> str:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN.get(char, "?")
    return char
