"""Tells the ledger which data a study uses here, and claims them for it."""

from __future__ import annotations

from client.data.config import ArrayDataset, DatasetConfig
from client.guard.claim import Owner, claim
from client.guard.ledger import Ledger
from client.guard.sources import DataSource, location
from client.site import Site, Wanted


def use_data(site: Site, spec: Wanted, ledger: Ledger, *, simulated: bool) -> DataSource:
    """Claim the data that a study asks for, and note them in the ledger.

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
    dataset = site.datasets[name]
    path, part = dataset.path, _part(dataset)
    owner = Owner(ledger.identity, ledger.path, site.name)
    number = None if simulated else claim(path, part, owner)
    source = DataSource(
        dataset=name,
        kind=dataset.kind,
        population=site.population(spec),
        location=location(path, part),
        claim=number,
        standing="simulated" if simulated else "claimed" if number else "not writable",
    )
    ledger.record_source(source)
    return source


def _part(dataset: DatasetConfig) -> str:
    """Which part of one file; empty: all of it."""
    if not isinstance(dataset, ArrayDataset) or dataset.part_of == (1, 1):
        return ""
    return "/".join(map(str, dataset.part_of))
