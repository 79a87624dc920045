"""The ledger: does it hold together, can it be written, and what is left of the budget?"""

from __future__ import annotations

from collections.abc import Iterator

from client.control.checks.storage import log_reasons
from client.doctor.findings import Finding, Patient, amber, green, of_error, red
from common.errors import BudgetError, ConsiliumError, TamperedError


def check(patient: Patient) -> Iterator[Finding]:
    """Verify the chain and account for it."""
    path = patient.folder.ledger
    if not path.exists():
        yield green("there is no ledger yet: nothing was spent")
        return
    locked = [red(each.problem, each.fix) for each in log_reasons(patient.folder)]
    if locked:
        yield from locked
        return
    try:
        yield from _accounted(patient)
    except ConsiliumError as error:
        yield of_error(error)


def _accounted(patient: Patient) -> Iterator[Finding]:
    from client.guard.book import Book
    from client.guard.budget import spent
    from client.guard.chain import Chain

    book, path = Book(), patient.folder.ledger
    chain = Chain(path, writable=False).verify(book.apply)
    if not chain.intact:
        yield red(
            f"The ledger does not hold together [{path}].",
            f"Stop the site; see 'consilium audit ledger {path}', and restore a backup.",
            kind=TamperedError,
        )
        return
    policy = patient.site.policy
    used = spent(book.charges(), policy.delta)
    yield green(f"the ledger holds together, {chain.entries} entries")
    if used > policy.max_epsilon:
        yield red(
            f"ε = {used:.3g} was spent, more than the {policy.max_epsilon:g} that the policy allows.",
            "No study can train here any more; talk to your privacy officer.",
            kind=BudgetError,
        )
    elif used > 0.9 * policy.max_epsilon:
        yield amber(f"ε = {used:.3g} of {policy.max_epsilon:g} is spent: little is left.")
    else:
        yield green(f"ε = {used:.3g} of {policy.max_epsilon:g} is spent")
