"""Keeps a few programs running as one service: started in order, restarted when needed, stopped in reverse order.

A coordinator and a hospital each run several processes. Health means progress: a program that is there but makes no
progress is restarted like one that ended.
"""

from __future__ import annotations

import fcntl
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Protocol

from common.errors import RunError
from common.files import explain_os_error
from common.supervised import Program, ProgramState, Supervised

__all__ = [
    "Program",
    "ProgramState",
    "Supervisor",
    "holder",
    "locked",
    "pause_limit",
    "run_in_foreground",
]

LONGEST_PAUSE = "CONSILIUM_LONGEST_PAUSE"
"""Environment variable: no pause before a restart is longer than so many seconds. Tests that kill often set it."""

_TICK = 0.1
_TRIES = 5


class Flag(Protocol):
    """What tells a supervisor to stop, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Return whether it is to stop."""


class Supervisor:
    """Runs programs until it is told to stop.

    Args:
        programs: in the order in which they are started; each waits until the one before it was ready once.
        lock: a file whose lock tells that the service runs. A process that dies lets go of it, so a file that a crash
            left behind means nothing.
        say: told one line a change.
        first_pause, longest_pause: seconds before a restart; each further one doubles the pause. The environment may
            shorten them.
        healthy_after: seconds of health after which the pauses begin anew.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        lock: Path,
        say: Callable[[str], None],
        *,
        first_pause: float = 1.0,
        longest_pause: float = 60.0,
        healthy_after: float = 60.0,
    ) -> None:
        self._lock = lock
        self._hurry = False
        at_most = pause_limit()
        self._programs = [
            Supervised(
                each,
                say,
                first_pause=min(first_pause, at_most),
                longest_pause=min(longest_pause, at_most),
                healthy_after=healthy_after,
            )
            for each in programs
        ]

    def run(self, stop: Flag) -> None:
        """Run the programs until `stop` is set, then stop them in reverse order.

        The calling thread must live as long as the programs: the kernel takes it for their parent.

        Raises:
            RunError: the service runs already.
            MachineError: the lock's folder cannot be written.
        """
        with locked(self._lock):
            reached = 1  # programs that were started; the next waits for the last of them
            try:
                while not stop.is_set():
                    for each in self._programs[:reached]:
                        each.tick()
                    if reached < len(self._programs) and self._programs[reached - 1].state.ready:
                        reached += 1
                        continue
                    time.sleep(_TICK)
            finally:
                for each in reversed(self._programs):
                    each.stop(patient=lambda: not self._hurry)

    def kill(self) -> None:
        """While it stops: do not wait for the programs any more."""
        self._hurry = True

    def states(self) -> dict[str, ProgramState]:
        """Return what became of each program, by its name."""
        return {each.program.name: each.state for each in self._programs}


def run_in_foreground(supervisor: Supervisor) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP; a second one kills what has not ended yet. Call it in the main thread.

    Raises:
        RunError: the service runs already.
        MachineError: the lock's folder cannot be written.
    """
    stop = _Heard()

    def heard(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            supervisor.kill()
        stop.signals += 1

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, heard) for number in signals}
    try:
        supervisor.run(stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Heard:
    """Counts signals. A `threading.Event` set in a signal handler may wait for the very thread that it interrupted."""

    def __init__(self) -> None:
        self.signals = 0

    def is_set(self) -> bool:
        return self.signals > 0


def holder(lock: Path) -> int | None:
    """Return the process id of the service that holds a lock; None: no service runs."""
    try:
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        return None
    return None


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold a service's lock; a process that dies lets go of it.

    Raises:
        RunError: another process holds it.
        MachineError: its folder cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    except OSError as error:
        raise explain_os_error(error, lock) from error
    with file:
        if not _taken(file.fileno()):
            raise RunError(
                f"The service runs already, as process {file.read().strip() or 'unknown'}.",
                where=str(lock),
                fix="Stop that process first; there can be one service for a folder.",
            )
        with suppress(OSError):  # for people only, and not worth a start on a full disk
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield


def pause_limit() -> float:
    """Return the longest pause before a restart that the environment allows, in seconds."""
    try:
        return max(0.0, float(os.environ.get(LONGEST_PAUSE, "")))
    except ValueError:
        return math.inf


def _taken(handle: int) -> bool:
    """Take the lock; somebody who only looks who holds it (`holder`) has it for an instant."""
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False
