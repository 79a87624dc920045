"""Does each coordinator know this site's key? Asked without disturbing a SuperNode that runs."""

from __future__ import annotations

from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, green, red
from common.keys import fingerprint


def check(patient: Patient) -> Iterator[Finding]:
    """Ask every coordinator."""
    from client.service.fleet import UNKNOWN, ask_enrolment

    folder = patient.folder
    if not folder.node_key.exists():
        return
    for name, connection in sorted(patient.site.connections.items()):
        if connection.certificates is not None and not connection.certificates.exists():
            continue
        said = ask_enrolment(connection.server, connection.certificates, folder.node_key)
        if said.known:
            yield green(f"{name}: this site's key is enrolled")
        elif said.problem == UNKNOWN:
            mine = fingerprint(folder.node_key_public.read_text())
            yield red(
                f"{name}: the coordinator does not know this site's key.",
                f"Send it {folder.node_key_public} and read the fingerprint {mine} over the phone; "
                "it enrols the site with 'consilium server enrol'.",
            )
        else:
            yield red(
                f"{name}: {said.problem}.", "Mend the red lines above, or ask the coordinator."
            )
