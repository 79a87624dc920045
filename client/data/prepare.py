"""From a site's files to a cohort: find the data set, read it or its cached copy, report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from client.data.cohort import Cohort, assemble
from client.data.config import DatasetConfig, members
from client.data.dicom import decoders
from client.data.index.archive import Archive, Indexed, archive
from client.data.index.schema import program
from client.data.molecules import rdkit
from client.data.quarantine_page import write_page
from client.data.samples import RawSamples, Source
from client.data.split import place_of
from client.data.steps.apply import targets_after_steps
from client.data.store.cache import Cache
from client.data.store.key import cache_key
from client.data.subgroups.reading import read_groups
from client.site import Site
from common import plugins
from common.data_spec import DataSpec, FusedSpec, Spec
from common.errors import DataError, MachineError
from common.subgroups import Subgroup

PROGRAMS = ("client.data.dicom", "client.data.masks")
"""What makes samples of images: another version makes them anew."""
NOT_KEPT = "The cache folder cannot be written: the data are prepared anew each time."


def prepare(
    site: Site,
    spec: DataSpec,
    classes: Sequence[str] | None,
    secret: bytes,
    cache: Path | None = None,
    subgroups: Sequence[Subgroup] = (),
) -> Cohort:
    """Return the site's cohort for a study.

    Args:
        site: the hospital.
        spec: the study's `[data]`.
        classes: names of the task's classes in order; none for tasks without classes.
        secret: the site's secret; orders and splits the patients, and never leaves.
        cache: folder for prepared cohorts; none: prepare every time.
        subgroups: how the study divides the patients for its figures.

    Raises:
        StudyError: the site has no such data set.
        DataError: the data set cannot be used, or nobody in it can.
    """
    name = site.dataset_name(spec)
    dataset = site.datasets[name]
    where = f"site '{site.name}', data set '{name}'"
    with _archive(site, name, dataset, spec, where) as found:

        def build() -> Cohort:
            return _build(site, name, dataset, spec, classes, secret, where, found, subgroups)

        if cache is None:
            return build()
        key = _key(dataset, spec, classes, secret, found, subgroups)
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
    subgroups: Sequence[Subgroup],
) -> str:
    description = _description(dataset, spec, classes, subgroups)
    if found is None or dataset.kind == "fused":
        return cache_key(secret, description, sources(dataset), _made_by(dataset))
    beside = [path for path in sources(dataset) if path != dataset.path]
    made_by = program(*PROGRAMS) + decoders.installed()
    return cache_key(secret, description, beside, found.fingerprint() + made_by)


def _made_by(dataset: DatasetConfig) -> str:
    """Return the versions of what draws the samples of a data set without an index."""
    kinds = {each.kind for each in members("", dataset).values()}
    images = program(*PROGRAMS) + decoders.installed() if "dicom" in kinds else ""
    return images + (rdkit.installed() if "molecules" in kinds else "")


def sources(dataset: DatasetConfig) -> list[Path]:
    """Return the files and folders that a data set reads."""
    if dataset.kind == "fused":
        return [path for part in dataset.parts.values() for path in sources(part)]
    found = [dataset.path]
    if dataset.kind in ("dicom", "signals"):
        found.append(dataset.labels)
    if dataset.kind == "dicom" and dataset.masks is not None:
        found.append(dataset.masks)
    if dataset.kind == "records":
        found.append(dataset.outcomes)
    if dataset.kind in ("table", "series", "records", "episodes", "molecules"):
        found += [join.path for join in dataset.join]
    return found


def _description(
    dataset: DatasetConfig,
    spec: DataSpec,
    classes: Sequence[str] | None,
    subgroups: Sequence[Subgroup],
) -> str:
    content: dict[str, Any] = {
        "spec": spec.model_dump(mode="json"),
        "dataset": dataset.model_dump(mode="json"),
        "classes": list(classes) if classes is not None else None,
        "steps": [step.version for part in _parts(spec) for step in part.steps],
    }
    if subgroups:
        content["subgroups"] = [subgroup.model_dump(mode="json") for subgroup in subgroups]
        content["subgroups_by"] = program("client.data.subgroups")
    return json.dumps(content, sort_keys=True)


def _parts(spec: DataSpec) -> list[Spec]:
    return list(spec.parts.values()) if isinstance(spec, FusedSpec) else [spec]


def _build(
    site: Site,
    name: str,
    dataset: DatasetConfig,
    spec: DataSpec,
    classes: Sequence[str] | None,
    secret: bytes,
    where: str,
    found: Archive | None,
    subgroups: Sequence[Subgroup],
) -> Cohort:
    source: Source = plugins.load("sources", spec.kind)()
    if found is not None and isinstance(source, Indexed):
        source.archive = found
        source.order = partial(place_of, secret)
    try:
        raw = source.load(dataset, spec, classes)
        groups = read_groups(dataset, spec, subgroups, found) if subgroups else None
    except DataError as error:
        raise DataError(error.what, where=f"{where}: {error.where}", fix=error.fix) from None
    except OSError as error:
        raise DataError(f"A file cannot be read ({error.strerror}).", where=where) from None
    # The list comes first: people need it most where nobody is left.
    notes = _reported(raw, site.private_folder / f"quarantine-{name}.csv", name, dataset.kind)
    cohort = assemble(
        raw,
        secret=secret,
        test_fraction=spec.test_fraction,
        most=spec.max_samples_per_patient,
        where=where,
        groups=groups,
    )
    inputs, targets = targets_after_steps(cohort.inputs, cohort.targets, spec)
    cohort = replace(cohort, inputs=inputs, targets=targets)
    return _noted(cohort, *_declared(dataset, cohort), *notes)


def _declared(dataset: DatasetConfig, cohort: Cohort) -> list[str]:
    """Note a declared number of patients that is far from the truth."""
    stated, found = dataset.declared_patients, cohort.patients
    if abs(stated - found) <= max(10, 0.25 * found):
        return []
    return [f"declared_patients is {stated}, but {found} patients were found: correct site.toml."]


def _reported(raw: RawSamples, path: Path, name: str, kind: str) -> list[str]:
    """Write the list of what was left out to the site's private folder, for programs and for people."""
    if not raw.quarantine.total and not raw.notes and not path.exists():
        return []
    try:
        raw.quarantine.write(path)
        write_page(raw.quarantine, path.with_suffix(".html"), name, raw.notes, kind)
    except (OSError, MachineError):
        return ["The quarantine list could not be written to the private folder."]
    return []


def _noted(cohort: Cohort, *notes: str) -> Cohort:
    return replace(cohort, notes=(*cohort.notes, *notes)) if notes else cohort
