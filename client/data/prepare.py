"""From a site's files to a cohort: find the data set, read it or its cached copy, report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from client.data.cohort import Cohort, assemble
from client.data.config import DatasetConfig
from client.data.index.archive import Archive, Indexed, archive
from client.data.index.schema import reader
from client.data.quarantine_page import write_page
from client.data.samples import Source
from client.data.steps.apply import after_steps
from client.data.store.cache import Cache
from client.data.store.key import cache_key
from client.site import Site
from common import plugins
from common.data_spec import DataSpec
from common.errors import DataError, MachineError

NOT_KEPT = "The cache folder cannot be written: the data are prepared anew each time."


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
    with _archive(site, name, dataset, spec, where) as found:

        def build() -> Cohort:
            return _build(site, name, dataset, spec, classes, secret, where, found)

        if cache is None:
            return build()
        key = _key(dataset, spec, classes, secret, found)
        store = Cache(cache, int(site.compute.cache_gib * 2**30))
        cohort = store.load(key)
        if cohort is None:
            cohort = build()
            if not store.save(key, cohort):
                cohort = _noted(cohort, NOT_KEPT)
        return cohort


@contextmanager
def _archive(
    site: Site, name: str, dataset: DatasetConfig, spec: DataSpec, where: str
) -> Iterator[Archive | None]:
    """Hold the index of a data set of images, up to date; other kinds have none."""
    if dataset.kind != "dicom" or spec.kind != "dicom":
        yield None
        return
    place = site.private_folder / "index" / f"{name}-{spec.modality}.sqlite"
    try:
        held = archive(dataset.path, spec.modality, place)
        found = held.__enter__()
    except DataError as error:
        raise DataError(error.what, where=f"{where}: {error.where}", fix=error.fix) from None
    try:
        yield found
    finally:
        held.__exit__(None, None, None)


def _key(
    dataset: DatasetConfig,
    spec: DataSpec,
    classes: Sequence[str] | None,
    secret: bytes,
    found: Archive | None,
) -> str:
    description = _description(dataset, spec, classes)
    if found is None:
        return cache_key(secret, description, sources(dataset))
    beside = [path for path in sources(dataset) if path != dataset.path]
    return cache_key(secret, description, beside, found.fingerprint() + reader())


def sources(dataset: DatasetConfig) -> list[Path]:
    """Return the files and folders that a data set reads."""
    found = [dataset.path]
    if dataset.kind in ("dicom", "signals"):
        found.append(dataset.labels)
    if dataset.kind == "records":
        found.append(dataset.outcomes)
    if dataset.kind in ("table", "series", "records"):
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
    found: Archive | None,
) -> Cohort:
    source: Source = plugins.load("sources", spec.kind)()
    if found is not None and isinstance(source, Indexed):
        source.archive = found
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
    cohort = replace(cohort, inputs=after_steps(cohort.inputs, spec))
    cohort = _noted(cohort, *_declared(dataset, cohort))
    return _reported(cohort, site.private_folder / f"quarantine-{name}.csv", name)


def _declared(dataset: DatasetConfig, cohort: Cohort) -> list[str]:
    """Note a declared number of patients that is far from the truth."""
    stated, found = dataset.declared_patients, cohort.patients
    if abs(stated - found) <= max(10, 0.25 * found):
        return []
    return [f"declared_patients is {stated}, but {found} patients were found: correct site.toml."]


def _reported(cohort: Cohort, path: Path, name: str) -> Cohort:
    """Write the list of what was left out to the site's private folder, for programs and for people."""
    if not cohort.quarantine.total and not path.exists():
        return cohort
    try:
        cohort.quarantine.write(path)
        write_page(cohort.quarantine, path.with_suffix(".html"), name)
    except (OSError, MachineError):
        return _noted(cohort, "The quarantine list could not be written to the private folder.")
    return cohort


def _noted(cohort: Cohort, *notes: str) -> Cohort:
    return replace(cohort, notes=(*cohort.notes, *notes)) if notes else cohort
