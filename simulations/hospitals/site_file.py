"""Writes a generated hospital's site.toml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from simulations.hospitals.plan import DELTA, Archive

POLICY: dict[str, Any] = {
    "max_epsilon": 8.0,
    "delta": DELTA,
    "min_patients": 10,
    "allow_non_private": True,
    "statistics": "exact",
}
NOTE = """\
# A generated hospital: no person is behind any of these files, so its policy allows training
# without privacy and exact statistics. A real hospital leaves both out.

"""


def write_site_file(folder: Path, name: str, archives: Sequence[Archive]) -> Path:
    """Write `folder`/site.toml, one `[data.NAME]` table a data set; returns its path."""
    content = {
        "site": {"name": name},
        "data": {archive.name: _table(archive) for archive in archives},
        "policy": POLICY,
    }
    path = folder / "site.toml"
    path.write_text(NOTE + tomli_w.dumps(content), encoding="utf-8", newline="\n")
    return path


def _table(archive: Archive) -> dict[str, Any]:
    table: dict[str, Any] = {"kind": archive.kind}
    if archive.path:
        table["path"] = archive.path
    if archive.labels:
        table["labels"] = archive.labels
    return {**table, "declared_patients": archive.declared_patients, **dict(archive.extra)}
