"""`consilium doctor-env`: what this machine has."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

PACKAGES = (
    "consilium",
    "flwr",
    "torch",
    "opacus",
    "dp-accounting",
    "numpy",
    "pydicom",
    "ray",
)
LEAST_DISK_GB, LEAST_MEMORY_GB = 2.0, 4.0


def app(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Show Python, torch, device, versions, free disk and memory, and what is too little."""
    facts = collect()
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        for key, value in facts.items():
            for name, entry in value.items() if isinstance(value, dict) else [(key, value)]:
                typer.echo(f"{name:<18} {entry if entry is not None else 'not installed'}")
    if facts["problems"]:
        raise typer.Exit(9)


def collect() -> dict[str, Any]:
    """Return the facts, and under `problems` what to mend."""
    disk = shutil.disk_usage(Path.cwd()).free / 2**30
    memory = _free_memory_gb()
    facts: dict[str, Any] = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": _device(),
        "free disk GB": round(disk, 1),
        "free memory GB": None if memory is None else round(memory, 1),
        "packages": _versions(),
    }
    facts["problems"] = _problems(facts)
    return facts


def _versions() -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory / 2**30
        return f"cuda: {torch.cuda.get_device_name(0)}, {total:.0f} GB"
    return "cpu"


def _free_memory_gb() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in lines)
    return float(values["MemAvailable"].split()[0]) / 2**20


def _problems(facts: dict[str, Any]) -> list[str]:
    found = []
    if facts["free disk GB"] < LEAST_DISK_GB:
        found.append(
            f"less than {LEAST_DISK_GB:.0f} GB of disk are free: free some, or work elsewhere"
        )
    if facts["free memory GB"] is not None and facts["free memory GB"] < LEAST_MEMORY_GB:
        found.append(f"less than {LEAST_MEMORY_GB:.0f} GB of memory are free: use fewer workers")
    missing = [n for n, v in facts["packages"].items() if v is None and n != "ray"]
    return found + [f"{name} is not installed: pip install consilium" for name in missing]
