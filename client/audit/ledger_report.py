"""What ledgers say, verified and accounted anew. Reads files; prints and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client.audit import shared_patients
from client.audit.document import EXIT_CODES, Verdict, worst
from client.audit.doubled import contradictions
from client.audit.ledger_spend import (
    NOTHING,
    PopulationSpend,
    Release,
    StudySpend,
    epsilons,
    populations,
    releases,
    replaced,
    studies,
)
from client.audit.notes import ADJACENCY
from client.guard.approvals import Decision
from client.guard.book import Book, Charge
from client.guard.budget import Budget, sharing, spent
from client.guard.chain import Chain, Verified
from common.errors import StudyError
from common.privacy.accountants import Epsilons

__all__ = ["ADJACENCY", "AuditReport", "LedgerReport", "audit", "find_ledgers"]


@dataclass(frozen=True)
class LedgerReport:
    """One ledger. The figures of one that does not hold together prove nothing, so it has none.

    Attributes:
        path, chain: the file, and whether it holds together.
        site, population: whose it is.
        studies: what each study cost.
        delta, total: ε of everything, of the patient who spent most, at this δ.
        replaced: the same by PLD for replacing one patient, where that was asked for.
        populations: the same by named population; empty where all charges are to the whole site.
        budget, exceeded: the policy recorded last, and whether it is kept.
        unprotected, declared_public: what left without noise.
        charges: as they were made, oldest first.
        decisions: approvals and revocations, oldest first; each signature holds.
        notes: what a reader has to know.
    """

    path: Path
    chain: Verified
    site: str = ""
    population: str = ""
    studies: tuple[StudySpend, ...] = ()
    delta: float | None = None
    total: Epsilons | None = None
    replaced: float | None = None
    budget: Budget | None = None
    exceeded: bool = False
    unprotected: tuple[Release, ...] = ()
    declared_public: tuple[Release, ...] = ()
    populations: tuple[PopulationSpend, ...] = ()
    charges: tuple[Charge, ...] = ()
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What to think of it."""
        if not self.chain.intact:
            return "tampered"
        return "over budget" if self.exceeded else "sound"


@dataclass(frozen=True)
class AuditReport:
    """All ledgers that were asked for; the worst decides.

    Attributes:
        ledgers: each of them.
        notes: what a reader has to know, the contradictions first.
        contradictions: ledgers that give the same patients two budgets, however sound each of them is.
    """

    ledgers: tuple[LedgerReport, ...]
    notes: tuple[str, ...] = field(default=())
    contradictions: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict; ledgers that contradict each other prove nothing together."""
        together: list[Verdict] = ["tampered"] if self.contradictions else []
        return worst([*together, *(each.verdict for each in self.ledgers)])

    @property
    def exit_code(self) -> int:
        """0 sound, 3 over budget, 4 tampered."""
        return EXIT_CODES[self.verdict]


def audit(
    paths: Iterable[Path], delta: float | None = None, *, replace_one: bool = False
) -> AuditReport:
    """Verify and account all ledgers under `paths`.

    Args:
        paths: ledger files, or folders that are searched for `*.ledger`.
        delta: δ of the figures; None takes each study's own, and the policy's for the total.
        replace_one: also account for replacing one patient.

    Raises:
        StudyError: a path does not exist or holds no ledger, or δ is not in (0, 1).
        MachineError: a ledger cannot be read now.
    """
    if delta is not None and not 0 < delta < 1:
        raise StudyError(
            f"Expected --delta to be above 0 and below 1, not {delta}.",
            where="--delta",
            fix="Choose δ well below one in the number of patients, or leave --delta out.",
        )
    books = [(path, *_read(path)) for path in find_ledgers(paths)]
    ledgers = tuple(
        _accounted(path, chain, book, delta, replace_one) for path, chain, book in books
    )
    owners = Counter(one.population for one in ledgers if one.population)
    shared = [
        f"Population '{name}' has {count} ledgers here; what they say is not added up."
        for name, count in owners.items()
        if count > 1
    ]
    sound = [(path, book) for path, chain, book in books if chain.intact]
    doubled = tuple(contradictions(sound))
    jointly = shared_patients.notes(*_by_site(ledgers, delta)) if not (shared or doubled) else ()
    return AuditReport(ledgers, (*doubled, *shared, *jointly), doubled)


def _by_site(
    ledgers: Iterable[LedgerReport], delta: float | None
) -> tuple[dict[str, Sequence[Charge]], float | None]:
    """The charges of every site whose ledger holds together, and the δ at which they are put together."""
    intact = [one for one in ledgers if one.chain.intact]
    least = min((one.delta for one in intact if one.delta), default=None)
    return {one.site: one.charges for one in intact}, delta or least


def find_ledgers(paths: Iterable[Path]) -> list[Path]:
    """The ledger files that `paths` name or contain, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        files = sorted(_place(path).rglob("*.ledger")) if path.is_dir() else [path]
        files = [file for file in files if file.is_file()]
        if not files:
            missing = "No ledger in the folder" if path.is_dir() else "There is no such file"
            raise StudyError(
                f"{missing}.",
                where=str(path),
                fix="Name a ledger file, or a folder that has <site>.ledger files.",
            )
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _place(folder: Path) -> Path:
    """A run's own ledgers, and not those of a comparison that was run beside it."""
    own = folder / "ledgers"
    return own if own.is_dir() else folder


def _read(path: Path) -> tuple[Verified, Book]:
    book = Book()
    return Chain(path, writable=False).verify(book.apply), book


def _accounted(
    path: Path, chain: Verified, book: Book, delta: float | None, replace_one: bool
) -> LedgerReport:
    if not chain.intact:
        return LedgerReport(path, chain, book.site, book.population)
    charges, budget = book.charges(), _budget(book.policy)
    total_delta = delta or (budget.delta if budget else _least_delta(charges))
    return LedgerReport(
        path,
        chain,
        site=book.site,
        population=book.population,
        studies=studies(charges, delta, replace_one),
        delta=total_delta,
        total=epsilons(charges, total_delta) if total_delta else NOTHING,
        replaced=replaced(charges, total_delta) if replace_one and total_delta else None,
        budget=budget,
        exceeded=_exceeded(book.policy, budget, charges),
        unprotected=releases(charges, declared_public=False),
        declared_public=releases(charges, declared_public=True),
        populations=populations(charges, total_delta),
        charges=tuple(charges),
        decisions=tuple(book.decisions),
        notes=tuple(_notes(book, charges, budget)),
    )


def _budget(policy: Mapping[str, object] | None) -> Budget | None:
    try:
        values = [policy[name] for name in ("max_epsilon", "delta")] if policy else []
        return Budget(*(float(str(value)) for value in values)) if values else None
    except (KeyError, ValueError, StudyError):
        return None


def _exceeded(
    policy: Mapping[str, object] | None, budget: Budget | None, charges: Sequence[Charge]
) -> bool:
    """Whether a limit is broken: that of a population with one of its own, or the site's for everybody else."""
    named = policy.get("populations") if policy else None
    own = {
        name: limit
        for name, each in (named.items() if isinstance(named, dict) else ())
        if isinstance(each, dict) and (limit := _budget(each)) is not None
    }
    rest = [each for each in charges if each.population not in own]
    parts = [*((sharing(charges, name), limit) for name, limit in own.items()), (rest, budget)]
    return any(limit and limit.exceeded_by(spent(part, limit.delta)) for part, limit in parts)


def _least_delta(charges: Iterable[Charge]) -> float | None:
    return min((charge.delta for charge in charges), default=None)


def _notes(book: Book, charges: Sequence[Charge], budget: Budget | None) -> Iterable[str]:
    if book.setbacks:
        yield f"The clock was set back: {book.setbacks[0]}{_and_more(len(book.setbacks) - 1)}."
    for reason in book.restorations:
        yield f"An older copy was put back, which may lack charges; the reason given: {reason}"
    if any(charge.randomness == "fixed" for charge in charges):
        yield "Fixed randomness: simulation only, gives no protection."
    open_ = sum(not charge.settled for charge in charges)
    if open_:
        yield f"{open_} reservation(s) never settled, charged in full."
    if budget is None:
        yield "No policy with max_epsilon and delta is recorded: nothing to compare with."


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count else ""
