"""The cache of prepared data: can it be written, and is there room for it?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, amber, green, red


def check(patient: Patient) -> Iterator[Finding]:
    """Write a file where prepared data go, and take it away again."""
    folder = patient.folder
    place = folder.cohorts if folder.cohorts.exists() else folder.private
    if not place.exists():
        return  # there is no site yet, which `keys` says
    try:
        with tempfile.NamedTemporaryFile(prefix=".doctor-", dir=place) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        yield red(
            f"Prepared data cannot be kept ({error.strerror}) [{place}].",
            "Let the user who runs the site write there, and free some disk; else every start reads all files anew.",
        )
        return
    limit, free = patient.site.compute.cache_gib, shutil.disk_usage(place).free / 2**30
    if limit == 0:
        yield amber(
            "Prepared data are not kept: every start reads all files anew.",
            "Set [compute] cache_gib above 0.",
        )
        return
    yield green(f"prepared data are kept, up to {min(limit, free):.0f} GiB")
