"""What the running site is doing, kept for whoever asks: the control plane, health checks, metrics.

Nothing in here identifies a patient, and nothing in here leaves the hospital.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

KEPT_EVENTS = 1000


class Doing(StrEnum):
    """What a task is at."""

    QUEUED = "queued"
    DESCRIBING = "describing"
    EVALUATING = "evaluating"
    TRAINING = "training"


@dataclass(frozen=True)
class Work:
    """A task that the agent has taken.

    Attributes:
        connection: the coordinator that it came from, by the site's name for it.
        study, fingerprint: of the study.
        round: 0 while describing.
        doing: what it is at.
        step, steps: optimiser steps done and planned in this round; 0, 0 before training.
        began, moved: when it was taken and when it last made progress, in seconds since 1970.
    """

    connection: str
    study: str
    fingerprint: str
    round: int
    doing: Doing
    step: int = 0
    steps: int = 0
    began: float = field(default_factory=time.time)
    moved: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Link:
    """The way to one coordinator.

    Attributes:
        connection: the site's name for the coordinator.
        server: its host:port.
        polled: when the agent last reached its SuperNode, in seconds since 1970; 0: never.
        contact: when the SuperNode last reached the coordinator; 0: never, or not known.
        node: Flower's id of the node; 0: not known.
        problem: why there is no contact, in words; empty when there is.
    """

    connection: str
    server: str
    polled: float = 0.0
    contact: float = 0.0
    node: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Event:
    """Something that the hospital's people may want to know.

    Attributes:
        number: 1, 2, 3, …
        at: seconds since 1970.
        kind: started, study, refused, round, sent, paused, resumed, approved, revoked, failed, stopping.
        connection, study: whom it is about; empty where it is about the site.
        text: one sentence.
    """

    number: int
    at: float
    kind: str
    connection: str
    study: str
    text: str


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment.

    Attributes:
        site: its name.
        started: when the service started, in seconds since 1970.
        paused, stopping: whether it takes no new tasks.
        work: tasks in hand, by connection.
        links: the coordinators, by connection.
        problem: why the last task could not be answered for a reason of the machine (a full disk, a locked ledger);
            empty once one was answered.
        answered, refused: tasks since the start.
        bytes_sent: of patient-dependent content since the start.
    """

    site: str
    started: float
    paused: bool = False
    stopping: bool = False
    work: dict[str, Work] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    problem: str = ""
    answered: int = 0
    refused: int = 0
    bytes_sent: int = 0


class ServiceState:
    """The state of a running site; any thread may change or read it."""

    def __init__(self, site: str, links: dict[str, Link]) -> None:
        self._now = Snapshot(site, time.time(), links=dict(links))
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._count = 0
        self._changed = threading.Condition()

    def snapshot(self) -> Snapshot:
        """Return everything as it is now; what is returned does not change any more."""
        with self._changed:
            now = self._now
            return replace(now, work=dict(now.work), links=dict(now.links))

    def update(self, change: Callable[[Snapshot], Snapshot]) -> None:
        """Replace the snapshot by what `change` makes of it, alone, and wake whoever waits."""
        with self._changed:
            self._now = change(self._now)
            self._changed.notify_all()

    def work(self, connection: str, work: Work | None) -> None:
        """Note the task of a connection; None: there is none any more."""

        def change(now: Snapshot) -> Snapshot:
            others = {name: each for name, each in now.work.items() if name != connection}
            return replace(now, work=others if work is None else {**others, connection: work})

        self.update(change)

    def link(self, link: Link) -> None:
        """Note how a coordinator is reached."""
        self.update(lambda now: replace(now, links={**now.links, link.connection: link}))

    def tell(self, kind: str, text: str, *, connection: str = "", study: str = "") -> Event:
        """Add an event."""
        with self._changed:
            self._count += 1
            event = Event(self._count, time.time(), kind, connection, study, text)
            self._events.append(event)
            self._changed.notify_all()
        return event

    def events(self, after: int = 0) -> list[Event]:
        """Return the events after a number, as far as they are kept."""
        with self._changed:
            return [event for event in self._events if event.number > after]

    def wait(self, seconds: float) -> None:
        """Wait for a change, or for the time to pass."""
        with self._changed:
            self._changed.wait(seconds)
