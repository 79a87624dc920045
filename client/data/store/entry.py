"""One prepared cohort as a folder of arrays; what is damaged counts as missing."""

from __future__ import annotations

import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.cohort import Cohort
from client.data.quarantine import Quarantine
from client.data.workers.pool import cores
from common.npy import ONE_AT_A_TIME

ARRAYS = ("inputs", "targets", "patient", "is_test", "groups")
META = "meta.json"
_CHUNK = 1 << 24
MOST_HELD = 2
"""Targets of more dimensions are masks, which stay on disk like the inputs."""


def write(folder: Path, cohort: Cohort) -> None:
    """Write a cohort into an empty folder; what lies there is whole only once this returns.

    Raises:
        OSError: the disk is full or read-only.
    """
    arrays = _arrays(cohort)
    with ThreadPoolExecutor(1) as beside:  # sums are made while the disk writes
        sums = {name: beside.submit(_checksum, array) for name, array in arrays.items()}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
    meta = {
        "crc32": {name: made.result() for name, made in sums.items()},
        "split_id": cohort.split_id,
        "counts": dict(cohort.quarantine.counts),
        "details": cohort.quarantine.details,
        "notes": cohort.notes,
    }
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o600)


def read(folder: Path) -> Cohort | None:
    """Return the cohort of a folder, its inputs memory-mapped; nothing if there is none or it is damaged."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        sums = {name: meta["crc32"][name] for name in ARRAYS if name in meta["crc32"]}
        arrays = {name: _array(folder / f"{name}.npy", crc32) for name, crc32 in sums.items()}
        quarantine = Quarantine(meta["counts"], tuple((n, r) for n, r in meta["details"]))
        return Cohort(
            **arrays,
            split_id=meta["split_id"],
            quarantine=quarantine,
            notes=tuple(meta["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def size(cohort: Cohort) -> int:
    """Return about how many bytes a cohort needs on disk."""
    text = sum(len(name) + len(reason) + 8 for name, reason in cohort.quarantine.details)
    arrays = sum(array.nbytes for array in _arrays(cohort).values())
    return arrays + text + (1 << 16)


def _arrays(cohort: Cohort) -> dict[str, NDArray[Any]]:
    """Return what is there; only studies with subgroups have groups."""
    found = {name: getattr(cohort, name) for name in ARRAYS}
    return {n: np.ascontiguousarray(a) for n, a in found.items() if a is not None}


def _array(path: Path, expected: int) -> Any:
    with ONE_AT_A_TIME:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if _checksum(array) != expected:
        raise ValueError("damaged")
    mapped = path.stem == "inputs" or array.ndim > MOST_HELD
    return array if mapped else np.array(array)


def _checksum(array: NDArray[Any]) -> int:
    """Sum piece by piece, on all cores: a map larger than the memory is read once from end to end."""
    content = array.reshape(-1).view(np.uint8)
    pieces = (content[start : start + _CHUNK].data for start in range(0, len(content), _CHUNK))
    with ThreadPoolExecutor(cores()) as together:
        sums = list(together.map(zlib.crc32, pieces))
    return zlib.crc32(np.array(sums, "<u4").tobytes())
