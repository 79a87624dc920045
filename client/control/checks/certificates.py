"""Are the certificates that the site relies on still valid?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from client.control.health import PROGRESS_ONLY, Reason
from client.site import Site
from client.site_folder import SiteFolder

WARN_DAYS = 14.0


def relied_on(site: Site, folder: SiteFolder) -> dict[str, Path]:
    """Return the certificate files at hand, by what they are for."""
    found: dict[str, Path] = {}
    for name, connection in site.connections.items():
        if connection.certificates is not None:
            found[f"of the authority of coordinator '{name}'"] = connection.certificates
        if connection.runtime_certificates is not None:
            found[f"of the authority of the SuperNode for '{name}'"] = (
                connection.runtime_certificates
            )
    if site.service.control != "unix":
        found["of the control plane"] = folder.tls / "control-server.crt"
    return found


def certificate_reasons(files: dict[str, Path], now: datetime | None = None) -> Iterator[Reason]:
    """Say which certificates are over."""
    for what, path in files.items():
        days = days_left(path, now)
        if days < 0:
            yield Reason(
                "certificate",
                f"The certificate {what} expired {-days:.0f} days ago [{path}].",
                "Renew it with 'consilium site renew', or ask whoever issued it for a new one.",
                PROGRESS_ONLY,
            )


def certificate_notes(files: dict[str, Path], now: datetime | None = None) -> Iterator[str]:
    """Warn of those that end soon."""
    for what, path in files.items():
        days = days_left(path, now)
        if 0 <= days < WARN_DAYS:
            yield f"The certificate {what} expires in {days:.0f} days [{path}]."


def days_left(path: Path, now: datetime | None = None) -> float:
    """Return the days until the last certificate in a file ends; infinite where none can be read.

    An authority's file may hold its old and its new certificate while it changes over.
    """
    from cryptography import x509

    try:
        every = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return math.inf
    ends = max(each.not_valid_after_utc for each in every)
    return (ends - (now or datetime.now(UTC))).total_seconds() / 86_400
