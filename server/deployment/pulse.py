"""Looks at the running server every few seconds, so that health means progress and not a process id."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType

from common.errors import ConsiliumError
from server.deployment.control import connected
from server.deployment.flower_records import PENDING, FlowerRun, NodeState
from server.deployment.folder import CoordinatorFolder

EVERY = 2.0
LONGEST_CALL = 10.0
UNHEARD = LONGEST_CALL + EVERY
"""Seconds of silence that mean trouble; the supervisor decides how long it bears with it."""

UNSTARTED = 10.0
"""Seconds after which a run that nobody takes means that SuperExec is stuck."""


@dataclass(frozen=True)
class Seen:
    """What the SuperLink said last.

    Attributes:
        at: when, in seconds of the monotonic clock; 0: never.
        nodes, runs: as it knows them.
    """

    at: float = 0.0
    nodes: Sequence[NodeState] = field(default_factory=tuple)
    runs: Sequence[FlowerRun] = field(default_factory=tuple)


class Pulse:
    """Asks the SuperLink for its nodes and runs, over and over, while it is entered.

    Args:
        folder: the coordinator's.
    """

    def __init__(self, folder: CoordinatorFolder) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._began = time.monotonic()
        self.seen = Seen()

    def __enter__(self) -> Pulse:
        threading.Thread(target=self._ask_on, name="pulse", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()

    def superlink_answers(self) -> bool:
        """Return whether the SuperLink answered lately, and listens still."""
        lately = bool(self.seen.at) and time.monotonic() - self.seen.at < 3 * EVERY
        return lately and self._listens()

    def superlink_problem(self) -> str:
        """Return why the SuperLink makes no progress, or nothing."""
        silent = time.monotonic() - max(self.seen.at, self._began)
        return "it does not answer" if silent > UNHEARD else ""

    def superexec_problem(self) -> str:
        """Return why SuperExec makes no progress, or nothing: a run that nobody starts."""
        if not self.superlink_answers():
            return ""  # then nobody can take a run
        return left_pending(self.seen.runs, datetime.now(UTC))

    def _listens(self) -> bool:
        try:
            port = self._folder.settings().superlink.port
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return True
        except OSError:
            return False

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            try:
                with connected(self._folder, seconds=LONGEST_CALL) as control:
                    while not self._stop.is_set():
                        nodes, runs = control.nodes(), control.runs()
                        self.seen = Seen(time.monotonic(), nodes, runs)
                        self._stop.wait(EVERY)
            except (ConsiliumError, OSError):
                self._stop.wait(0.2 if not self.seen.at else EVERY)


def left_pending(runs: Sequence[FlowerRun], now: datetime) -> str:
    """Return a sentence about a run that has waited too long to be started, or nothing."""
    waiting = [run.submitted for run in runs if run.status == PENDING and run.submitted]
    late = any((now - since).total_seconds() > UNSTARTED for since in waiting)
    return "a run waits to be started" if late else ""
