"""Which key of site.toml is wrong where a column is not there."""

from __future__ import annotations

from client.data.config_base import TextFormat

OWN = (
    "patient",
    "record",
    "episode",
    "time",
    "order",
    "value",
    "variable",
    "anchor",
    "outcome_time",
    "split",
)
"""Keys of a data set that hold the site's own name of a column; the others are mapped with `columns`."""


def advice(column: str, text: TextFormat) -> str:
    """Return what to do about a column that the table does not have.

    Args:
        column: as the site calls it.
        text: the data set's description.
    """
    key = next((key for key in OWN if getattr(text, key, None) == column), None)
    if key is not None:
        return f"Set `{key}` in site.toml to the name of your column."
    study = next((study for study, local in text.columns.items() if local == column), None)
    if study is not None:
        return f"`columns` in site.toml maps '{study}' to it: correct that."
    return "Map the study's names to yours with `columns` in site.toml."
