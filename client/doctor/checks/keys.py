"""Keys, secrets and the site's own certificates: are they there, and can nobody else read them?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from client.doctor.findings import Finding, Patient, amber, green, red
from client.service.start import Half
from client.setup.tls import SiteTls
from common.certificates import Pair, describe, fits

_SOON_DAYS = 30


def check(patient: Patient) -> Iterator[Finding]:
    """Look at every key file."""
    folder = patient.folder
    kept = {"shared secret of agent and SuperNode": folder.superexec_secret}
    if patient.half is not Half.AGENT:
        kept["node key"] = folder.node_key
    if patient.half is not Half.SUPERNODE:
        kept |= {"signing key": folder.signing_key, "site secret": folder.secret}
    findings = [found for what, path in kept.items() for found in _private(what, path)]
    findings += _closed(folder.private)
    yield from findings or [green("keys and secrets are there, and readable by their owner only")]
    yield from _own_certificates(patient)


def _private(what: str, path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield red(
            f"The {what} is missing [{path}].",
            "Restore it with 'consilium site restore', or make a new site with 'consilium site init'.",
        )
    elif path.stat().st_size == 0:
        yield red(f"The {what} is empty [{path}].", "Restore it with 'consilium site restore'.")
    elif path.stat().st_mode & 0o077:
        yield red(f"Others may read the {what} [{path}].", f"chmod 600 {path}")


def _closed(folder: Path) -> Iterator[Finding]:
    if folder.exists() and folder.stat().st_mode & 0o077:
        yield red(f"Others may look into the private folder [{folder}].", f"chmod 700 {folder}")


def _own_certificates(patient: Patient) -> Iterator[Finding]:
    """Those that are used: between the halves of a split site, and by a control plane on a port."""
    tls = SiteTls(patient.folder)
    connections = patient.site.connections.values()
    if any(each.runtime_certificates is not None for each in connections) and (
        tls.runtime.certificate.exists()  # the clinical half may do without it
    ):
        yield from _certificate("runtime API", tls.runtime)
    if patient.site.service.control != "unix":
        yield from _certificate("control plane", tls.control_server)


def _certificate(what: str, files: Pair) -> Iterator[Finding]:
    renew = "consilium site renew SITE, then start the site again"
    found = describe(files.certificate)
    if not fits(files):
        yield red(f"Key and certificate of the {what} do not belong together.", renew)
    elif found.days_left < 0:
        yield red(f"The certificate of the {what} has expired.", renew)
    elif found.days_left < _SOON_DAYS:
        yield amber(f"The certificate of the {what} expires in {found.days_left} days.", renew)
    else:
        yield green(f"the certificate of the {what} is valid for {found.days_left} days")
