"""Certificates: a small authority of one's own, what it signs, and what a certificate says.

Keys are ECDSA P-256, readable by their owner only. Certificates begin a day early, for clocks that differ.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import MachineError, StudyError
from common.files import explain_os_error, write_atomically

AUTHORITY_DAYS = 3650
DAYS = 730
_EARLY = timedelta(days=1)
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key.

    Attributes:
        certificate: PEM file, which anybody may read.
        key: PEM file, which its owner alone may read.
    """

    certificate: Path
    key: Path


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


def make_authority(files: Pair, name: str, *, days: int = AUTHORITY_DAYS) -> None:
    """Write a new authority that signs certificates and nothing else.

    Raises:
        MachineError: the files cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    _write(files, builder.sign(key, hashes.SHA256()), key)


def issue(
    files: Pair, authority: Pair, name: str, hosts: Sequence[str] = (), *, days: int = DAYS
) -> None:
    """Write a certificate signed by an authority, for a server (with hosts), a client, or both.

    A key that is there already is kept, so that a renewal changes one file and a crash leaves a pair that fits. The
    certificate never outlives its authority.

    Args:
        files: where to.
        authority: who signs.
        name: of the server or client.
        hosts: names and IP addresses under which the server is reached; none: it serves as a client's only.
        days: that it is valid.

    Raises:
        MachineError: the authority cannot be read, or the files cannot be written.
        StudyError: a host is neither a name nor an address.
    """
    signer, signing_key = load_certificate(authority.certificate), _load_key(authority.key)
    key = _load_key(files.key) if files.key.exists() else ec.generate_private_key(ec.SECP256R1())
    builder = _builder(
        _name(name),
        signer.subject,
        key.public_key(),
        days,
        latest=signer.not_valid_after_utc,
        signer=signing_key.public_key(),
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if hosts:
        uses.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    _write(files, builder.sign(signing_key, hashes.SHA256()), key)


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


def fits(files: Pair) -> bool:
    """Return whether a key is that of its certificate.

    Raises:
        MachineError: one of them cannot be read.
    """
    certified = load_certificate(files.certificate).public_key()
    return bool(certified == _load_key(files.key).public_key())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    days: int,
    *,
    latest: datetime | None = None,
    signer: ec.EllipticCurvePublicKey | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    expires = now + timedelta(days=days)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer or public)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, expires) - _EARLY)
        .not_valid_after(expires if latest is None else min(expires, latest))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(identifier, critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(files: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    write_atomically(files.key, private, durable=True, mode=0o600)
    write_atomically(files.certificate, public, durable=True, mode=0o644)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key: object = None
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise explain_os_error(error, path) from error
    except (ValueError, TypeError):
        pass
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise MachineError(
            "The private key of the certificate cannot be read.",
            where=str(path),
            fix="It must be an elliptic-curve key in PEM, without a password.",
        )
    return key


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _general_name(host: str) -> x509.GeneralName:
    bare = host.strip("[]")
    try:
        return x509.IPAddress(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        return x509.DNSName(bare.encode("idna").decode() if not bare.isascii() else bare)
    except (ValueError, UnicodeError):
        raise StudyError(
            f"'{host}' is neither a host name nor an address.", fix="For example: fl.example.org."
        ) from None


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
