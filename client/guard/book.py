"""The ledger's entries, read in order: whose it is, what was reserved, and what became of it.

| kind | body |
|---|---|
| `open` | site, population, schema |
| `policy` | policy: the site's limits from here on |
| `source` | a data set that is used: see `DataSource` |
| `reserve` | key, study, fingerprint, round, group, event, delta, randomness; population, if a part of the site |
| `settle` | key, steps, released (sha256 of what left, or null); egress, where a log is kept: its newest entry |
| `approve`, `revoke` | study, fingerprint, bundle, by, key, signature: see `approvals` |
| `restored` | reason, entries, head: a backup was put back that may lack charges after entry number `entries` |
| `migrated` | from, to: schema versions |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from client.guard.approvals import Decision, decision_from
from client.guard.clock import Setback, setback
from client.guard.entries import Entry, Mark
from client.guard.schema import ORIGIN
from client.guard.sources import DataSource
from common.errors import StudyError, TamperedError
from common.privacy.events import Event, event_from_json

Randomness = Literal["system", "fixed"]
WHOLE_SITE = ""
"""The population of everybody: what it is charged counts for every patient of the site."""


@dataclass(frozen=True)
class Reservation:
    """What may be released under one key; charged in full until it is settled.

    Attributes:
        seq: number of its ledger entry.
        key: the caller's name for one release; a retry uses the same.
        study, fingerprint, round: what it is for.
        group: "train/<split>", "test/<split>" or "all/<split>": whose data are touched.
        event: the mechanism with the most steps that it may run.
        delta: the study's δ.
        randomness: "fixed" for simulations, which protect nobody.
        population: the patients who share the budget.
    """

    seq: int
    key: str
    study: str
    fingerprint: str
    round: int
    group: str
    event: Event
    delta: float
    randomness: Randomness
    population: str = WHOLE_SITE

    def terms(self) -> dict[str, Any]:
        """All but its number, as JSON values; what a retry must repeat."""
        names = ("key", "study", "fingerprint", "round", "group", "delta", "randomness")
        terms = {**{name: getattr(self, name) for name in names}, "event": self.event.to_json()}
        return terms | ({"population": self.population} if self.population else {})


@dataclass(frozen=True)
class Settlement:
    """How a reservation ended: the steps that ran, and the sha256 of what left (None: nothing)."""

    steps: int
    released: str | None


@dataclass(frozen=True)
class Charge:
    """What a reservation costs now: its actual steps, or the most it may run while it is open.

    Attributes:
        study, fingerprint, round, group, delta, randomness, population: as in the reservation.
        event: with the steps that count.
        settled: False while the reservation is open, or for ever after a crash.
    """

    study: str
    fingerprint: str
    round: int
    group: str
    event: Event
    delta: float
    randomness: Randomness
    settled: bool
    population: str = WHOLE_SITE


class Book:
    """A running summary of a ledger.

    Attributes:
        seq, head: number and hash of the last entry read.
        identity: hash of the first entry, which no other ledger has.
        site, population: whose ledger it is; empty before the first entry.
        policy: the last recorded policy, or None.
        sources: the data sets that were used, oldest first.
        decisions: approvals and revocations, oldest first; each signature holds.
        restorations: why backups were put back that may lack charges, oldest first.
        marks: entries of the egress log that settlements name, oldest first, by the number of the settlement.
        setbacks: where the clock went backwards; times are for people and never decide anything.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.head = ORIGIN
        self.identity = ORIGIN
        self.site = ""
        self.population = ""
        self.policy: Mapping[str, Any] | None = None
        self.sources: list[DataSource] = []
        self.decisions: list[Decision] = []
        self.restorations: list[str] = []
        self.marks: dict[int, Mark] = {}
        self.setbacks: list[Setback] = []
        self._at = ""
        self._reservations: dict[str, Reservation] = {}
        self._settlements: dict[str, Settlement] = {}

    def apply(self, entry: Entry) -> None:
        """Read the next entry.

        Raises:
            TamperedError: it makes no sense here, although its hash holds.
        """
        readers = {
            "open": self._open,
            "policy": self._policy,
            "reserve": self._reserve,
            "settle": self._settle,
            "source": self._source,
            "migrated": self._migrated,
            "approve": self._decision,
            "revoke": self._decision,
            "restored": self._restored,
        }
        try:
            if (entry.kind == "open") != (entry.seq == 1):
                raise ValueError("a ledger opens once, with its first entry")
            readers[entry.kind](entry)
        except (KeyError, TypeError, ValueError, StudyError) as error:
            raise TamperedError(
                f"Entry {entry.seq} makes no sense in a ledger ({error}).",
                fix="Keep the file as evidence and go back to a copy that verifies.",
            ) from error
        self.setbacks += setback(self._at, entry)
        self.seq, self.head, self._at = entry.seq, entry.hash, entry.at

    def reservation(self, key: str) -> Reservation | None:
        """The reservation of a key."""
        return self._reservations.get(key)

    def settlement(self, key: str) -> Settlement | None:
        """How the reservation of a key ended; None while it is open."""
        return self._settlements.get(key)

    def unsettled(self) -> set[str]:
        """The keys of all open reservations."""
        return set(self._reservations) - set(self._settlements)

    def charges(self) -> list[Charge]:
        """All charges, oldest first."""
        return list(self._charges())

    def _charges(self) -> Iterator[Charge]:
        for key, made in self._reservations.items():
            end = self._settlements.get(key)
            yield charge_for(made, None if end is None else end.steps)

    def _open(self, entry: Entry) -> None:
        self.site = _text(entry.body["site"])
        self.population = _text(entry.body["population"])
        self.identity = entry.hash

    def _policy(self, entry: Entry) -> None:
        policy = entry.body["policy"]
        if not isinstance(policy, dict):
            raise TypeError("a policy is a table")
        self.policy = policy

    def _reserve(self, entry: Entry) -> None:
        made = reservation_from(entry)
        if made.key in self._reservations:
            raise ValueError("a key is reserved once")
        self._reservations[made.key] = made

    def _source(self, entry: Entry) -> None:
        self.sources.append(DataSource.from_json(entry.body))

    def _decision(self, entry: Entry) -> None:
        self.decisions.append(decision_from(entry))

    def _restored(self, entry: Entry) -> None:
        if (entry.body["entries"], entry.body["head"]) != (self.seq, self.head):
            raise ValueError("a restoration names the entry that it follows")
        self.restorations.append(_text(entry.body["reason"]))

    def _migrated(self, entry: Entry) -> None:
        if not 1 <= entry.body["from"] < entry.body["to"]:
            raise ValueError("a migration goes to a later version")

    def _settle(self, entry: Entry) -> None:
        key, steps, released = (entry.body[name] for name in ("key", "steps", "released"))
        made = self._reservations[key]
        if key in self._settlements:
            raise ValueError("a reservation is settled once")
        if isinstance(steps, bool) or not 0 <= steps <= made.event.steps:
            raise ValueError("more steps are settled than were reserved")
        if released is not None:
            _text(released)
        made.event.with_steps(steps)
        if "egress" in entry.body:
            self.marks[entry.seq] = Mark.from_json(entry.body["egress"])
        self._settlements[key] = Settlement(steps, released)


def reservation_from(entry: Entry) -> Reservation:
    """The reservation that a "reserve" entry records."""
    body = entry.body
    if body["randomness"] not in ("system", "fixed"):
        raise ValueError('randomness is "system" or "fixed"')
    require_delta(body["delta"])
    split_group(body["group"])
    return Reservation(
        seq=entry.seq,
        key=_text(body["key"]),
        study=_text(body["study"]),
        fingerprint=_text(body["fingerprint"]),
        round=int(body["round"]),
        group=body["group"],
        event=event_from_json(body["event"]),
        delta=body["delta"],
        randomness=body["randomness"],
        population=_text(body["population"]) if "population" in body else WHOLE_SITE,
    )


def charge_for(made: Reservation, steps: int | None) -> Charge:
    """The charge of a reservation with the steps that ran, or None while it is open."""
    return Charge(
        study=made.study,
        fingerprint=made.fingerprint,
        round=made.round,
        group=made.group,
        event=made.event if steps is None else made.event.with_steps(steps),
        delta=made.delta,
        randomness=made.randomness,
        settled=steps is not None,
        population=made.population,
    )


def split_group(group: str) -> tuple[str, str]:
    """The role and the split id of a group.

    Raises:
        StudyError: the group is not "train/…", "test/…" or "all/…".
    """
    role, _, split = group.partition("/")
    if role not in ("train", "test", "all") or not split:
        raise StudyError(
            f"Expected group to be train/…, test/… or all/… with a split id, not {group!r}.",
            where="group",
        )
    return role, split


def require_delta(delta: float) -> None:
    """Refuse a δ outside (0, 1)."""
    if isinstance(delta, bool) or not 0 < delta < 1:
        raise StudyError(f"Expected delta to be above 0 and below 1, not {delta!r}.", where="delta")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text is missing")
    return value
