"""`make bench-privacy`: what privacy costs a training step, and what accounting and verifying cost.

One thread. Each network's ways of stepping take turns in one process; peak memory is that of a process of its own. The
baseline is the fastest plain step that was found, over memory orders and sizes of pieces, with the same allocator.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.dp_steps import CASES, ratios
from benchmarks.measure import Row, machine, python, report

REPEATS = os.environ.get("BENCH_REPEATS", "9")
TARGETS = {"cnn": 1.3, "lstm": 1.2, "densenet": 1.6}
ENTRIES = 100_000


def child(*arguments: str) -> Any:
    """Run `benchmarks.dp_steps` on one thread and return what it prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [python(), "-m", "benchmarks.dp_steps", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def steps(case: str, device: str) -> list[Row]:
    """Return the rows of one network."""
    seconds: dict[str, list[float]] = child(case, "--device", device, "--repeats", REPEATS)[
        "seconds"
    ]
    best, relative = ratios(seconds)
    where = machine() + ("" if device == "cpu" else f", {device}")
    rows = [
        Row(f"{case}: {best}", 1000 * statistics.median(seconds[best]), "ms", None, "lower", where)
    ]
    for label, ratio in relative.items():
        target = TARGETS[case] if label == "book-keeping" else None
        rows.append(Row(f"{case}: {label} / fastest plain", ratio, "", target, "lower", where))
    for label in (best, "book-keeping", "Opacus hooks", "Opacus ghost"):
        peak = child(case, "--device", device, "--peak", label)
        rows.append(Row(f"{case}: peak memory, {label}", peak, "MB", None, "lower", where))
    return rows


def seconds_of(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the median time of some work."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def accounting() -> list[Row]:
    """Return what ε, σ and noise cost; caches are emptied before each run."""
    import torch

    from common.privacy import accountants
    from common.privacy.calibration import noise_multiplier_for
    from common.privacy.events import GaussianEvent
    from common.privacy.noise import SecureRandom

    event = GaussianEvent("poisson", Fraction(1, 100), 1.0, 1.0, 10_000)
    torch.set_num_threads(1)

    def fresh(work: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            for name in [name for name in sys.modules if name.startswith("common.privacy")]:
                for holder in vars(sys.modules[name]).values():
                    if hasattr(holder, "cache_clear"):
                        holder.cache_clear()
            return work()

        return run

    progress = accountants.PROGRESS_INTERVAL
    quick = fresh(lambda: accountants.epsilon_pld([event], 1e-5, progress))
    record = fresh(lambda: accountants.epsilon_pld([event], 1e-5))
    sigma = fresh(lambda: noise_multiplier_for(2.0, 1e-5, Fraction(1, 100), 10_000))
    drawn = seconds_of(lambda: SecureRandom.system().normal(10_000_000), 3)
    torchs = seconds_of(lambda: torch.randn(10_000_000), 3)
    quick()  # imports
    where = machine()
    return [
        Row("ε of 10,000 steps, grid 1e-3", seconds_of(quick), "s", 0.1, "lower", where),
        Row(
            "ε of 10,000 steps, grid of record 1e-4", seconds_of(record), "s", None, "lower", where
        ),
        Row("calibration of σ", seconds_of(sigma), "s", 1.0, "lower", where),
        Row("10 M secure normals / torch.randn", drawn / torchs, "", 3.0, "lower", where),
    ]


def verification() -> list[Row]:
    """Return what it costs to verify a ledger of 100,000 entries."""
    from client.guard.book import Book
    from client.guard.chain import Chain
    from client.guard.ledger import Ledger
    from common.privacy.events import GaussianEvent

    event = GaussianEvent("poisson", Fraction(1, 100), 1.0, 1.0, 10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.ledger"
        Ledger(path, site="site", population="site")
        body = {
            "study": "bench",
            "fingerprint": "f" * 64,
            "group": "train/split",
            "delta": 1e-5,
            "randomness": "fixed",
            "event": event.to_json(),
        }

        def fill(writer: Any) -> None:
            for number in range(ENTRIES // 2):
                writer.append("reserve", {**body, "key": f"r{number}", "round": number})
                writer.append("settle", {"key": f"r{number}", "steps": 10, "released": "0" * 64})

        Chain(path).write(fill)
        spent = seconds_of(lambda: Chain(path, writable=False).verify(Book().apply), 3)
    return [Row("verification of a 100,000-entry ledger", spent, "s", 5.0, "lower", machine())]


def main() -> None:
    """Measure everything, on a GPU as well where there is one."""
    import torch

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows = [row for device in devices for case in CASES for row in steps(case, device)]
    report("privacy", [*rows, *accounting(), *verification()])


if __name__ == "__main__":
    sys.exit(main())
