"""One timed pass over a folder of CT files, in a process of its own; prints what it measured as JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = int(os.environ.get("BENCH_SIDE", "128"))
CENTRE, WIDTH = -600.0, 1500.0
Figures = dict[str, float]


def plain(folder: Path) -> Figures:
    """Read every file as a script does: pydicom, rescale, crop, window."""
    import pydicom

    began = time.perf_counter()
    samples, patients = [], []
    for path in sorted(path for path in (folder / "files").rglob("*") if path.is_file()):
        dataset = pydicom.dcmread(path)
        image = dataset.pixel_array.astype(np.float32)
        image = image * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        top, left = (image.shape[0] - SIDE) // 2, (image.shape[1] - SIDE) // 2
        cut = image[top : top + SIDE, left : left + SIDE]
        samples.append(np.clip((cut - CENTRE) / (WIDTH / 2), -1.0, 1.0)[None])
        patients.append(dataset.PatientID)
    made = np.stack(samples)
    return {"seconds": time.perf_counter() - began, "samples": len(made), "sum": float(made.sum())}


def first(folder: Path) -> Figures:
    """Prepare the cohort with neither index nor cache."""
    for left in (".consilium", "cache"):
        shutil.rmtree(folder / left, ignore_errors=True)
    return again(folder)


def again(folder: Path) -> Figures:
    """Prepare the cohort with whatever there is."""
    from pydantic import TypeAdapter

    from client.data.prepare import prepare
    from client.site import load_site
    from common.data_spec import DataSpec

    content = {"kind": "dicom", "image_size": SIDE, "window_centre": CENTRE, "window_width": WIDTH}
    spec = TypeAdapter(DataSpec).validate_python(content)
    began = time.perf_counter()
    made = prepare(load_site(folder), spec, ["a", "b"], b"bench", folder / "cache")
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "samples": made.samples, "sum": float(made.inputs.sum())}


def epochs(folder: Path) -> Figures:
    """Copy batches from the cache and from memory in turn, in order and shuffled."""
    from client.data.store import entry

    [place] = [path for path in (folder / "cache").iterdir() if path.is_dir()]
    cohort = entry.read(place)
    assert cohort is not None
    mapped, held = cohort.inputs, np.array(cohort.inputs)
    rows = np.arange(len(held))
    shuffled = np.random.default_rng(0).permutation(rows)
    found: Figures = {}
    for name, order in (("in order", None), ("shuffled", shuffled)):
        ratios = []
        for _ in range(12):
            from_cache, from_memory = _epoch(mapped, order), _epoch(held, order)
            ratios.append(from_memory / from_cache)
        found[name] = float(np.median(ratios[2:]))
        found[f"{name}, GB/s"] = held.nbytes / from_cache / 1e9
    return found


def _epoch(inputs: NDArray[np.float32], order: NDArray[np.int64] | None, batch: int = 64) -> float:
    buffer = np.empty((batch, *inputs.shape[1:]), np.float32)
    began = time.perf_counter()
    for start in range(0, len(inputs) - batch + 1, batch):
        if order is None:
            np.copyto(buffer, inputs[start : start + batch])
        else:
            np.take(inputs, order[start : start + batch], axis=0, out=buffer)
    return time.perf_counter() - began


def index(folder: Path) -> Figures:
    """Index the files anew, then once more without a change."""
    from client.data.index.archive import archive

    shutil.rmtree(folder / "index", ignore_errors=True)
    place = folder / "index" / "files.sqlite"
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        with archive(folder / "files", "CT", place) as found:
            found.fingerprint()
            read = found.done.read
        seconds.append((time.perf_counter() - began, read))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "seconds": seconds[0][0],
        "files": seconds[0][1],
        "restart": float(np.median([s for s, _ in seconds[1:]])),
        "read again": sum(read for _, read in seconds[1:]),
        "peak MB": _peak_mb("self"),
        "worker MB": max(_peak_mb(child) for child in children),
        "index MB": place.stat().st_size / 2**20,
    }


def _peak_mb(process: str) -> float:
    """Return the largest resident memory that a process has had; unlike getrusage, nothing from before its start."""
    status = Path(f"/proc/{process}/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


PASSES: dict[str, Callable[[Path], Figures]] = {
    "plain": plain,
    "first": first,
    "again": again,
    "epochs": epochs,
    "index": index,
}

if __name__ == "__main__":
    print(json.dumps(PASSES[sys.argv[1]](Path(sys.argv[2]))))
