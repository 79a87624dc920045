"""Tells the ledger which data a study uses here, and claims them for it."""

from __future__ import annotations

from client.data.config import ArrayDataset, members
from client.data.config_base import Dataset
from client.guard.claim import Owner, claim
from client.guard.ledger import Ledger
from client.guard.sources import DataSource, location
from client.site import Site, Wanted


def use_data(site: Site, spec: Wanted, ledger: Ledger, *, simulated: bool) -> DataSource:
    """Claim the data that a study asks for, and note them in the ledger: of fused data every part.

    Args:
        site: the hospital.
        spec: the study's `[data]`.
        ledger: answers for the data from here on.
        simulated: nothing that leaves is real or protected; the data stay unclaimed.

    Raises:
        BudgetError: another ledger answers for the data, or another population of this one did.
        TamperedError, MachineError: the claim beside the data cannot be used.
    """
    name = site.dataset_name(spec)
    owner = Owner(ledger.identity, ledger.path, site.name)
    population = site.population(spec)
    sources = [
        _used(member, dataset, population, owner, simulated=simulated)
        for member, dataset in members(name, site.datasets[name]).items()
    ]
    for source in sources:
        ledger.record_source(source)
    return sources[0]


def _used(
    name: str, dataset: Dataset, population: str, owner: Owner, *, simulated: bool
) -> DataSource:
    path, part = dataset.path, _part(dataset)
    number = None if simulated else claim(path, part, owner)
    return DataSource(
        dataset=name,
        kind=dataset.kind,
        population=population,
        location=location(path, part),
        claim=number,
        standing="simulated" if simulated else "claimed" if number else "not writable",
    )


def _part(dataset: Dataset) -> str:
    """Which part of one file; empty: all of it."""
    if not isinstance(dataset, ArrayDataset) or dataset.part_of == (1, 1):
        return ""
    return "/".join(map(str, dataset.part_of))
