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
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.certificate_reading import Description, describe, load_certificate, signed_by
from common.errors import MachineError, StudyError
from common.files import explain_os_error, write_atomically

__all__ = [
    "Description",
    "Pair",
    "describe",
    "fits",
    "issue",
    "load_certificate",
    "make_authority",
    "signed_by",
]

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
