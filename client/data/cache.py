"""Prepared cohorts on disk: one folder a cohort, memory-mapped when it is read again.

The name is a keyed hash of the study's data section, the site's description of the data set, and
the path, size and time of every source file; a change of any of them makes a new entry. Entries are
written beside their place and renamed, so a crash or a second process never leaves half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.cohort import Cohort
from client.data.files import walk
from client.data.quarantine import Quarantine
from client.data.split import keyed
from common.npy import ONE_AT_A_TIME

VERSION = "1"
ARRAYS = ("inputs", "targets", "patient", "is_test")


def cache_key(secret: bytes, description: str, sources: Iterable[Path]) -> str:
    """Return the entry's name (64 hex digits).

    Args:
        secret: the site's secret; without it the name says nothing about the sources.
        description: the data section, data set and classes as canonical text.
        sources: files and folders that the data set reads.
    """
    digest = hashlib.sha256(f"{VERSION}\n{description}\n".encode())
    for source in sources:
        digest.update(f"{source}\0{source.exists()}\n".encode("utf-8", "surrogateescape"))
        for file in walk(source):
            line = f"{file.name}\0{file.size}\0{file.modified_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return keyed(secret, "cache", digest.hexdigest()).hex()


def load(folder: Path, key: str) -> Cohort | None:
    """Return a cached cohort, or nothing if there is none or it is damaged."""
    entry = folder / key
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        arrays = {name: _read(entry / f"{name}.npy", meta["crc32"][name]) for name in ARRAYS}
        quarantine = Quarantine(meta["counts"], tuple((n, r) for n, r in meta["details"]))
        return Cohort(
            **arrays,
            split_id=meta["split_id"],
            quarantine=quarantine,
            notes=tuple(meta["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _read(path: Path, expected: int) -> Any:
    with ONE_AT_A_TIME:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if _checksum(array) != expected:
        raise ValueError("damaged")
    return array if path.stem == "inputs" else np.array(array)


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(array.reshape(-1).view(np.uint8).data)


def save(folder: Path, key: str, cohort: Cohort) -> bool:
    """Write a cohort; say whether that was possible (a full or read-only disk is no error)."""
    temporary = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        _write(temporary, cohort)
        shutil.rmtree(folder / key, ignore_errors=True)
        os.rename(temporary, folder / key)
    except OSError:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        return (folder / key / "meta.json").exists()  # another process may have been first
    return True


def _write(folder: Path, cohort: Cohort) -> None:
    sums = {}
    for name in ARRAYS:
        array = np.ascontiguousarray(getattr(cohort, name))
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
        sums[name] = _checksum(array)
    meta = {
        "crc32": sums,
        "split_id": cohort.split_id,
        "counts": dict(cohort.quarantine.counts),
        "details": cohort.quarantine.details,
        "notes": cohort.notes,
    }
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o600)
