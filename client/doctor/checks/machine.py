"""This machine: disk, shared memory, device, versions, and folders that must be writable."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from client.control.checks.storage import disk_notes, disk_reasons, spool_reasons
from client.doctor.findings import Finding, Patient, amber, green, red
from common.flower_env import FLOWER_VERSION

_LEAST_SHARED = 64 << 20
SHARED_MEMORY = Path("/dev/shm")


def check(patient: Patient) -> Iterator[Finding]:
    """Look at the machine."""
    yield from _disk(patient)
    yield from _shared_memory()
    yield from _writable(patient)
    yield from _versions()
    yield from _device(patient.site.compute.device)


def _disk(patient: Patient) -> Iterator[Finding]:
    place = patient.folder.private if patient.folder.private.exists() else patient.folder.path
    bad = [red(each.problem, each.fix) for each in disk_reasons(place)]
    low = [amber(note, "Free some space before it is full.") for note in disk_notes(place)]
    free = shutil.disk_usage(place).free / 2**30
    yield from bad or low or [green(f"{free:.0f} GB of disk are free")]


def _shared_memory() -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        yield amber(
            f"There is no {SHARED_MEMORY}.", "Mount it, or start the container with --ipc=host."
        )
        return
    if free < _LEAST_SHARED:
        yield amber(
            f"{SHARED_MEMORY} has only {free >> 20} MB free.",
            "Start the container with --shm-size=1g, or mount a larger one.",
        )


def _writable(patient: Patient) -> Iterator[Finding]:
    folder = patient.folder
    if folder.private.exists():
        yield from (red(each.problem, each.fix) for each in spool_reasons(folder))
    for path in (folder.cohorts, folder.logs, folder.running, folder.inbox, folder.states):
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            yield red(
                f"The folder {path} cannot be written.",
                "Let the user who runs the site write there; a read-only mount will not do.",
            )


def _versions() -> Iterator[Finding]:
    found = {}
    for name in ("flwr", "torch", "consilium"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            yield red(
                f"{name} is not installed.", "Install the wheel again: pip install consilium."
            )
    if found.get("flwr", FLOWER_VERSION) != FLOWER_VERSION:
        yield red(
            f"Flower is {found['flwr']}; this version works with {FLOWER_VERSION} only.",
            f"pip install flwr=={FLOWER_VERSION}",
        )
    python = ".".join(map(str, sys.version_info[:3]))
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    yield green(f"Python {python}, {listed}")


def _device(wanted: str) -> Iterator[Finding]:
    import torch

    if wanted == "mps":
        usable = torch.backends.mps.is_available()
    elif wanted.startswith("cuda"):
        index = int(wanted.partition(":")[2] or 0)
        usable = torch.cuda.is_available() and index < torch.cuda.device_count()
    else:
        gpu = wanted == "auto" and torch.cuda.is_available()
        yield green(f"computes on {torch.cuda.get_device_name(0) if gpu else 'the CPU'}")
        return
    if usable:
        yield green(f"computes on {wanted}")
    else:
        yield red(
            f"The device '{wanted}' is not there.",
            "See what 'nvidia-smi' says, or set [compute] device = \"auto\".",
        )
