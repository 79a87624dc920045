"""Times whole processes and keeps the results."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Run:
    """One finished process.

    Attributes:
        seconds: wall time from start to end.
        peak_mb: largest resident memory of the process itself, children apart.
    """

    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Row:
    """One figure of a benchmark, as `benchmarks/results/NAME.json` holds it."""

    name: str
    value: float
    unit: str
    target: float | None
    better: Literal["lower", "higher"]
    machine: str


def run(command: Sequence[str], *, threads: int = 1) -> Run:
    """Run a command to its end with pinned threads.

    Raises:
        RuntimeError: it failed; its last lines are in the message.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    ) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {process.returncode}:\n{output[-2000:]}"
        )
    return Run(time.perf_counter() - began, usage.ru_maxrss / 1024)


def interleaved(commands: dict[str, Sequence[str]], repeats: int) -> dict[str, list[Run]]:
    """Run commands in turn, A B C A B C …, so that a machine's drift meets all of them alike."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            found[name].append(run(command))
    return found


def median_ratio(first: list[Run], second: list[Run]) -> float:
    """Return the median of the pairwise ratios of wall time, first over second."""
    return statistics.median(a.seconds / b.seconds for a, b in zip(first, second, strict=True))


def machine() -> str:
    """Describe the machine in a few words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def report(name: str, rows: list[Row]) -> None:
    """Print a table and write `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    for row in rows:
        verdict = "" if row.target is None else _verdict(row)
        print(f"{row.name:<52} {row.value:>10.3f} {row.unit:<6} {verdict}")
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _verdict(row: Row) -> str:
    target = row.target or 0.0
    met = row.value <= target if row.better == "lower" else row.value >= target
    sign = "≤" if row.better == "lower" else "≥"
    return f"target {sign} {target:g}: {'met' if met else 'NOT met'}"


def python() -> str:
    """Return this interpreter."""
    return sys.executable
