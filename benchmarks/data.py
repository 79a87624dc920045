"""`make bench-data`: from a hospital's files to samples, against a plain pydicom loop; the index of many files.

5,000 slices of 512 × 512 (BENCH_SLICES), cropped to 128 × 128 (BENCH_SIDE); an index of 100,000 files (BENCH_FILES).
Seconds are those of the work, without starting Python; the workers' start counts.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.data_files import PATIENT, write_archive
from benchmarks.measure import Row, machine, python, report

SLICES = int(os.environ.get("BENCH_SLICES", "5000"))
FILES = int(os.environ.get("BENCH_FILES", "100000"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "3"))
EACH = 50
SITE = """\
[site]
name = "bench"
[data]
kind = "dicom"
path = "files"
labels = "labels.csv"
declared_patients = {patients}
"""


def timed(name: str, folder: Path) -> dict[str, float]:
    """Run one pass in a process of its own."""
    command = [python(), "-m", "benchmarks.data_passes", name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def hospital(folder: Path) -> Path:
    """Write a site with labels."""
    patients = SLICES // EACH
    write_archive(folder / "files", patients=patients, slices=EACH, side=512)
    rows = [f"{PATIENT.format(number)},{'ab'[number % 2]}" for number in range(patients)]
    (folder / "labels.csv").write_text("\n".join(["patient_id,label", *rows]) + "\n")
    (folder / "site.toml").write_text(SITE.format(patients=patients))
    time.sleep(
        3
    )  # files as old as a hospital's: a fresh one is read again, since it may be changing
    return folder


def passes(folder: Path) -> list[Row]:
    """First pass, restart and later epochs."""
    hospital(folder)
    ratios, seconds = [], []
    for _ in range(REPEATS):
        plain, first = timed("plain", folder), timed("first", folder)
        if (plain["samples"], round(plain["sum"])) != (first["samples"], round(first["sum"])):
            raise RuntimeError(f"the two do not agree: {plain}, {first}")
        ratios.append(plain["seconds"] / first["seconds"])
        seconds.append((plain["seconds"], first["seconds"]))
    restart = statistics.median(timed("again", folder)["seconds"] for _ in range(REPEATS))
    copies = timed("epochs", folder)
    here, ours = machine(), statistics.median(second for _, second in seconds)
    title = f"{SLICES} slices: "
    return [
        Row(f"{title}plain pydicom loop", seconds[-1][0], "s", None, "lower", here),
        Row(f"{title}first pass", ours, "s", None, "lower", here),
        Row(f"{title}plain / first pass", statistics.median(ratios), "ratio", 1.8, "higher", here),
        Row(f"{title}restart / first pass", restart / ours, "ratio", 0.02, "lower", here),
        Row("later epochs: cache / memory copy", copies["in order"], "ratio", 0.8, "higher", here),
        Row(
            "later epochs, shuffled: cache / memory",
            *(copies["shuffled"], "ratio", 0.8, "higher", here),
        ),
        Row("later epochs: speed", copies["in order, GB/s"], "GB/s", None, "higher", here),
    ]


def many(folder: Path) -> list[Row]:
    """The index of many small files."""
    write_archive(folder / "files", patients=FILES // EACH, slices=EACH, side=32)
    time.sleep(3)
    found = timed("index", folder)
    here, title = machine(), f"index of {int(found['files'])} files: "
    ratio = found["restart"] / found["seconds"]
    if found["read again"]:
        raise RuntimeError("files were read again without a change")
    return [
        Row(f"{title}speed", found["files"] / found["seconds"], "1/s", None, "higher", here),
        Row(f"{title}peak memory", found["peak MB"], "MB", None, "lower", here),
        Row(f"{title}peak of a worker", found["worker MB"], "MB", None, "lower", here),
        Row(f"{title}size", found["index MB"], "MB", None, "lower", here),
        Row(f"{title}restart", found["restart"], "s", None, "lower", here),
        Row(f"{title}restart / first pass", ratio, "ratio", 0.02, "lower", here),
    ]


def main() -> None:
    """Measure and report."""
    rows = []
    for measure in (passes, many):
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            rows += measure(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    report("data", rows)


if __name__ == "__main__":
    main()
