"""Turns what the site lets in and what a study asks for into keys of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from client.data.pacs.config import Select
from client.data.pacs.server import Series
from common.errors import StudyError


@dataclass(frozen=True)
class Criteria:
    """Which studies and series are fetched.

    Attributes:
        select: the site's part.
        modality: the study's; empty: any.
    """

    select: Select
    modality: str = ""

    def study_keys(self, patient: str | None) -> dict[str, str]:
        """Return the keys of a query for studies, of one patient or of all."""
        keys = {
            "PatientID": patient,
            "StudyDate": self._dates(),
            "StudyDescription": self.select.study_description,
            "ModalitiesInStudy": self.modality,
        }
        return {name: value for name, value in keys.items() if value}

    def series_keys(self) -> dict[str, str]:
        """Return the keys of a query for the series of a study."""
        keys = {
            "Modality": self.modality,
            "SeriesDescription": self.select.series_description,
            "BodyPartExamined": self.select.body_part,
        }
        return {name: value for name, value in keys.items() if value}

    def fits(self, series: Series) -> bool:
        """Check the modality again: some servers ignore keys."""
        return not (self.modality and series.modality) or series.modality == self.modality

    def _dates(self) -> str:
        first, last = self.select.from_date, self.select.to_date
        if not (first or last):
            return ""
        begin, end = (f"{day:%Y%m%d}" if day else "" for day in (first, last))
        return f"{begin}-{end}"


def criteria(select: Select, spec: Any, *, where: str) -> Criteria:
    """Combine the site's selection with a study's `[data]`.

    Args:
        select: the site's.
        spec: the study's; None: no study asks.
        where: the data set, for messages.

    Raises:
        StudyError: the two want different modalities.
    """
    asked = str(getattr(spec, "modality", "") or "")
    if select.modality and asked and select.modality != asked:
        raise StudyError(
            f"The study asks for modality {asked}, but the site selects {select.modality}.",
            where=where,
            fix="Take modality out of [data.NAME.pacs.select], or name another data set in the study.",
        )
    return Criteria(select, select.modality or asked)
