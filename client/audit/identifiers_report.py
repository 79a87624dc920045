"""Reads a site's identifiers and looks for them in what could leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.config import members
from client.data.config_base import Dataset
from client.data.identifiers import Collector
from client.guard.needles import Identifier, Needles
from client.guard.phi_scan import Scan, scan
from client.site import Site, load_site
from client.site_folder import SiteFolder
from common.errors import StudyError


@dataclass(frozen=True)
class Looked:
    """What was looked for, where, and what was found.

    Attributes:
        site: its name.
        sources: files of the data sets that were read for identifiers.
        unread: sources that could not be read.
        scan: what was found.
    """

    site: str
    sources: int
    unread: tuple[str, ...]
    scan: Scan


def look(folder: Path, paths: Sequence[Path]) -> Looked:
    """Look through `paths`; none: what the site's service writes.

    Raises:
        StudyError: the site or a path is missing.
    """
    site = load_site(folder)
    for path in paths:
        if not path.exists():
            raise StudyError("There is no such file or folder.", where=str(path))
    collector = Collector()
    needles = Needles(_all(site, collector))
    where = list(paths) or [path for path in written_by_service(site) if path.exists()]
    found = scan(where, needles, besides=holding_identifiers(site))
    return Looked(site.name, collector.files, tuple(collector.unread), found)


def written_by_service(site: Site) -> list[Path]:
    """Return what a site writes that others may come to see: logs, replies, ledger, egress log."""
    own = SiteFolder(site.folder)
    return [own.logs, own.states, own.ledger, own.egress_log, own.inbox, own.running]


def holding_identifiers(site: Site) -> list[Path]:
    """Return where identifiers belong: the data, and the private lists and index of them."""
    own = SiteFolder(site.folder)
    lists = [path for word in _LISTS for path in own.private.glob(word)]
    data = [path for each in _datasets(site) for path in _paths(each)]
    return [*data, *lists, own.cohorts, site.file]


_LISTS = ("quarantine-*", "doctor-*", "fetch-*", "pseudonyms-*", "not-deidentified-*", "index*")


def _datasets(site: Site) -> Iterator[Dataset]:
    for name, dataset in site.datasets.items():
        yield from members(name, dataset).values()


def _paths(dataset: object) -> Iterator[Path]:
    for word in ("path", "labels", "outcomes"):
        value = getattr(dataset, word, None)
        value = getattr(value, "path", value)
        if isinstance(value, Path):
            yield value
    for join in getattr(dataset, "join", ()):
        yield join.path


def _all(site: Site, collector: Collector) -> Iterator[Identifier]:
    for dataset in site.datasets.values():
        yield from collector.of(dataset)
