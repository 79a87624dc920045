"""Starts `consilium` commands as a user would, and finds and stops what they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import ConsiliumError, MachineError, RunError

STOP_SECONDS = 40.0


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def command(*arguments: object) -> list[str]:
    """Return the command line of `consilium` in this very Python."""
    return [sys.executable, "-m", "common.cli", *map(str, arguments)]


def call(*arguments: object, timeout: float = 120.0, told: str = "") -> str:
    """Run a `consilium` command to its end and return what it printed.

    Args:
        arguments: of the command.
        timeout: seconds.
        told: what to write to its standard input.

    Raises:
        RunError: it failed; the message is its own.
    """
    ended = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=timeout,
        input=told,
        check=False,
    )
    if ended.returncode:
        raise RunError(
            f"'consilium {' '.join(map(str, arguments[:2]))}' ended with code {ended.returncode}.",
            where=(ended.stderr or ended.stdout).strip()[-2000:],
        )
    return ended.stdout


@dataclass
class Service:
    """A command that runs until it is stopped.

    Attributes:
        arguments: of `consilium`.
        log: where what it prints goes.
        environment: further variables.
        prefix: a command to run it under, such as `ip netns exec NAME`.
    """

    arguments: Sequence[object]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C is passed on by whoever stops it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *command(*self.arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """Stop it as a service manager would; return its exit code."""
        if self.process is None:
            return 0
        if self.running:
            self.process.terminate()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.process.wait()
        self.process = None
        return code

    def kill(self) -> None:
        """Kill it and everything that it started."""
        if self.process is not None:
            for pid in [*descendants(self.process.pid), self.process.pid]:
                send(pid, signal.SIGKILL)

    def part(self, *words: str) -> list[int]:
        """Return the processes below it whose command line holds all of some words."""
        return [pid for pid in self.parts() if all(word in command_line(pid) for word in words)]

    def parts(self) -> list[int]:
        """Return all processes below it."""
        return list(descendants(self.process.pid)) if self.process else []


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def descendants(pid: int) -> Iterator[int]:
    """Yield the children of a process, and theirs, the deepest first."""
    for child in _children().get(pid, []):
        yield from descendants(child)
        yield child


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            found.setdefault(parent, []).append(int(entry.name))
    return found


def command_line(pid: int) -> str:
    """Return the command line of a process; empty when it is gone."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def wait_until(
    done: Callable[[], bool],
    what: str,
    seconds: float,
    *,
    log: Path | None = None,
    service: Service | None = None,
) -> None:
    """Wait for something to come true.

    Args:
        done: whether it has.
        what: in words.
        seconds: how long to wait.
        log: whose end is told when it did not.
        service: without which it cannot.

    Raises:
        MachineError: it did not, in time, or the service ended.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and (service is None or service.running):
        try:
            if done():
                return
        except (ConsiliumError, OSError, subprocess.SubprocessError):
            pass
        time.sleep(0.1)
    last = log.read_text(errors="replace")[-1500:] if log is not None and log.exists() else ""
    why = f"did not happen within {seconds:.0f} seconds"
    if service is not None and not service.running:
        why = "failed: its process ended"
    raise MachineError(f"{what} {why}.", where=last)
