"""From a site's files to a cohort: find the data set, read it or its cached copy, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from client.data import cache as disk
from client.data.cohort import Cohort, assemble
from client.data.config import DatasetConfig
from client.data.samples import Source
from client.site import Site
from common import plugins
from common.data_spec import DataSpec
from common.errors import DataError


def prepare(
    site: Site,
    spec: DataSpec,
    classes: Sequence[str] | None,
    secret: bytes,
    cache: Path | None = None,
) -> Cohort:
    """Return the site's cohort for a study.

    Args:
        site: the hospital.
        spec: the study's `[data]`.
        classes: names of the task's classes in order; none for tasks without classes.
        secret: the site's secret; orders and splits the patients, and never leaves.
        cache: folder for prepared cohorts; none: prepare every time.

    Raises:
        StudyError: the site has no such data set.
        DataError: the data set cannot be used, or nobody in it can.
    """
    name = site.dataset_name(spec)
    dataset = site.datasets[name]
    where = f"site '{site.name}', data set '{name}'"
    if cache is None:
        return _build(site, name, dataset, spec, classes, secret, where)
    key = disk.cache_key(secret, _description(dataset, spec, classes), sources(dataset))
    cohort = disk.load(cache, key)
    if cohort is None:
        cohort = _build(site, name, dataset, spec, classes, secret, where)
        if not disk.save(cache, key, cohort):
            note = "The cache folder cannot be written: the data are prepared anew each time."
            cohort = _noted(cohort, note)
    return cohort


def sources(dataset: DatasetConfig) -> list[Path]:
    """Return the files and folders that a data set reads."""
    found = [dataset.path]
    if dataset.kind == "dicom":
        found.append(dataset.labels)
    if dataset.kind in ("table", "series"):
        found += [join.path for join in dataset.join]
    return found


def _description(dataset: DatasetConfig, spec: DataSpec, classes: Sequence[str] | None) -> str:
    content = {
        "spec": spec.model_dump(mode="json"),
        "dataset": dataset.model_dump(mode="json"),
        "classes": list(classes) if classes is not None else None,
    }
    return json.dumps(content, sort_keys=True)


def _build(
    site: Site,
    name: str,
    dataset: DatasetConfig,
    spec: DataSpec,
    classes: Sequence[str] | None,
    secret: bytes,
    where: str,
) -> Cohort:
    source: Source = plugins.load("sources", spec.kind)()
    try:
        raw = source.load(dataset, spec, classes)
    except DataError as error:
        raise DataError(error.what, where=f"{where}: {error.where}", fix=error.fix) from None
    except OSError as error:
        raise DataError(f"A file cannot be read ({error.strerror}).", where=where) from None
    cohort = assemble(
        raw,
        secret=secret,
        test_fraction=spec.test_fraction,
        most=spec.max_samples_per_patient,
        where=where,
    )
    cohort = _noted(cohort, *_declared(dataset, cohort))
    return _reported(cohort, site.private_folder / f"quarantine-{name}.csv")


def _declared(dataset: DatasetConfig, cohort: Cohort) -> list[str]:
    """Note a declared number of patients that is far from the truth."""
    stated, found = dataset.declared_patients, cohort.patients
    if abs(stated - found) <= max(10, 0.25 * found):
        return []
    return [f"declared_patients is {stated}, but {found} patients were found: correct site.toml."]


def _reported(cohort: Cohort, path: Path) -> Cohort:
    """Write the list of what was left out to the site's private folder."""
    if not cohort.quarantine.total and not path.exists():
        return cohort
    try:
        cohort.quarantine.write(path)
    except OSError:
        return _noted(cohort, "The quarantine list could not be written to the private folder.")
    return cohort


def _noted(cohort: Cohort, *notes: str) -> Cohort:
    return replace(cohort, notes=(*cohort.notes, *notes)) if notes else cohort
