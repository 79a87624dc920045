"""Reads certificates: what one says, and who signed it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from common.errors import MachineError
from common.files import explain_os_error


@dataclass(frozen=True)
class Description:
    """What a certificate says.

    Attributes:
        subject, issuer: common names.
        names: the host names and addresses that it stands for.
        begins, expires: when it is valid.
        authority: it may sign others.
        fingerprint: sha256 in hex of the certificate.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: datetime
    expires: datetime
    authority: bool
    fingerprint: str

    @property
    def days_left(self) -> int:
        """Whole days until it expires; negative once it has."""
        return (self.expires - datetime.now(UTC)).days

    def matches(self, host: str) -> bool:
        """Return whether it stands for a host name or address; `*.example.org` stands for one label more."""
        wanted = host.strip("[]").rstrip(".").lower()
        return any(_same(name.lower(), wanted) for name in self.names)


def load_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file.

    Raises:
        MachineError: the file is missing, unreadable or holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        raise MachineError("There is no such certificate.", where=str(path)) from None
    except OSError as error:
        raise explain_os_error(error, path) from error
    except ValueError:
        raise MachineError(
            "The file holds no certificate.",
            where=str(path),
            fix="Give a PEM file; it starts with '-----BEGIN CERTIFICATE-----'.",
        ) from None


def describe(certificate: Path | x509.Certificate) -> Description:
    """Return what a certificate says.

    Raises:
        MachineError: the file is missing, unreadable or holds no certificate.
    """
    found = load_certificate(certificate) if isinstance(certificate, Path) else certificate
    return Description(
        subject=_common_name(found.subject),
        issuer=_common_name(found.issuer),
        names=_names(found),
        begins=found.not_valid_before_utc,
        expires=found.not_valid_after_utc,
        authority=_is_authority(found),
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
    )


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether an authority signed a certificate itself."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    hosts = found.get_values_for_type(x509.DNSName)
    return (*hosts, *map(str, found.get_values_for_type(x509.IPAddress)))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return bool(found.ca)


def _same(name: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(wanted)
    except ValueError:
        pass
    head, _, rest = name.partition(".")
    return name == wanted or (head == "*" and "." in rest and wanted.partition(".")[2] == rest)
