"""A child process that does not outlive its parent, prints into a log, and is stopped with its own children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from common.rotating_log import RotatingLog

# Runs before the program, in the same process: asks the kernel for a signal when the parent dies (1 is
# PR_SET_PDEATHSIG), looks whether it died before, gives back the signals that Python ignores, becomes the program.
_BECOME = """\
import ctypes, os, signal, sys
parent, last = map(int, sys.argv[1:3])
ctypes.CDLL(None).prctl(1, last, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(1)
for each in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(each, signal.SIG_DFL)
try:
    os.execvp(sys.argv[3], sys.argv[3:])
except OSError as error:
    print(f"{sys.argv[3]} cannot be started: {error.strerror}", flush=True)
    sys.exit(127)
"""
CANNOT_START = 127
"""Exit code of a program that is not there or may not be executed."""


class ChildProcess:
    """A running program. Start it in a thread that lives on: the kernel takes that thread for the parent.

    Args:
        command: the program and its arguments.
        environment: all of its environment.
        log: where what it prints is appended.
        orphaned: what the kernel sends it when this process dies.
        largest_log: bytes after which a new log file is begun.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        orphaned: signal.Signals,
        largest_log: int,
    ) -> None:
        reading, writing = os.pipe()
        become = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), str(int(orphaned))]
        try:
            self._process = subprocess.Popen(
                [*become, *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,  # Ctrl-C in a terminal must not reach it before its turn
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._log = RotatingLog(log, reading, largest=largest_log)

    @property
    def pid(self) -> int:
        """Its process id, which is that of its process group, too."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return the exit code (negative: the signal that ended it); None: it runs."""
        if self._process.returncode is None and self._is_zombie():
            # Its own children go first: its id cannot belong to anybody else before it is waited for.
            self.kill()
            self._process.wait()
            self._log.join(2.0)
        return self._process.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it and everything that it started, at once."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _is_zombie(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None
