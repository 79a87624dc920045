"""Health means progress: what keeps the site from answering its coordinators, in words, each with its fix.

Three probes ask different questions. *live*: is the service stuck, so that a restart would help? *ready*: could a new
task be taken and answered? *progress*: ready, every coordinator reached, and whatever is in hand moves on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Probe(StrEnum):
    """What may be asked."""

    LIVE = "live"
    READY = "ready"
    PROGRESS = "progress"


PROGRESS_ONLY = frozenset({Probe.PROGRESS})
NO_TASKS = frozenset({Probe.READY, Probe.PROGRESS})
STUCK = frozenset(Probe)


@dataclass(frozen=True)
class Reason:
    """Why the site is not healthy.

    Attributes:
        check: link, round, paused, stopping, task, ledger, egress, disk, spool, device, certificate or checks.
        problem: what is wrong, one sentence.
        fix: what to do about it.
        probes: those that fail.
    """

    check: str
    problem: str
    fix: str
    probes: frozenset[Probe] = NO_TASKS


@dataclass(frozen=True)
class Health:
    """Whether the site can make progress.

    Attributes:
        reasons: why not.
        notes: what does not stop anything yet.
    """

    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()

    def passes(self, probe: Probe) -> bool:
        """Whether nothing fails a probe."""
        return not any(probe in reason.probes for reason in self.reasons)

    def __add__(self, other: Health) -> Health:
        return Health(self.reasons + other.reasons, self.notes + other.notes)


class Stillness:
    """How long things have stood still, by a clock that nobody can set.

    Args:
        clock: seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[object, float]] = {}
        self._lock = threading.Lock()

    def seconds(self, name: str, value: object) -> float:
        """Return for how long a thing has had this value, as far as it was asked for."""
        with self._lock:
            now = self._clock()
            before, since = self._seen.get(name, (None, now))
            if before != value:
                since = now
            self._seen[name] = (value, since)
            return now - since
