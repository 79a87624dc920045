"""From a site and the name of a data set to a finished fetch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.data.config import DicomDataset
from client.data.dicom.quiet import quiet
from client.data.pacs.archive import Archive
from client.data.pacs.config import PacsConfig
from client.data.pacs.credentials import read_credentials
from client.data.pacs.criteria import criteria
from client.data.pacs.fetch import Fetch, Outcome
from client.data.pacs.patients import labelled_patients
from client.data.pacs.server import Pacs
from client.data.pacs.throttle import Throttle
from client.guard.pseudonyms import pseudonyms_of
from client.site import Site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError, StudyError


@dataclass(frozen=True)
class Wish:
    """What a fetch is asked to do.

    Attributes:
        data: name of the data set; none: the only one that has a PACS.
        spec: the `[data]` of a study; none: the site's selection alone counts.
        only_count: ask, and retrieve nothing.
    """

    data: str | None = None
    spec: Any = None
    only_count: bool = False


def fetch_into(site: Site, wish: Wish, tell: Callable[[Outcome], None]) -> tuple[str, Outcome]:
    """Fetch into a data set's folder; return its name and what was done.

    Raises:
        ConsiliumError: the site file, the PACS, the disk or the labels do not allow it, or images are missing.
    """
    name, dataset, server = _chosen(site, wish)
    where = f"site '{site.name}', data set '{name}'"
    which = criteria(server.select, wish.spec, where=where)
    people = labelled_patients(dataset) if server.select.patients == "labelled" else None
    archive = Archive(dataset.path, pseudonyms_of(SiteFolder(site.folder).secret))
    limit = server.megabytes_per_second
    pacs = _connect(server, archive, Throttle(limit * 1e6 if limit else None))
    one = Fetch(pacs, archive, which, attempts=server.attempts, tell=tell)
    try:
        with quiet():  # pydicom's warnings quote what the server says
            return name, one.run(people, only_count=wish.only_count)
    except ConsiliumError as error:
        raise type(error)(error.what, where=error.where or where, fix=error.fix) from None
    finally:
        pacs.close()
        _report(one, site.private_folder / f"fetch-{name}.csv")


def _chosen(site: Site, wish: Wish) -> tuple[str, DicomDataset, PacsConfig]:
    having = {name: each for name, each in site.datasets.items() if getattr(each, "pacs", None)}
    name = wish.data or (site.dataset_name(wish.spec) if wish.spec is not None else None)
    if name is None and len(having) == 1:
        name = next(iter(having))
    found = having.get(name) if name else None
    if name is None or not isinstance(found, DicomDataset) or found.pacs is None:
        listed = ", ".join(f"'{each}'" for each in sorted(having)) or "none"
        raise StudyError(
            f"Data set '{name}' has no PACS." if name else f"{len(having)} data sets have a PACS.",
            where=str(site.file),
            fix=f"With a PACS: {listed}. Add [data.NAME.pacs], or choose one with --data.",
        )
    _folder(found.path)
    return name, found, found.pacs


def _folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise StudyError(
            "The data set's path is a file, so nothing can be fetched into it.",
            where=str(path),
            fix="Set path to a folder; it is made if it is missing.",
        )


def _connect(server: PacsConfig, archive: Archive, throttle: Throttle) -> Pacs:
    credentials = read_credentials(server.credentials)
    if server.protocol == "dicomweb":
        from client.data.pacs.web import WebPacs

        return WebPacs(server, credentials, archive, throttle)
    from client.data.pacs.dimse import DimsePacs

    return DimsePacs(server, credentials, archive, throttle)


def _report(one: Fetch, path: Path) -> None:
    """Write the list of incomplete series to the private folder, or take an old one away."""
    if one.incomplete.total:
        one.incomplete.write(path)
    else:
        path.unlink(missing_ok=True)
