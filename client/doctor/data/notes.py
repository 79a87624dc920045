"""What the cohort notes about the data, one line a column: a column of impossible values is one fault, not four."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from client.doctor.findings import Finding, amber, green

_PART = r"(?P<part>Part '[^']+': )?"
_ABOUT = (
    re.compile(_PART + r"'(?P<name>.+?)':? (?P<rest>.+)\."),
    re.compile(_PART + r"\d+ × (?P<name>.+): .+\."),
)
"""How a note starts that is about one column, or one variable."""
_OF_UNITS = ("impossible", "check the unit", "missing in every row")
"""What follows from a wrong unit."""


def findings(notes: Sequence[str], doubted: Collection[str], heading: str) -> Iterator[Finding]:
    """Yield an amber line for each column, and for each note that is about none; green for what was explained before.

    Args:
        notes: the cohort's.
        doubted: columns whose unit was doubted already; what follows from that needs no fix of its own.
        heading: the data set's in site.toml.
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    for note in notes:
        column = _column(note)
        follows = column in doubted and any(words in note for words in _OF_UNITS)
        groups.setdefault((column or note, follows), []).append(note)
    for (_, follows), group in groups.items():
        text = "; ".join([group[0].rstrip("."), *map(_rest, group[1:])]) + "."
        yield green(text) if follows else amber(text, _fix(text, heading))


def _column(note: str) -> str:
    found = next((match for shape in _ABOUT if (match := shape.fullmatch(note))), None)
    return (found["part"] or "") + found["name"] if found else ""


def _rest(note: str) -> str:
    """Return a note without the column that the line names already."""
    found = _ABOUT[0].fullmatch(note)
    return found["rest"] if found else note.rstrip(".")


def _fix(text: str, heading: str) -> str:
    """Say what can be done; the cause comes before what follows from it."""
    fixes = {
        "burnt into": "Look at the images that .consilium/doctor-*.csv names. Where the text names people, leave the "
        "image out, or have the text painted over: a model may learn it.",
        "no usable images": "Compare the identifiers of labels and images: leading zeros are lost in spreadsheets.",
        "declared_patients": f"Correct {heading} declared_patients; noise and weight follow from it.",
        "no number": f"State the words that mean missing in {heading} missing, or the marks of numbers: decimal, "
        "thousands.",
        "in no category": f"Map the words with {heading} replace.",
        "check the unit": f"Compare the unit with the study's; state yours in {heading} units or scale. Look for codes "
        "that mean missing (-1, 999), too.",
        "impossible": f"Compare the unit with the study's; state yours in {heading} units or scale. Look for codes "
        "that mean missing (-1, 999), too.",
        "value_max": "Ask the coordinator for the range that such images have, or scale them to the study's.",
        "missing in every row": f"Map the column, or list it under {heading} absent.",
    }
    return next((fix for words, fix in fixes.items() if words in text), "")
