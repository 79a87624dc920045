"""The way from the clinical half of a site to its SuperNode in the DMZ."""

from __future__ import annotations

from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, green, red
from client.service.probes import SuperNodeProbe


def check(patient: Patient) -> Iterator[Finding]:
    """Ask every SuperNode whether it reaches its coordinator."""
    if not patient.folder.superexec_secret.exists():
        return
    for name, connection in sorted(patient.site.connections.items()):
        probe = SuperNodeProbe(connection, patient.folder.superexec_secret, lambda text: None)
        try:
            page = probe.page()
        except (OSError, ValueError):
            yield red(
                f"{name}: the SuperNode at {connection.runtime} does not answer, or not to this secret.",
                "Start it there with 'consilium site start FOLDER --only supernode'; let this machine connect to that "
                "port; both halves need the same superexec.secret, and its certificate must name that host.",
            )
            continue
        if page["problem"]:
            yield red(f"{name}: {page['problem']}.", "Run the doctor on the SuperNode's machine.")
        else:
            yield green(f"{name}: the SuperNode answers, and reaches the coordinator")
