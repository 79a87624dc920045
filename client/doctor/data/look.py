"""What the doctor finds out about a study's data: prepared once, looked at by several checks and by the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.data.cohort import Cohort
    from client.data.config import DatasetConfig
    from client.doctor.data.survey import Survey
    from client.site import Site
    from client.site_folder import SiteFolder
    from common.data_spec import DataSpec
    from common.study import Study


STAND_IN = b"stand-in until the site has a secret"
"""Draws the split while the site has no secret of its own, so that two looks agree; it protects nothing."""


@dataclass
class StudyLook:
    """A study that the doctor looks at the site for.

    Attributes:
        study: as its file says.
        cohort: its prepared patients; none as long as they could not be prepared.
        survey: what the headers of the images say; none for other data.
        doubted: quantities whose unit looks wrong; what follows from that need not be said again.
        hopeless: something that the data lack keeps the cohort from being prepared; it was said already.
    """

    study: Study
    cohort: Cohort | None = None
    survey: Survey | None = None
    doubted: set[str] = field(default_factory=set)
    hopeless: bool = False

    @property
    def spec(self) -> DataSpec:
        """The study's `[data]`."""
        return self.study.data

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the task's classes; empty where it has none."""
        from common.tasks import build_task

        return tuple(build_task(self.study).classes or ())

    def dataset(self, site: Site) -> tuple[str, DatasetConfig]:
        """Return the site's data set for the study, with its name.

        Raises:
            StudyError: the site has none.
        """
        name = site.dataset_name(self.spec)
        return name, site.datasets[name]

    def prepare(self, site: Site, folder: SiteFolder) -> Cohort:
        """Prepare the cohort, or take it from the site's cache, where the first round will find it.

        Raises:
            StudyError: the site has no such data set.
            DataError: the data cannot be used.
        """
        from client.data.prepare import prepare

        cache = folder.cohorts if folder.private.exists() else None
        classes = self.classes or None
        subgroups = self.study.evaluation.subgroups
        self.cohort = prepare(
            site, self.spec, classes, secret_of(folder) or STAND_IN, cache, subgroups
        )
        return self.cohort


def secret_of(folder: SiteFolder) -> bytes | None:
    """Return the site's secret; none where it has none yet, or this user may not read it."""
    try:
        return folder.secret.read_bytes() or None
    except OSError:
        return None
