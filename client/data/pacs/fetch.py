"""Fetches what fits the criteria, goes on where an earlier fetch ended, and counts what came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from client.data.pacs.archive import Archive
from client.data.pacs.criteria import Criteria
from client.data.pacs.server import Lost, Pacs, Series
from client.data.quarantine import Quarantine, QuarantineLog
from common.errors import DataError, MachineError

WILD = "*?\\"
"""Characters that match others in a query; an identifier with one of them is not asked for."""


Result = TypeVar("Result")


@dataclass
class Outcome:
    """What a fetch did; counts only.

    Attributes:
        patients: asked for; 0 where all were.
        absent: of them, those for whom nothing fits.
        series: that fit.
        listed: images that the PACS says they have.
        present: of these, there already.
        fetched: of these, fetched now.
        missing: of these, not there at the end.
    """

    patients: int = 0
    absent: int = 0
    series: int = 0
    listed: int = 0
    present: int = 0
    fetched: int = 0

    @property
    def missing(self) -> int:
        """Images that the PACS lists and the archive lacks."""
        return self.listed - self.present - self.fetched


class Fetch:
    """One fetch.

    Args:
        pacs: the server.
        archive: where images go.
        criteria: which.
        attempts: tries of one step before giving up.
        tell: called with the outcome so far after every series.
        pause: waits between two tries.
    """

    def __init__(
        self,
        pacs: Pacs,
        archive: Archive,
        criteria: Criteria,
        *,
        attempts: int,
        tell: Callable[[Outcome], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.outcome = Outcome()
        self._pacs = pacs
        self._archive = archive
        self._criteria = criteria
        self._attempts = attempts
        self._tell = tell
        self._pause = pause
        self._log = QuarantineLog()

    @property
    def incomplete(self) -> Quarantine:
        """The series that lack images, for the site's private list."""
        return self._log.result()

    def run(self, patients: Iterable[str] | None, *, only_count: bool = False) -> Outcome:
        """Fetch everything that fits.

        Args:
            patients: whose; None: everybody's.
            only_count: retrieve nothing.

        Raises:
            MachineError: the PACS does not answer, or no longer.
            DataError: in the end, images are missing.
        """
        for series in self._all(patients):
            self._one(series, only_count)
            self._tell(self.outcome)
        if self.outcome.missing and not only_count:
            raise DataError(
                f"{self.outcome.missing} of {self.outcome.listed} images did not come.",
                fix="The list of their series lies in the site's private folder; run the command again to go on.",
            )
        return self.outcome

    def _all(self, patients: Iterable[str] | None) -> Iterator[Series]:
        seen: set[str] = set()
        for patient in [None] if patients is None else patients:
            self.outcome.patients += patient is not None
            if patient is not None and any(sign in patient for sign in WILD):
                self._log.add(patient, "identifier that would match others")
                self.outcome.absent += 1
                continue
            found = [one for one in self._of(patient) if one.uid not in seen]
            seen.update(one.uid for one in found)
            self.outcome.absent += patient is not None and not found
            yield from found

    def _of(self, patient: str | None) -> list[Series]:
        keys = self._criteria.study_keys(patient)
        studies: list[str] = self._tried(lambda: list(self._pacs.studies(keys)))
        found = [one for study in studies for one in self._tried(partial(self._series, study))]
        return [one for one in found if self._criteria.fits(one)]

    def _series(self, study: str) -> list[Series]:
        return list(self._pacs.series(study, self._criteria.series_keys()))

    def _one(self, series: Series, only_count: bool) -> None:
        images = list(dict.fromkeys(self._tried(lambda: self._pacs.instances(series))))
        before = self._lacking(series, images)
        self.outcome.series += 1
        self.outcome.listed += len(images)
        self.outcome.present += len(images) - len(before)
        if only_count or not before:
            return
        try:
            self._tried(lambda: self._retrieve(series, images))
        finally:
            after = self._lacking(series, images)
            self.outcome.fetched += len(before) - len(after)
            if after:
                self._log.add(series.uid, f"{len(after)} of {len(images)} images missing")

    def _retrieve(self, series: Series, images: Sequence[str]) -> None:
        lacking = self._lacking(series, images)
        self._pacs.retrieve(series, lacking, len(lacking) == len(images))

    def _lacking(self, series: Series, images: Sequence[str]) -> list[str]:
        return [image for image in images if not self._archive.has(series.uid, image)]

    def _tried(self, step: Callable[[], Result]) -> Result:
        """Take a step, again and again while the connection breaks, with longer and longer pauses."""
        for attempt in range(1, self._attempts + 1):
            try:
                return step()
            except Lost as error:
                why = str(error)
            if attempt < self._attempts:
                self._pause(float(2 ** (attempt - 1)))
        came = self.outcome.fetched
        raise MachineError(
            f"The PACS cannot be reached, or broke off ({why}) after {self._attempts} tries.",
            fix="Check that it runs and that this machine may reach it; run the command again to go on"
            + (f" ({came} images came)." if came else "."),
        )
