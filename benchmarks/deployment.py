"""`make bench-deployment`: a rehearsed deployment against stock Flower, both with TLS, node keys and SQLite, 2 sites.

A round evaluates the incoming weights and trains on them. Stock Flower's apps do nothing but reply; ours are the real
ones, which check, train, log and write the ledger.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, machine, report
from benchmarks.simulation import make_sites
from benchmarks.stock.federation import Stock, stock
from common.study import Study
from common.study_file import parse_study
from simulations.rehearsal.federation import Federation, rehearsed

SITES = 2
ROUNDS = int(os.environ.get("BENCH_REPEATS", "6"))
IDLE_SECONDS = 20.0


@dataclass(frozen=True)
class Load:
    """What a round carries.

    Attributes:
        name: short.
        hidden: widths of the network's hidden layers.
        tensors, values: of the same weights, for stock Flower.
        rounds: how many are timed.
    """

    name: str
    hidden: list[int]
    tensors: int
    values: int
    rounds: int


EMPTY = Load("empty", [], 1, 7850, ROUNDS)
MANY = Load("many-tensors", [80] * 159, 320, 1_094_000, 2)
LARGE = Load("large", [6600, 6600], 1, 48_900_000, 2)


def study_of(load: Load) -> Study:
    """Return a study whose rounds do next to nothing with weights of a load's size."""
    content: dict[str, Any] = {
        "study": {"name": f"bench-{load.name}"},
        "task": {"name": "classification", "classes": [str(n) for n in range(10)]},
        "model": {"name": "mlp", "hidden": load.hidden} if load.hidden else {"name": "linear"},
        "data": {"kind": "arrays", "image_size": 28, "test_fraction": 0.5},
        "training": {"learning_rate": 1e-4, "batch_size": 4, "local_steps": 1},
        "privacy": {"enabled": False},
        "federation": {"rounds": load.rounds + 1, "min_sites": SITES},
    }
    return parse_study(content, where="benchmark")


def ours(federation: Federation, load: Load) -> float:
    """Return the median seconds of a round; the first warms up and is not counted."""
    study = study_of(load)
    run = federation.coordinator.submit(federation.approve(study), study.name)
    federation.follow(run, 1800)
    seconds = [line["seconds"] for line in run.read_rounds()]
    return statistics.median(seconds[1:])


def theirs(running: Stock, load: Load, rounds: int) -> float:
    """Return the median seconds of a stock round; the first is not counted where there are more."""
    seconds = running.rounds(rounds, load.tensors, load.values)
    return statistics.median(seconds[1:] or seconds)


def idle(federation: Federation) -> tuple[float, float]:
    """Return the memory (MB) and the share of a core (%) of an agent that waits."""
    hospital = next(iter(federation.hospitals.values()))
    (pid, *_) = hospital.service.part("agent_process")
    before = _cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    share = 100 * (_cpu_seconds(pid) - before) / IDLE_SECONDS
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) / 1024, share


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(folder: Path) -> list[Row]:
    """Time both, one after the other: side by side they would share two cores."""
    here = machine()
    sites = make_sites(folder / "sites", SITES, 40)
    with rehearsed(folder / "ours", sorted(sites.iterdir()), seed=1) as federation:
        memory, share = idle(federation)
        mine = {load.name: ours(federation, load) for load in (EMPTY, MANY, LARGE)}
        tls = shutil.copytree(federation.coordinator.folder / "tls", folder / "tls")
    with stock(folder / "stock", SITES, tls) as running:
        rounds = {EMPTY.name: 4, MANY.name: 1, LARGE.name: 2}
        stocks = {
            each.name: theirs(running, each, rounds[each.name]) for each in (EMPTY, MANY, LARGE)
        }
    return [
        Row("empty round: seconds", mine["empty"], "s", 1.0, "lower", here),
        Row("empty round, stock Flower: seconds", stocks["empty"], "s", None, "lower", here),
        Row(
            "empty round: stock / ours",
            stocks["empty"] / mine["empty"],
            "ratio",
            6.0,
            "higher",
            here,
        ),
        Row("4 MB in 320 tensors: seconds", mine["many-tensors"], "s", 2.0, "lower", here),
        Row(
            "4 MB in 320 arrays, stock Flower: seconds",
            stocks["many-tensors"],
            "s",
            None,
            "lower",
            here,
        ),
        Row("200 MB: seconds", mine["large"], "s", None, "lower", here),
        Row(
            "200 MB in one array, stock Flower: seconds", stocks["large"], "s", None, "lower", here
        ),
        Row("200 MB: ours / stock", mine["large"] / stocks["large"], "ratio", 1.5, "lower", here),
        Row("agent, idle: memory", memory, "MB", None, "lower", here),
        Row("agent, idle: share of a core", share, "%", None, "lower", here),
    ]


def main() -> None:
    """Measure and report."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        report("deployment", measure(folder))
    except BaseException:
        print(json.dumps({"kept": str(folder)}))
        raise
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
