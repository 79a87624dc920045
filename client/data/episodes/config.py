"""How a site describes decisions in site.toml."""

from __future__ import annotations

from typing import Literal

from client.data.config_base import Dataset, Filtered, Join, TextFormat


class EpisodeDataset(Dataset, TextFormat, Filtered):
    """One table with a row a decision.

    Attributes:
        patient: column with the patient's identifier.
        episode: column that keeps apart several episodes of a patient (e.g. a stay); none: each has one.
        order: column with a number that orders the decisions of an episode (e.g. hours since admission).
        split: column that fixes the split (train or test).
        join: tables whose columns are added before the filter.
        absent: the study's features that this site does not record; they get the study's fill.
    """

    kind: Literal["episodes"]
    patient: str = "patient"
    episode: str | None = None
    order: str = "time"
    split: str | None = None
    join: tuple[Join, ...] = ()
    absent: tuple[str, ...] = ()
