"""The data sets: are their files there and readable?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.findings import Finding, Patient, green, red
from client.doctor.site_file import section
from common.errors import DataError

if TYPE_CHECKING:
    from client.data.config_base import Dataset


def check(patient: Patient) -> Iterator[Finding]:
    """Look at the paths that site.toml names; contents are looked at when a study asks for them."""
    for name, config in _datasets(patient):
        wrong = [
            _wrong(
                f"data set '{name}'",
                f"{section(patient.site, name)} {key}",
                path,
                fetched=key == "path" and _is_fetched(config),
            )
            for key, path in _paths(config)
            if not os.access(path, os.R_OK)
        ]
        yield from wrong or [green(f"data set '{name}' ({config.kind}) is there")]


def _datasets(patient: Patient) -> Iterator[tuple[str, Dataset]]:
    from client.data.config import members

    for name, config in sorted(patient.site.datasets.items()):
        yield from members(name, config).items()


def _paths(config: Dataset) -> Iterator[tuple[str, Path]]:
    for key in ("path", "labels", "outcomes", "masks"):
        path = getattr(config, key, None)
        if isinstance(path, Path):  # of arrays, `labels` is a name inside the file
            yield key, path
    for join in getattr(config, "join", ()):
        yield "join", join.path


def _is_fetched(config: Dataset) -> bool:
    return getattr(config, "pacs", None) is not None


def _wrong(which: str, setting: str, path: Path, *, fetched: bool) -> Finding:
    problem = "cannot be read" if path.exists() else "does not exist"
    fix = f"Correct {setting}, mount the share, or let the user of the site read it."
    if fetched and not path.exists():
        fix = f"Fetch the images with 'consilium site fetch', or correct {setting}."
    key = setting.rpartition(" ")[2]
    return red(f"{which}: its {key} {problem} [{path}].", fix, kind=DataError)
