"""Runs `consilium` as processes of its own and looks at what they print."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiny_hospitals import SECRET_WORD

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "FLWR_TELEMETRY_ENABLED": "0", "COLUMNS": "200"}
PRELOADED = ["common.cli", "simulations.simulate", "simulations.cli", "client.agent", "server.app"]


@dataclass(frozen=True)
class Ended:
    """A process that ended.

    Attributes:
        code: its exit code.
        text: all that it printed.
    """

    code: int
    text: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.text, self.text
        assert SECRET_WORD not in self.text, "an identifier of a patient was printed"


def run_fresh(*arguments: object, cwd: Path, timeout: float = 90) -> Ended:
    """Run the command in a Python of its own."""
    return wait(start(*arguments, cwd=cwd), timeout)


HEAR_CTRL_C = ["env", "--default-signal=INT"]
"""A shell in the background has its children ignore SIGINT; what is tested here is that they do not.

No `preexec_fn`: it makes Python fork, and gRPC's threads in a forked child of this process end it with SIGABRT.
"""


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start the command in a Python of its own."""
    return subprocess.Popen(
        [*HEAR_CTRL_C, sys.executable, "-m", "common.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait(process: subprocess.Popen[str], timeout: float = 90) -> Ended:
    """Wait for a started process."""
    try:
        text, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, text)


def wait_until(true: Callable[[], bool], timeout: float = 60) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def run_forked(*arguments: object, cwd: Path, timeout: float = 60) -> Ended:
    """Run the command in a process forked from one that has imported the heavy packages already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    shown = cwd / ".shown"
    words = [str(word) for word in arguments]
    process = context.Process(target=_child, args=(words, str(cwd), str(shown)))
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(shown.read_text())
    return Ended(process.exitcode, shown.read_text())


def _child(arguments: list[str], cwd: str, shown: str) -> None:
    with open(shown, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(cwd)
    os.environ.update(ENVIRONMENT)
    sys.argv = ["consilium", *arguments]
    from common.cli import main

    main()
