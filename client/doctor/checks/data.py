"""The data sets: are their files there and readable?"""

from __future__ import annotations

import os
from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, green, red
from common.errors import DataError


def check(patient: Patient) -> Iterator[Finding]:
    """Look at the paths that site.toml names; contents are looked at when a study asks for them."""
    for name, config in sorted(patient.site.datasets.items()):
        paths = {"path": config.path, "labels": getattr(config, "labels", None)}
        wrong = [
            red(
                f"data set '{name}': its {key} {'cannot be read' if path.exists() else 'does not exist'} [{path}].",
                f"Correct [data.{name}] {key}, mount the share, or let the user of the site read it.",
                kind=DataError,
            )
            for key, path in paths.items()
            if path is not None and not os.access(path, os.R_OK)
        ]
        yield from wrong or [green(f"data set '{name}' ({config.kind}) is there")]
