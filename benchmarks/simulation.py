"""`make bench-simulation`: our engine against a bare loop and Flower's Ray engine; memory over many sites.

8 sites × 500 images 1×28×28, conv16-conv32-fc10, 5 rounds of one epoch, batch 32, SGD, no privacy, whole processes.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, interleaved, machine, median_ratio, python, report, run

REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))

SITE = """\
[site]
name = "site-{number:04d}"
[data]
kind = "arrays"
path = "images.npz"
declared_patients = {images}
[policy]
allow_non_private = true
min_patients = 1
statistics = "exact"
"""

STUDY = """\
[study]
name = "bench"
[task]
name = "classification"
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[model]
name = "plain-cnn"
channels = [16, 32]
[data]
kind = "arrays"
image_size = 28
test_fraction = 0.0
[training]
learning_rate = 0.05
batch_size = 32
local_epochs = 1
[privacy]
enabled = false
[federation]
rounds = {rounds}
[evaluation]
every = {rounds}
"""


def make_sites(folder: Path, sites: int, images: int) -> Path:
    """Write sites with random images and labels; return the folder."""
    for number in range(1, sites + 1):
        place = folder / f"site-{number:04d}"
        place.mkdir(parents=True)
        rng = np.random.default_rng(number)
        np.savez(
            place / "images.npz",
            images=rng.integers(0, 256, (images, 28, 28), dtype=np.uint8),
            labels=rng.integers(0, 10, images),
        )
        (place / "site.toml").write_text(SITE.format(number=number, images=images))
    return folder


def simulate(folder: Path, sites: Path, study: Path, engine: str, label: str) -> list[str]:
    """Return a shell command that simulates into a fresh run folder."""
    run_folder = folder / f"run-{label}"
    command = (
        f"rm -rf {run_folder}; exec {python()} -m common.cli simulate {study} --hospitals {sites} "
        f"--run {run_folder} --engine {engine} --workers 2 --quiet"
    )
    return ["sh", "-c", command]


def speed(folder: Path) -> list[Row]:
    """Time the three engines in turn."""
    sites = make_sites(folder / "eight", 8, 500)
    study = folder / "speed.toml"
    study.write_text(STUDY.format(rounds=5))
    found = interleaved(
        {
            "ours": simulate(folder, sites, study, "in-process", "ours"),
            "bare": [python(), "-m", "benchmarks.bare_loop", str(sites), "5"],
            "ray": simulate(folder, sites, study, "ray", "ray"),
        },
        REPEATS,
    )
    seconds = {name: statistics.median(r.seconds for r in runs) for name, runs in found.items()}
    here = machine()
    return [
        Row("in process, 2 workers: seconds", seconds["ours"], "s", None, "lower", here),
        Row("bare single-thread loop: seconds", seconds["bare"], "s", None, "lower", here),
        Row("Flower's Ray engine, same apps: seconds", seconds["ray"], "s", None, "lower", here),
        Row(
            "in process / bare loop",
            median_ratio(found["ours"], found["bare"]),
            "ratio",
            0.65,
            "lower",
            here,
        ),
        Row(
            "Ray / in process",
            median_ratio(found["ray"], found["ours"]),
            "ratio",
            3.0,
            "higher",
            here,
        ),
    ]


def memory(folder: Path) -> list[Row]:
    """Compare the peak memory of 8 and of 1,000 tiny sites."""
    study = folder / "memory.toml"
    study.write_text(STUDY.format(rounds=2))
    peaks = {}
    for count in (8, 1000):
        sites = make_sites(folder / f"tiny-{count}", count, 10)
        peaks[count] = run(simulate(folder, sites, study, "in-process", f"tiny-{count}")).peak_mb
    here = machine()
    return [
        Row("8 tiny sites: peak memory", peaks[8], "MB", None, "lower", here),
        Row("1,000 tiny sites: peak memory", peaks[1000], "MB", None, "lower", here),
        Row("1,000 / 8 sites: peak memory", peaks[1000] / peaks[8], "ratio", 1.3, "lower", here),
    ]


def main() -> None:
    """Measure and report."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        report("simulation", speed(folder) + memory(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
