"""Looks after the site's health in the background, so that an answer about it never waits for a slow disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from client.control.checks.certificates import (
    certificate_notes,
    certificate_reasons,
    relied_on,
)
from client.control.checks.device import DeviceCheck
from client.control.checks.links import link_reasons
from client.control.checks.rounds import hours_notes, round_reasons, will_reasons
from client.control.checks.storage import disk_notes, disk_reasons, log_reasons, spool_reasons
from client.control.health import NO_TASKS, Health, Reason, Stillness
from client.service.state import ServiceState
from client.site import Site
from client.site_folder import SiteFolder

EVERY = 3.0
OVERDUE = 30.0
"""After so long without an end the checks themselves are taken for stuck, as a disk that hangs makes them."""

log = logging.getLogger(__name__)


class MachineChecks:
    """The checks that touch disk, device and files."""

    def __init__(self, site: Site, folder: SiteFolder) -> None:
        self._folder = folder
        self._hours = site.policy.hours
        self._device = DeviceCheck(site.compute.device)
        self._certificates = relied_on(site, folder)

    def __call__(self) -> Health:
        """Look at all of them."""
        private = self._folder.private
        reasons = (
            *log_reasons(self._folder),
            *disk_reasons(private),
            *spool_reasons(self._folder),
            *self._device.reasons(),
            *certificate_reasons(self._certificates),
        )
        notes = (
            *hours_notes(self._hours),
            *disk_notes(private),
            *certificate_notes(self._certificates),
        )
        return Health(reasons, notes)


class Monitor:
    """The site's health at any time.

    Args:
        state: what the service is doing.
        stall_seconds: a task without progress for so long is stuck.
        machine: the slow checks, run in the background only.
        changed: told the health after each turn.
    """

    def __init__(
        self,
        state: ServiceState,
        stall_seconds: float,
        machine: Callable[[], Health],
        changed: Callable[[Health], None] = lambda health: None,
    ) -> None:
        self._state = state
        self._stall_seconds = stall_seconds
        self._machine = machine
        self._changed = changed
        self._still = Stillness()
        self._found: Health | None = None
        self._since = time.monotonic()
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join(OVERDUE)

    def health(self) -> Health:
        """Return the health now: the state of this moment, and what was last found out about the machine."""
        now = self._state.snapshot()
        state = Health(
            (
                *will_reasons(now),
                *link_reasons(now, time.time(), self._still),
                *round_reasons(now, self._stall_seconds, self._still),
            )
        )
        return state + (self._found or Health()) + self._overdue()

    def _overdue(self) -> Health:
        """A result that is too old says nothing about now."""
        age = time.monotonic() - self._since
        if self._found is not None and age < OVERDUE:
            return Health()
        problem, fix = "The machine was not checked yet.", "Ask again in a few seconds."
        if age >= OVERDUE:
            problem = f"The health checks themselves do not come back; they began {age:.0f} s ago."
            fix = "See whether the disk of the site's folder still answers, and the agent's log."
        return Health((Reason("checks", problem, fix, NO_TASKS),))

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._found = self._machine()
                self._since = time.monotonic()
                self._changed(self.health())
                self._failing = False
            except (
                Exception
            ):  # a check that fails unforeseen makes the result old, which is then told
                if not self._failing:
                    log.exception("a health check failed")
                self._failing = True
            self._stop.wait(EVERY)
