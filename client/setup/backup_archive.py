"""The file that a site's backup is: a tar with a manifest of hashes, sealed with a passphrase or plain."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from common.errors import StudyError, TamperedError
from common.files import explain_os_error

MANIFEST = "manifest.json"
FORMAT = 1
_MAGIC = b"CONSILIUM SEALED BACKUP 1\n"
_SALT, _NONCE = 16, 12
_SHORTEST = 12


@dataclass(frozen=True)
class LogState:
    """How far a chained log had come.

    Attributes:
        entries: in it.
        head: hash of the newest.
    """

    entries: int
    head: str


@dataclass(frozen=True)
class Manifest:
    """What an archive says about itself.

    Attributes:
        site: its name.
        made: when, in UTC.
        files: sha256 by name.
        ledger, egress: how far the logs had come; None where there was none.
    """

    site: str
    made: str
    files: Mapping[str, str]
    ledger: LogState | None
    egress: LogState | None

    def to_json(self) -> str:
        """As it lies in the archive."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read it.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        logs = {
            name: None if content[name] is None else LogState(**content[name])
            for name in ("ledger", "egress")
        }
        return cls(**(content | logs))


@dataclass(frozen=True)
class Archive:
    """A backup in memory.

    Attributes:
        manifest: what it says about itself.
        files: content by name, relative to the site's folder.
    """

    manifest: Manifest
    files: Mapping[str, bytes]

    def to_bytes(self, passphrase: bytes | None) -> bytes:
        """Pack it, sealed where there is a passphrase."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            for name, data in {MANIFEST: self.manifest.to_json().encode(), **self.files}.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o600
                tar.addfile(member, io.BytesIO(data))
        plain = content.getvalue()
        return plain if passphrase is None else _seal(plain, passphrase)


def read_archive(path: Path, passphrase: bytes | None) -> Archive:
    """Read a backup and compare every file with its manifest.

    Raises:
        StudyError: it is sealed and there is no passphrase.
        TamperedError: it is damaged, cut short or no backup, or the passphrase is another.
        MachineError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise explain_os_error(error, path) from error
    if content.startswith(_MAGIC):
        content = _open(content, passphrase, path)
    try:
        files = _members(content)
        manifest = Manifest.from_json(files.pop(MANIFEST))
        hashes = {name: sha256(data) for name, data in files.items()}
        if hashes != dict(manifest.files):
            raise ValueError("its files are not those of its manifest")
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise _damaged(path) from error
    return Archive(manifest, files)


def sha256(data: bytes) -> str:
    """The hash of a file, in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def read_passphrase(path: Path | None) -> bytes | None:
    """Return the first line of a passphrase file, or None without one.

    Raises:
        StudyError: it is too short to protect keys.
        MachineError: the file cannot be read.
    """
    if path is None:
        return None
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise explain_os_error(error, path) from error
    passphrase = lines[0].strip() if lines else b""
    if len(passphrase) < _SHORTEST:
        raise StudyError(
            f"The passphrase has fewer than {_SHORTEST} characters.",
            where=str(path),
            fix="Make one with 'openssl rand -base64 24', and keep it apart from the backup.",
        )
    return passphrase


def _members(content: bytes) -> dict[str, bytes]:
    """The regular files of a tar; nothing else belongs into a backup, nor a name that leads out of the folder."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for member in tar:
            name, data = PurePosixPath(member.name), tar.extractfile(member)
            if data is None or not member.isreg() or name.is_absolute() or ".." in name.parts:
                raise ValueError("a member is no plain file of the site's folder")
            if member.name in files:
                raise ValueError("a name occurs twice")
            files[member.name] = data.read()
    return files


def _seal(plain: bytes, passphrase: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    header = _MAGIC + salt + nonce
    return header + AESGCM(_key(passphrase, salt)).encrypt(nonce, plain, header)


def _open(content: bytes, passphrase: bytes | None, path: Path) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if passphrase is None:
        raise StudyError(
            "The backup is sealed with a passphrase.",
            where=str(path),
            fix="Give --passphrase-file with the file that was used for the backup.",
        )
    start = len(_MAGIC)
    header = content[: start + _SALT + _NONCE]
    salt, nonce = header[start : start + _SALT], header[start + _SALT :]
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, content[len(header) :], header)
    except (InvalidTag, ValueError) as error:
        raise TamperedError(
            "The backup cannot be opened: the passphrase is another, or the file is damaged.",
            where=str(path),
            fix="Try the other passphrases that were in use; then take another copy of the backup.",
        ) from error


def _key(passphrase: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase)


def _damaged(path: Path) -> TamperedError:
    return TamperedError(
        "The file is damaged, or no backup of a site.",
        where=str(path),
        fix="Take another copy of it; nothing was restored.",
    )
