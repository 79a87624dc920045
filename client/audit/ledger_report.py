"""What ledgers say, verified and accounted anew. Reads files; prints and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from client.guard.book import Book, Charge, split_group
from client.guard.budget import Budget, spent, worst_cases
from client.guard.chain import Chain, Verified
from common.errors import StudyError
from common.privacy.accountants import Epsilons, epsilon
from common.privacy.events import GaussianEvent, UnprotectedEvent

ADJACENCY = "add/remove one patient"
Verdict = Literal["sound", "over budget", "tampered"]
EXIT_CODES: Mapping[Verdict, int] = {"sound": 0, "over budget": 3, "tampered": 4}
_NOTHING = Epsilons(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Steps:
    """All steps of one mechanism in a study; the unsettled ones are counted in `steps`, too."""

    role: str
    event: GaussianEvent
    steps: int
    unsettled_steps: int


@dataclass(frozen=True)
class Release:
    """What left without noise in a study, and how often."""

    study: str
    what: str
    releases: int


@dataclass(frozen=True)
class StudySpend:
    """What one study has cost the patient who spent most in it.

    Attributes:
        study, fingerprint: the study.
        rounds: how many different rounds were charged.
        events: its mechanisms.
        delta, epsilon: ε by three accountants at this δ.
        randomness: "system", "fixed" (simulation only) or "mixed".
    """

    study: str
    fingerprint: str
    rounds: int
    events: tuple[Steps, ...]
    delta: float
    epsilon: Epsilons
    randomness: str


@dataclass(frozen=True)
class LedgerReport:
    """One ledger. The figures of one that does not hold together prove nothing, so it has none."""

    path: Path
    chain: Verified
    site: str = ""
    population: str = ""
    studies: tuple[StudySpend, ...] = ()
    delta: float | None = None
    total: Epsilons | None = None
    budget: Budget | None = None
    exceeded: bool = False
    unprotected: tuple[Release, ...] = ()
    declared_public: tuple[Release, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What to think of it."""
        if not self.chain.intact:
            return "tampered"
        return "over budget" if self.exceeded else "sound"


@dataclass(frozen=True)
class AuditReport:
    """All ledgers that were asked for; the worst decides."""

    ledgers: tuple[LedgerReport, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """The worst verdict."""
        return max((each.verdict for each in self.ledgers), key=lambda one: EXIT_CODES[one])

    @property
    def exit_code(self) -> int:
        """0 sound, 3 over budget, 4 tampered."""
        return EXIT_CODES[self.verdict]


def audit(paths: Iterable[Path], delta: float | None = None) -> AuditReport:
    """Verify and account all ledgers under `paths`.

    Args:
        paths: ledger files, or folders that are searched for `*.ledger`.
        delta: δ of the figures; None takes each study's own, and the policy's for the total.

    Raises:
        StudyError: a path does not exist or holds no ledger, or δ is not in (0, 1).
        MachineError: a ledger cannot be read now.
    """
    if delta is not None and not 0 < delta < 1:
        raise StudyError(
            f"Expected --delta to be above 0 and below 1, not {delta}.", where="--delta"
        )
    ledgers = tuple(audit_ledger(path, delta) for path in find_ledgers(paths))
    populations = Counter(one.population for one in ledgers if one.population)
    shared = [
        f"Population '{name}' has {count} ledgers here; what they say is not added up."
        for name, count in populations.items()
        if count > 1
    ]
    return AuditReport(ledgers, tuple(shared))


def find_ledgers(paths: Iterable[Path]) -> list[Path]:
    """The ledger files that `paths` name or contain, each once."""
    found: dict[Path, None] = {}
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
        found.update(dict.fromkeys(files))
    return list(found)


def _place(folder: Path) -> Path:
    """A run's own ledgers, and not those of a comparison that was run beside it."""
    own = folder / "ledgers"
    return own if own.is_dir() else folder


def audit_ledger(path: Path, delta: float | None = None) -> LedgerReport:
    """Verify one ledger and account what it holds."""
    book = Book()
    chain = Chain(path, writable=False).verify(book.apply)
    if not chain.intact:
        return LedgerReport(path, chain, book.site, book.population)
    charges, budget = book.charges(), _budget(book.policy)
    total_delta = delta or (budget.delta if budget else _least_delta(charges))
    return LedgerReport(
        path,
        chain,
        site=book.site,
        population=book.population,
        studies=_studies(charges, delta),
        delta=total_delta,
        total=epsilons(charges, total_delta) if total_delta else _NOTHING,
        budget=budget,
        exceeded=budget is not None and budget.exceeded_by(spent(charges, budget.delta)),
        unprotected=_releases(charges, declared_public=False),
        declared_public=_releases(charges, declared_public=True),
        notes=tuple(_notes(charges, budget)),
    )


def epsilons(charges: Iterable[Charge], delta: float) -> Epsilons:
    """ε of the patient who spent most, by each accountant."""
    each = [epsilon(events, delta) for events in worst_cases(charges)]
    if not each:
        return _NOTHING
    notes = "; ".join(dict.fromkeys(one.prv_note for one in each if one.prv_note))
    known = [one.prv for one in each if one.prv is not None]
    return Epsilons(
        pld=max(one.pld for one in each),
        prv=max(known) if len(known) == len(each) else None,
        rdp=max(one.rdp for one in each),
        prv_note=notes,
    )


def _studies(charges: Sequence[Charge], delta: float | None) -> tuple[StudySpend, ...]:
    by_study: dict[tuple[str, str], list[Charge]] = {}
    for charge in charges:
        by_study.setdefault((charge.study, charge.fingerprint), []).append(charge)
    return tuple(_study(mine, delta) for mine in by_study.values())


def _study(mine: Sequence[Charge], delta: float | None) -> StudySpend:
    at = delta or min(charge.delta for charge in mine)
    origins = sorted({charge.randomness for charge in mine})
    return StudySpend(
        study=mine[0].study,
        fingerprint=mine[0].fingerprint,
        rounds=len({charge.round for charge in mine}),
        events=_merged(mine),
        delta=at,
        epsilon=epsilons(mine, at),
        randomness=origins[0] if len(origins) == 1 else "mixed",
    )


def _merged(charges: Iterable[Charge]) -> tuple[Steps, ...]:
    steps: Counter[tuple[str, GaussianEvent]] = Counter()
    unsettled: Counter[tuple[str, GaussianEvent]] = Counter()
    for charge in charges:
        if isinstance(charge.event, GaussianEvent):
            key = (split_group(charge.group)[0], charge.event.with_steps(0))
            steps[key] += charge.event.steps
            unsettled[key] += 0 if charge.settled else charge.event.steps
    return tuple(Steps(*key, steps=steps[key], unsettled_steps=unsettled[key]) for key in steps)


def _releases(charges: Iterable[Charge], *, declared_public: bool) -> tuple[Release, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for charge in charges:
        event = charge.event
        if isinstance(event, UnprotectedEvent) and event.declared_public == declared_public:
            counts[charge.study, event.what] += event.releases
    return tuple(Release(*key, releases=count) for key, count in counts.items() if count)


def _budget(policy: Mapping[str, object] | None) -> Budget | None:
    try:
        values = [policy[name] for name in ("max_epsilon", "delta")] if policy else []
        return Budget(*(float(str(value)) for value in values)) if values else None
    except (KeyError, ValueError, StudyError):
        return None


def _least_delta(charges: Iterable[Charge]) -> float | None:
    return min((charge.delta for charge in charges), default=None)


def _notes(charges: Sequence[Charge], budget: Budget | None) -> Iterable[str]:
    if any(charge.randomness == "fixed" for charge in charges):
        yield "Fixed randomness: simulation only, gives no protection."
    open_ = sum(not charge.settled for charge in charges)
    if open_:
        yield f"{open_} reservation(s) never settled, charged in full."
    if budget is None:
        yield "No policy with max_epsilon and delta is recorded: nothing to compare with."
