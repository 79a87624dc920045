"""One supervised program: started, looked after, restarted, stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.child_process import CANNOT_START, ChildProcess
from common.rotating_log import LARGEST

PROBE_SECONDS = 2.0


@dataclass(frozen=True)
class Program:
    """A program to supervise.

    Attributes:
        name: a word for people, such as "supernode".
        command: the program and its arguments; secrets belong into files, for everyone can see a command line.
        environment: all of its environment.
        log: where what it prints is appended; set aside when it grows large.
        ready: whether it serves; asked after the start, until it is. Must answer within a second or two.
        alive: "" or the reason why it makes no progress. Must answer within a second or two.
        patience: seconds that it may take to be ready, or be stuck, before it is restarted.
        grace: seconds between asking it to end and killing it.
        orphaned: what the kernel sends it when the supervisor dies; SIGTERM for one that has children of its own.
        largest_log: bytes of the log before it is set aside.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool] | None = None
    alive: Callable[[], str] | None = None
    patience: float = 60.0
    grace: float = 20.0
    orphaned: signal.Signals = signal.SIGKILL
    largest_log: int = LARGEST


@dataclass(frozen=True)
class ProgramState:
    """What became of a program.

    Attributes:
        running: there is a process.
        ready: it serves.
        restarts: how often it was started again.
        since: when it started or ended, in seconds since 1970.
        exit_code: of the last process that ended; negative: the signal that ended it; None: none has.
        problem: why it does not run or makes no progress; empty when all is well.
    """

    running: bool = False
    ready: bool = False
    restarts: int = 0
    since: float = 0.0
    exit_code: int | None = None
    problem: str = ""


class Supervised:
    """The life of one program, moved on by `tick`, which never waits.

    Args:
        program: what to run.
        say: told one line a change.
        first_pause, longest_pause: seconds before a restart; each further one doubles the pause.
        healthy_after: seconds of health after which the pauses begin anew.
    """

    def __init__(
        self,
        program: Program,
        say: Callable[[str], None],
        *,
        first_pause: float,
        longest_pause: float,
        healthy_after: float,
    ) -> None:
        self.program = program
        self.state = ProgramState()
        self._say = say
        self._first_pause, self._longest_pause = first_pause, longest_pause
        self._healthy_after = healthy_after
        self._pause = first_pause
        self._process: ChildProcess | None = None
        self._start_at = 0.0  # times of this class are of the monotonic clock
        self._well_since = self._probe_at = 0.0
        self._stuck_since: float | None = None
        self._kill_at: float | None = None

    def tick(self) -> None:
        """Do what is due: start, look, restart, kill."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at:
                self._start(now)
            return
        if self._collect(self._process, now):
            return
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._process.kill()
        elif now >= self._probe_at:
            self._probe(now)

    def stop(self, *, patient: Callable[[], bool]) -> None:
        """End the program and wait for it; it is killed after its grace, or once `patient` says no."""
        process = self._process
        if process is None:
            return
        process.terminate()
        end = time.monotonic() + self.program.grace
        while process.ended() is None:
            if time.monotonic() >= end or not patient():
                process.kill()
            time.sleep(0.02)
        self._process = None
        self.state = replace(
            self.state,
            running=False,
            ready=False,
            since=time.time(),
            exit_code=process.ended(),
            problem="",
        )
        self._say(f"{self.program.name} stopped")

    def _start(self, now: float) -> None:
        first = self.state.since == 0.0
        try:
            self._process = ChildProcess(
                self.program.command,
                self.program.environment,
                self.program.log,
                orphaned=self.program.orphaned,
                largest_log=self.program.largest_log,
            )
        except OSError as error:
            self._rest(now, f"cannot be started ({error.strerror})", None)
            return
        self._well_since = self._probe_at = now
        self._stuck_since = self._kill_at = None
        self.state = replace(
            self.state,
            running=True,
            ready=self.program.ready is None,
            restarts=self.state.restarts + (not first),
            since=time.time(),
            problem="",
        )
        self._say(f"{self.program.name} started (process {self._process.pid})")

    def _probe(self, now: float) -> None:
        """Ask the program's own probes; too long without a good answer, and it is ended."""
        try:
            problem = self._ask()
        except Exception as error:  # a probe's own fault must not end the supervision of the others
            problem = f"it cannot be asked ({type(error).__name__})"
        waiting = self.program.ready is not None and not self.state.ready
        self._probe_at = now + (0.1 if waiting else min(PROBE_SECONDS, self.program.patience / 4))
        if problem:
            self._stuck_since = now if self._stuck_since is None else self._stuck_since
            self._well_since = now
            if now - self._stuck_since >= self.program.patience:
                self._give_up(now, problem)
        else:
            self._stuck_since = None
            if now - self._well_since >= self._healthy_after:
                self._pause = self._first_pause
        if not waiting and problem != self.state.problem:
            self._say(f"{self.program.name}: {problem or 'all is well again'}")
        self.state = replace(self.state, problem=problem)

    def _ask(self) -> str:
        if self.program.ready is not None and not self.state.ready:
            if not self.program.ready():
                return "it does not serve yet"
            self.state = replace(self.state, ready=True, problem="")
            self._say(f"{self.program.name} is ready")
        return "" if self.program.alive is None else self.program.alive()

    def _give_up(self, now: float, problem: str) -> None:
        assert self._process is not None
        self._say(f"{self.program.name} is stuck ({problem}); it is started again")
        self._process.terminate()
        self._kill_at = now + self.program.grace

    def _collect(self, process: ChildProcess, now: float) -> bool:
        """Notice that the process ended, and return whether it did."""
        code = process.ended()
        if code is None:
            return False
        self._process = None
        if self._stuck_since is None and now - self._well_since >= self._healthy_after:
            self._pause = self._first_pause
        self._rest(now, _meaning(code), code)
        return True

    def _rest(self, now: float, problem: str, code: int | None) -> None:
        self._start_at = now + self._pause
        self.state = replace(
            self.state,
            running=False,
            ready=False,
            since=time.time(),
            exit_code=code,
            problem=problem,
        )
        self._say(
            f"{self.program.name} {problem}; it starts again in {self._pause:.3g} s. Its log: {self.program.log}"
        )
        self._pause = min(2 * self._pause, self._longest_pause)


def _meaning(code: int) -> str:
    if code == CANNOT_START:
        return "cannot be started"
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with exit code {code}"
