"""Keys that hospitals make for themselves, and the fingerprints that people read over the phone.

A *node key* (ECDSA P-384, OpenSSH format) proves to a coordinator's SuperLink which hospital calls. A *signing key*
(Ed25519) never leaves the hospital and signs its approvals.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from common.errors import MachineError, StudyError
from common.files import explain_os_error, write_atomically

_PRIVATE = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.OpenSSH,
    serialization.NoEncryption(),
)
_PUBLIC = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def make_node_key(private: Path, public: Path, comment: str) -> None:
    """Write a new node key: the private file readable by its owner only, the public one by all."""
    key = ec.generate_private_key(ec.SECP384R1())
    write_atomically(private, key.private_bytes(*_PRIVATE), durable=True, mode=0o600)
    text = key.public_key().public_bytes(*_PUBLIC).decode()
    write_atomically(public, f"{text} {comment}\n", durable=True, mode=0o644)


def make_signing_key(private: Path) -> None:
    """Write a new signing key, readable by its owner only."""
    key = ed25519.Ed25519PrivateKey.generate()
    write_atomically(private, key.private_bytes(*_PRIVATE), durable=True, mode=0o600)


def load_signing_key(private: Path) -> ed25519.Ed25519PrivateKey:
    """Read a signing key.

    Raises:
        MachineError: the file is missing, unreadable or no signing key.
    """
    key: object = None
    try:
        key = serialization.load_ssh_private_key(private.read_bytes(), None)
    except OSError as error:
        raise explain_os_error(error, private) from error
    except (ValueError, UnsupportedAlgorithm):
        pass
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise MachineError(
            "The site's signing key cannot be read.",
            where=str(private),
            fix="Restore it from the site's backup, or make the site anew with 'consilium site init'.",
        )
    return key


def sign(key: ed25519.Ed25519PrivateKey, content: bytes) -> str:
    """Return the signature of some content, in base64."""
    return base64.b64encode(key.sign(content)).decode()


def public_text(key: ed25519.Ed25519PrivateKey) -> str:
    """Return the public half of a signing key as one line."""
    return key.public_key().public_bytes(*_PUBLIC).decode()


def verify(public: str, content: bytes, signature: str) -> bool:
    """Return whether a signature is that of a public key's owner over some content."""
    try:
        key = serialization.load_ssh_public_key(public.encode())
        if not isinstance(key, ed25519.Ed25519PublicKey):
            return False
        key.verify(base64.b64decode(signature, validate=True), content)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def read_node_key(text: str, *, where: str) -> str:
    """Return a public node key as one line, without its comment.

    Raises:
        StudyError: it is no public ECDSA key of a NIST curve in OpenSSH format.
    """
    line = " ".join(text.split()[:2])
    key: object = None
    with suppress(ValueError, UnsupportedAlgorithm):
        key = serialization.load_ssh_public_key(line.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise StudyError(
            "This is not the public key of a site.",
            where=where,
            fix="Use the file node.pub that 'consilium site init' wrote; it starts with 'ecdsa-sha2-nistp384'.",
        )
    return line


def fingerprint(public: str) -> str:
    """Return the fingerprint of a public key in OpenSSH's form, as `ssh-keygen -l` prints it: SHA256:…"""
    blob = base64.b64decode(public.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
