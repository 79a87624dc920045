"""What the two protocols have in common, as the fetch sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Lost(Exception):
    """The connection or the server failed in the middle; trying again may help. The message names nobody."""


@dataclass(frozen=True)
class Series:
    """A series that the PACS has.

    Attributes:
        study, uid: its UIDs; they stay at the site.
        modality: as the server states it; empty where it does not.
    """

    study: str = field(repr=False)
    uid: str = field(repr=False)
    modality: str = ""


Keys = Mapping[str, str]
"""DICOM keyword → value to match, as of C-FIND and QIDO-RS."""


class Pacs(Protocol):
    """A server that is asked what it has, and for it."""

    def studies(self, keys: Keys) -> Iterator[str]:
        """Yield the UIDs of the studies that match."""

    def series(self, study: str, keys: Keys) -> Iterator[Series]:
        """Yield the matching series of a study."""

    def instances(self, series: Series) -> list[str]:
        """Return the UIDs of all images of a series."""

    def retrieve(self, series: Series, wanted: Sequence[str], whole: bool) -> None:
        """Take images into the archive.

        Args:
            series: whose they are.
            wanted: their UIDs.
            whole: these are all images of the series.

        Raises:
            Lost: the connection broke; what came before is kept.
        """

    def close(self) -> None:
        """End the connection."""
