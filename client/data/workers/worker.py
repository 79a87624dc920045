"""One worker process, seen from this side."""

from __future__ import annotations

import fcntl
import io
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from client.data.workers.wire import Outcome, Refused, Whole, read_frame, read_outcome, write_frame

CRASHED = "crashed the program that reads it"
TOO_LONG = "takes too long to read"
PATIENCE = 0.5
"""Seconds that a worker gets to end by itself."""
Job = tuple[int, Any]


class Worker:
    """A process that does jobs in turn; whatever it dies of, the job it died at gets the blame.

    Args:
        memory: bytes of address space that it may use.
        pipe: bytes of answers that may be on their way; with room for one or two it need not wait for this process.

    Attributes:
        answers: what it writes, to wait for.
        failed: it ended before it began with its jobs, and not because it had had none for long.
    """

    def __init__(self, memory: int, pipe: int) -> None:
        command = [sys.executable, "-P", "-m", "client.data.workers.child", str(memory)]
        self.memory = memory
        self.failed = False
        self._rested = False
        self._greeted = False
        self._waiting: deque[Job] = deque()
        self._process = subprocess.Popen(
            command,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in a terminal is for this process to handle
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # a system may allow no more than it gives
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, pipe)
        self._jobs = io.BufferedWriter(cast(io.RawIOBase, self._process.stdin))
        self.answers = Whole(self._process.stdout)

    @property
    def busy(self) -> bool:
        """Tell whether a job is unanswered."""
        return bool(self._waiting)

    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def send(self, function: str, seconds: int, jobs: Sequence[Job]) -> None:
        """Give it jobs, numbered by the caller; it must not be busy."""
        self._greeted = False
        self._waiting.extend(jobs)
        content = pickle.dumps((function, seconds, [job for _, job in jobs]))
        with suppress(BrokenPipeError):  # it ended: `receive` says so
            write_frame(self._jobs, content)

    def rest(self) -> None:
        """Note that it may end by itself from now on, since it has no work."""
        self._rested = True

    def receive(self) -> tuple[int, Outcome] | None:
        """Wait for the next outcome; return it with the job's number.

        None says that it ended before it began with its jobs: no job is to blame, all are in `left`.
        """
        try:
            if not self._greeted:
                read_frame(self.answers)
                self._greeted, self._rested = True, False
            outcome = read_outcome(self.answers)
        except EOFError:
            status = self.kill()
            if not self._greeted:
                self.failed = not (self._rested and status == 0)
                return None
            outcome = Refused(TOO_LONG if status == -signal.SIGALRM else CRASHED)
        return self._waiting.popleft()[0], outcome

    def left(self) -> list[Job]:
        """Take away the jobs that it did not do, so that another can."""
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def kill(self) -> int:
        """End it at once, unless it has ended; return its status."""
        with suppress(OSError):  # what could not be written any more
            self._jobs.close()
        self.answers.close()
        # One that ends by itself closes its output a moment before its status can be read.
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(PATIENCE)
        self._process.kill()
        return self._process.wait()


def _environment() -> dict[str, str]:
    """Pass this process's import path; one thread each, since there is a worker a core."""
    found = dict(os.environ)
    found["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    found["OMP_NUM_THREADS"] = found["OPENBLAS_NUM_THREADS"] = found["MKL_NUM_THREADS"] = "1"
    return found
