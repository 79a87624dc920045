"""A site's privacy ledger: what was reserved, and what was spent. It stores events, never ε.

The rules that make it safe against a crash at any moment:

1. *reserve* the most that a release may cost, before its first noisy step;
2. compute, and keep the bytes (spool);
3. *settle* with what really ran;
4. only then let the bytes leave the house.

Between 1 and 3 nothing has left, so a retry under the same key continues the same reservation.
After 3 a retry re-sends the very same bytes (`AlreadySettled` asks for it) or is a new charge under
a new key. A reservation that is never settled stays charged in full.

One file serves all populations of a site, because a charge to the whole site counts for each of
them: in files of their own they would not know of it.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric import ed25519

from client.guard.anchor import Anchor
from client.guard.approvals import Decision, Standing, signed
from client.guard.book import (
    WHOLE_SITE,
    Book,
    Charge,
    Randomness,
    Reservation,
    Settlement,
    charge_for,
    require_delta,
    reservation_from,
    split_group,
)
from client.guard.chain import Chain
from client.guard.entries import Entry, Mark, Writer, canonical
from client.guard.schema import ORIGIN, SCHEMA_VERSION
from client.guard.sources import DataSource, require_population
from common.errors import BudgetError, ConsiliumError, StudyError, TamperedError
from common.privacy.events import Event

T = TypeVar("T")

_SHA256 = re.compile(r"[0-9a-f]{64}")


class AlreadySettled(ConsiliumError):
    """The key was settled before: re-send the bytes with sha256 `released`, or use a new key."""

    exit_code = BudgetError.exit_code

    def __init__(self, reservation: Reservation, settlement: Settlement) -> None:
        super().__init__(
            "What is asked for was charged and settled before.",
            where=f"study '{reservation.study}', round {reservation.round}",
            fix="Send the spooled bytes again, or ask under a new key, which is a new charge.",
        )
        self.reservation = reservation
        self.released = settlement.released
        self.steps = settlement.steps


class Limit(Protocol):
    """Whatever may refuse a charge before it is written."""

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Raise `BudgetError` when `asked` on top of `charges` is too much."""


class Ledger:
    """The ledger of a site.

    Args:
        path: its file, made (readable by its owner only) when it does not exist.
        site: the site's name.
        population: everybody whom it is about: the whole site. Charges may name a part of it.
        anchors: files that remember the newest settlement outside the ledger; see `Anchor`.

    Raises:
        StudyError: the file is the ledger of another site or population.
        TamperedError: the file does not hold together, or is older than an anchor.
        MachineError: the file cannot be used now.
    """

    def __init__(
        self, path: Path, site: str, population: str, anchors: Sequence[Path] = ()
    ) -> None:
        self.path = path
        self._chain = Chain(path)
        self._book = Book()
        self._lock = threading.RLock()
        self._anchor = Anchor(anchors)
        self._anchor.check(self._chain)  # before a missing ledger could be made anew
        self._chain.create(
            "open", {"site": site, "population": population, "schema": SCHEMA_VERSION}
        )
        self._chain.check_pages()
        book = self._refreshed()
        if (book.site, book.population) != (site, population):
            raise StudyError(
                f"The ledger belongs to site '{book.site}', population '{book.population}'; "
                f"this is site '{site}', population '{population}'.",
                where=str(path),
                fix="Give every site and population a ledger of its own.",
            )

    def record_policy(self, policy: Mapping[str, Any]) -> None:
        """Note the site's policy, when it differs from the one noted last."""
        plain = json.loads(canonical(_plain(policy)))

        def change(book: Book, writer: Writer) -> None:
            if book.policy != plain:
                writer.append("policy", {"policy": plain})

        with self._lock:
            if self._refreshed().policy != plain:
                self._write(change)

    @property
    def identity(self) -> str:
        """Hash of the first entry; no other ledger has it, wherever this one is moved."""
        return self._book.identity

    def record_source(self, source: DataSource) -> None:
        """Note which data are used, when that differs from what was noted last for the data set.

        Raises:
            BudgetError: the data's patients were charged as another population before.
        """

        def change(book: Book, writer: Writer) -> None:
            require_population(book.sources, source)
            if not _noted(book, source):
                writer.append("source", source.to_json())

        with self._lock:
            if not _noted(self._refreshed(), source):
                self._write(change)

    def reserve(
        self,
        key: str,
        *,
        study: str,
        fingerprint: str,
        round: int,
        group: str,
        event: Event,
        delta: float,
        randomness: Randomness,
        budget: Limit | None = None,
        population: str = WHOLE_SITE,
    ) -> Reservation:
        """Charge the most that a release may cost; nothing is written unless the budget allows it.

        The file's write lock is held while the budget is asked, so that two agents cannot both
        pass. A key whose reservation is open gets that reservation back and is not charged again,
        which is sound as long as nothing leaves before `settle` has returned.

        Args:
            key: names this release; the same for a retry of it.
            study, fingerprint, round: what it is for.
            group: "train/<split id>", "test/<split id>" or "all/<split id>".
            event: the mechanism with its greatest number of steps.
            delta: the study's δ.
            randomness: `SecureRandom.origin` of the noise and the sampling.
            budget: what may refuse; None charges without asking.
            population: the patients who share the budget, where that is not the whole site.

        Raises:
            BudgetError: the budget refuses, or the key is open on other terms.
            AlreadySettled: the key was settled.
        """
        require_delta(delta)
        split_group(group)
        wanted = Reservation(
            0, key, study, fingerprint, round, group, event, float(delta), randomness, population
        )

        def change(book: Book, writer: Writer) -> Reservation:
            made = book.reservation(key)
            if made is not None:
                return _again(made, book.settlement(key), wanted)
            if budget is not None:
                budget.check(book.charges(), charge_for(wanted, None))
            return reservation_from(writer.append("reserve", wanted.terms()))

        return self._write(change)

    def settle(
        self,
        reservation: Reservation,
        *,
        steps: int,
        released: str | None,
        egress: Mark | None = None,
    ) -> None:
        """Replace a reservation's maximum by what ran; to be called before anything leaves.

        Whoever stops early settles the steps that ran, and then nothing more may leave under the
        key: it is settled once.

        Args:
            reservation: from `reserve`.
            steps: steps (or releases) that ran; 0 when nothing leaves.
            released: sha256 (hex) of what is about to leave, or None.
            egress: the newest entry of the egress log, so that a log that is cut later shows; None: no log is kept.

        Raises:
            BudgetError: more steps than were reserved, or settled before with another result.
            StudyError: `released` is not a sha256, or the reservation is of another ledger.
        """
        if released is not None and not _SHA256.fullmatch(released):
            raise StudyError(
                "Expected released to be a sha256 in lower-case hex.", where="released"
            )
        end = Settlement(steps, released)

        def change(book: Book, writer: Writer) -> None:
            before = book.settlement(reservation.key)
            if before == end and book.reservation(reservation.key) == reservation:
                return
            _check_settlement(book.reservation(reservation.key), reservation, before, steps)
            body = {"key": reservation.key, "steps": steps, "released": released}
            writer.append("settle", body if egress is None else {**body, "egress": asdict(egress)})

        with self._lock:
            self._write(change)
            self._anchor.keep(self._book.seq, self._book.head)

    def unsettled(self) -> set[str]:
        """Return the keys of all open reservations."""
        with self._lock:
            return self._refreshed().unsettled()

    def standing(self, key: str) -> tuple[Reservation | None, Settlement | None]:
        """Return the reservation of a key, and how it ended; None: there is none, or it is open."""
        with self._lock:
            book = self._refreshed()
            return book.reservation(key), book.settlement(key)

    def decide(
        self, kind: Standing, said: dict[str, str], key: ed25519.Ed25519PrivateKey
    ) -> Decision:
        """Note an approval or a revocation, signed with the site's key.

        Args:
            kind: approve or revoke.
            said: study, fingerprint, bundle and by.
            key: the site's signing key.
        """

        def change(book: Book, writer: Writer) -> None:
            writer.append(kind, signed(kind, said, book.head, key))

        with self._lock:
            self._write(change)
            self._anchor.keep(self._book.seq, self._book.head)
            return self._book.decisions[-1]

    def decisions(self) -> list[Decision]:
        """All approvals and revocations, oldest first."""
        with self._lock:
            return list(self._refreshed().decisions)

    def charges(self) -> list[Charge]:
        """All charges, oldest first; open reservations count in full."""
        with self._lock:
            return self._refreshed().charges()

    def head(self) -> str:
        """Hash of the last entry; whoever keeps it notices when the ledger is cut or replaced."""
        with self._lock:
            return self._refreshed().head

    def _write(self, change: Callable[[Book, Writer], T]) -> T:
        """Run `change` on the newest state, alone; remember what it added once that is on disk."""
        added: list[Entry] = []

        def alone(writer: Writer) -> T:
            result = change(self._follow(writer.read(self._book.seq, self._book.head)), writer)
            added.extend(writer.appended)
            return result

        with self._lock:
            result = self._chain.write(alone)
            self._follow(added)
            return result

    def _refreshed(self) -> Book:
        return self._follow(self._chain.read(self._book.seq, self._book.head))

    def _follow(self, entries: Iterable[Entry]) -> Book:
        """Read what is new since last time; every entry is checked as it is read."""
        for entry in entries:
            self._book.apply(entry)
        if self._book.head == ORIGIN:
            raise TamperedError(
                "The ledger is empty: even its first entry is missing.",
                where=str(self.path),
                fix="Keep the file as evidence and go back to a copy that verifies.",
            )
        return self._book


def _noted(book: Book, source: DataSource) -> bool:
    """Whether the newest entry of the data set says the same."""
    latest = [each for each in book.sources if each.dataset == source.dataset][-1:]
    return latest == [source]


def _again(made: Reservation, end: Settlement | None, wanted: Reservation) -> Reservation:
    if end is not None:
        raise AlreadySettled(made, end)
    if made.terms() != wanted.terms():
        raise BudgetError(
            "A reservation under this key is open on other terms.",
            where=f"study '{made.study}', round {made.round}",
            fix="Ask under a new key, which is a new charge.",
        )
    return made


def _check_settlement(
    stored: Reservation | None, given: Reservation, before: Settlement | None, steps: int
) -> None:
    where = f"study '{given.study}', round {given.round}"
    if stored != given:
        raise StudyError("The reservation is not of this ledger.", where=where)
    if before is not None:
        raise BudgetError(
            "The reservation was settled before, with another result.",
            where=where,
            fix="Ask under a new key, which is a new charge.",
        )
    if isinstance(steps, bool) or not 0 <= steps <= given.event.steps:
        raise BudgetError(
            f"{steps} steps are to be settled of {given.event.steps} reserved; all of these stay "
            "charged.",
            where=where,
            fix="Reserve the most steps that may run before the first one.",
        )


def _plain(value: object) -> object:
    """JSON values of a policy; what JSON cannot say, such as an infinite limit, becomes text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item) for item in items]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
