"""Charges a request before it is answered, and finds the key under which its bytes may leave."""

from __future__ import annotations

from dataclasses import dataclass

from client.guard.book import Reservation
from client.guard.egress_log import EgressLog
from client.guard.entries import Mark
from client.guard.ledger import AlreadySettled, Ledger
from client.guard.spool import Spool
from client.messages import Request
from client.terms import KINDS, Terms
from common.errors import BudgetError
from common.privacy.events import Event


@dataclass(frozen=True)
class Opened:
    """What a request is charged.

    Attributes:
        key: names the release in ledger, spool and egress log.
        reservations: those that are open; none where all were settled, for bytes that wait in the spool.
    """

    key: str
    reservations: tuple[Reservation, ...]


@dataclass(frozen=True)
class Charging:
    """The ledger, as the road of a request uses it.

    Attributes:
        ledger: of the site.
        spool: of the study; only the very bytes that a charge was settled for may leave again.
        terms: what a request costs.
        egress: the log of what left; whatever it says is charged, even if it never arrived.
    """

    ledger: Ledger
    spool: Spool
    terms: Terms
    egress: EgressLog | None = None

    def reserve(self, request: Request) -> Opened:
        """Charge everything that the answer will release.

        A key that is settled, but whose bytes are gone, cannot be made again for nothing: the next attempt is a new
        charge under a new key.

        Raises:
            BudgetError: the request costs more than is left; what it opened is given back.
        """
        attempt = 0
        while True:
            key = request.key if not attempt else f"{request.key}-again-{attempt}"
            opened, released = self._reserve_under(key, request)
            if released is None:
                released = self._logged(opened)
            if released is None or self._spooled(key) == released:
                return opened
            attempt += 1

    def settle(self, opened: Opened, released: str) -> None:
        """Charge the reservations in full, for the bytes with this digest."""
        mark = self._mark()
        for reservation in opened.reservations:
            steps = reservation.event.steps
            self.ledger.settle(reservation, steps=steps, released=released, egress=mark)

    def give_back(self, opened: Opened) -> None:
        """Settle reservations under which nothing left and nothing will leave."""
        mark = self._mark()
        for reservation in opened.reservations:
            self.ledger.settle(reservation, steps=0, released=None, egress=mark)

    def _mark(self) -> Mark | None:
        """The log's newest entry: with the ledger's head it goes to the coordinator, who remembers that."""
        return None if self.egress is None else self.egress.newest()

    def forgo_before(self, round_: int) -> None:
        """Give back what finished replies to earlier rounds were charged, where these never left.

        The study went on without them. An open charge means that nothing left under it, for it is settled before; what
        was cut off while it was made may have shown itself by that, and stays charged.
        """
        waiting = self.ledger.unsettled()
        for key in self.spool.keys_before(round_):
            if waiting.isdisjoint(f"{key}/{name}" for name in KINDS):
                continue
            opened = self._never_left(key)
            if opened.reservations:
                self.give_back(opened)
                self.spool.drop(key)

    def _never_left(self, key: str) -> Opened:
        """The reservations of a key, if all of them are open and the log has nothing of it."""
        found = [self.ledger.standing(f"{key}/{name}") for name in KINDS]
        made = tuple(reservation for reservation, _ in found if reservation is not None)
        settled = any(end is not None for _, end in found)
        noted = self.egress is not None and self.egress.released(key) is not None
        return Opened(key, () if settled or noted else made)

    def _reserve_under(self, key: str, request: Request) -> tuple[Opened, str | None]:
        """Return the open reservations of a key, and the digest that its settled charges were for."""
        opened: list[Reservation] = []
        released: str | None = None
        for name, (role, event) in self.terms.events(request).items():
            try:
                opened.append(self._reserve_one(f"{key}/{name}", request, role, event))
            except AlreadySettled as settled:
                released = settled.released or "nothing"
            except BudgetError:
                self.give_back(Opened(key, tuple(opened)))
                raise
        return Opened(key, tuple(opened)), released

    def _reserve_one(self, key: str, request: Request, role: str, event: Event) -> Reservation:
        study = self.terms.study
        return self.ledger.reserve(
            key,
            study=study.name,
            fingerprint=study.fingerprint,
            round=request.round,
            group=self.terms.group(role),
            event=event,
            delta=study.privacy.delta,
            randomness=self.terms.randomness.origin,
            budget=self.terms.limit(role, event),
            population=self.terms.population,
        )

    def _spooled(self, key: str) -> str | None:
        """The digest of the spooled bytes."""
        parcel = self.spool.load(key)
        return None if parcel is None else parcel.digest

    def _logged(self, opened: Opened) -> str | None:
        """The digest of bytes that the egress log says left under an open key.

        The process died between that entry and the settlement. Where the bytes are gone as well, other bytes under the
        same key would be a second release for one charge: the first is settled in full, as if it had left.
        """
        logged = None if self.egress is None else self.egress.released(opened.key)
        if logged is not None and self._spooled(opened.key) != logged:
            self.settle(opened, logged)
        return logged
