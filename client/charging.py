"""Charges a request before it is answered, and finds the key under which its bytes may leave."""

from __future__ import annotations

from dataclasses import dataclass

from client.guard.book import Reservation
from client.guard.egress_log import EgressLog
from client.guard.ledger import AlreadySettled, Ledger
from client.guard.spool import Spool
from client.messages import Request
from client.terms import Terms
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
        for reservation in opened.reservations:
            self.ledger.settle(reservation, steps=reservation.event.steps, released=released)

    def give_back(self, opened: Opened) -> None:
        """Settle reservations under which nothing left and nothing will leave."""
        for reservation in opened.reservations:
            self.ledger.settle(reservation, steps=0, released=None)

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
