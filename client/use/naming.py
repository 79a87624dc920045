"""What cases are called in the files that are written: keyed pseudonyms, or the house's own names."""

from __future__ import annotations

from collections.abc import Sequence

from client.data.config import DatasetConfig
from client.guard.pseudonyms import pseudonyms_of
from client.site import Site
from client.site_folder import SiteFolder


class Naming:
    """Names cases.

    Args:
        site: whose secret keys the pseudonyms; none: cases are numbered.
        own: write the house's own names.
    """

    def __init__(self, site: Site | None, own: bool) -> None:
        self._own = own
        self._pseudonyms = None
        if site is not None and not own:
            self._pseudonyms = pseudonyms_of(SiteFolder(site.folder).secret)

    def of(self, names: Sequence[str], dataset: DatasetConfig) -> list[str]:
        """Return what stands for cases; row numbers of a table without patients identify nobody and stay."""
        if self._own or (dataset.kind in ("table", "molecules") and dataset.patient is None):
            return list(names)
        if self._pseudonyms is None:
            return [f"case-{number:04d}" for number in range(1, len(names) + 1)]
        return [self._pseudonyms.patient(name) for name in names]
