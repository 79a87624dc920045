"""Writes whole hospitals, several at a time."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from common.errors import MachineError
from common.plugins import load
from simulations.hospitals.plan import Archive, HospitalPlan
from simulations.hospitals.recipe import Recipe, finish, make_recipe, prepare
from simulations.hospitals.site_file import write_site_file

Writer = Callable[[HospitalPlan], Archive]
_FULL = (errno.ENOSPC, errno.EDQUOT)


def create(
    directory: Path,
    *,
    sites: int,
    patients: int,
    seed: int,
    archives: Sequence[str] | None = None,
    workers: int | None = None,
) -> list[Path]:
    """Write generated hospitals, or find them written already; see `simulations.hospitals.create`."""
    recipe = make_recipe(sites, patients, seed, archives)
    folders = [directory / f"hospital-{number + 1}" for number in range(sites)]
    with _machine_errors(directory):
        if prepare(directory, recipe):
            _write_all(folders, recipe, workers or min(2, os.cpu_count() or 1))
            finish(directory, recipe, [folder.name for folder in folders])
    return folders


def _write_all(folders: Sequence[Path], recipe: Recipe, workers: int) -> None:
    plans = [
        HospitalPlan(folder, number, recipe.patients, recipe.seed)
        for number, folder in enumerate(folders)
    ]
    if workers == 1 or len(plans) == 1:
        for plan in plans:
            write_hospital(plan, recipe.archives)
        return
    # Spawned, not forked: the caller may hold threads (torch, rich) that a fork would freeze.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(plans)), mp_context=context) as pool:
        jobs = [pool.submit(write_hospital, plan, recipe.archives) for plan in plans]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def write_hospital(plan: HospitalPlan, archives: Sequence[str]) -> None:
    """Write one hospital's folder: its data sets, then its site.toml."""
    plan.folder.mkdir()
    writers: list[Writer] = [load("hospitals", name) for name in archives]
    write_site_file(plan.folder, plan.name, [write(plan) for write in writers])


@contextmanager
def _machine_errors(directory: Path) -> Iterator[None]:
    """Tell a full disk or a missing permission in words."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        raise MachineError(
            "The disk is full." if full else f"Cannot write here: {error.strerror or 'I/O error'}.",
            where=str(directory),
            fix="Free some space (about 170 kB a patient) and run it again; it starts afresh."
            if full
            else "Choose a folder that you may write to.",
        ) from None
