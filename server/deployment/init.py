"""Makes a coordinator's folder: authority, certificates, secret, server.toml, nginx.conf."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from common.certificates import AUTHORITY_DAYS, Description, Pair, describe, issue, make_authority
from common.errors import MachineError, RunError, StudyError
from common.files import explain_os_error, write_atomically
from server.deployment import proxy
from server.deployment.config import ServerFile, dump_server_file, split_address
from server.deployment.folder import CoordinatorFolder

LOOPBACK = ("localhost", "127.0.0.1")
SOON_DAYS = 30
"""A certificate that expires within so many days is spoken of."""


@dataclass(frozen=True)
class Wanted:
    """What a new coordinator is to be.

    Attributes:
        settings: its server.toml.
        own: a certificate and key of another authority for the public address; None: one's own authority signs.
    """

    settings: ServerFile
    own: Pair | None = None


def make(path: Path, wanted: Wanted) -> CoordinatorFolder:
    """Make the folder of a coordinator; what fails leaves nothing behind.

    Raises:
        RunError: the folder is in use.
        StudyError: the certificate is not one for the address.
        MachineError: it cannot be written, or nginx is missing or refuses.
    """
    folder = CoordinatorFolder(path.resolve())
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise RunError(
            "The folder is not empty.",
            where=str(folder.path),
            fix="Choose another, or start the coordinator that is there.",
        )
    if wanted.own is not None:
        require_address(describe(wanted.own.certificate), wanted.settings.server.address)
    try:
        _fill(folder, wanted)
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(folder.path)
        raise
    return folder


def require_address(found: Description, address: str) -> None:
    """Check that a certificate is one for the address that hospitals call, and is valid still.

    Raises:
        StudyError: it is not.
    """
    host, _ = split_address(address)
    if not found.matches(host):
        raise StudyError(
            f"The certificate is not one for '{host}': it names {', '.join(found.names) or 'no host'}.",
            fix="Give the certificate of the address that hospitals call.",
        )
    if found.days_left < 0:
        raise StudyError("The certificate has expired.", fix="Give one that is valid.")


def issue_own(folder: CoordinatorFolder) -> None:
    """Issue the proxy's certificate from the coordinator's own authority; a key that is there is kept."""
    host, _ = split_address(folder.settings().server.address)
    issue(_public(folder), _authority(folder), host, [host, *LOOPBACK])


def take_own(folder: CoordinatorFolder, own: Pair) -> None:
    """Take over a certificate of another authority, with its key."""
    for source, target, mode in (
        (own.key, folder.key, 0o600),
        (own.certificate, folder.certificate, 0o644),
    ):
        try:
            content = source.read_bytes()
        except OSError as error:
            raise MachineError(
                f"The file cannot be read: {error.strerror}.", where=str(source)
            ) from None
        write_atomically(target, content, durable=True, mode=mode)


def renew(folder: CoordinatorFolder, own: Pair | None) -> Description:
    """Put a new certificate in the place of the proxy's; one that nginx refuses is taken back.

    Args:
        folder: the coordinator's.
        own: of another authority; None: one's own signs again.
    """
    before = (folder.certificate.read_bytes(), folder.key.read_bytes())
    if own is None:
        _require_own_issue(folder)
        issue_own(folder)
    else:
        require_address(describe(own.certificate), folder.settings().server.address)
        take_own(folder, own)
    try:
        proxy.write_config(folder)
        proxy.check(folder)
    except MachineError:
        write_atomically(folder.certificate, before[0], durable=True, mode=0o644)
        write_atomically(folder.key, before[1], durable=True, mode=0o600)
        raise
    return describe(folder.certificate)


def signed_by_us(folder: CoordinatorFolder) -> bool:
    """Return whether hospitals need the coordinator's own authority to trust its proxy."""
    return describe(folder.certificate).issuer == describe(folder.authority).subject


def _require_own_issue(folder: CoordinatorFolder) -> None:
    if not signed_by_us(folder):
        raise StudyError(
            "The certificate in use comes from another authority.",
            where=str(folder.certificate),
            fix="Give its successor with --certificate and --key.",
        )


def _fill(folder: CoordinatorFolder, wanted: Wanted) -> None:
    _make_folders(folder)
    write_atomically(folder.file, dump_server_file(wanted.settings), mode=0o644)
    write_atomically(folder.superexec_secret, secrets.token_bytes(32), durable=True, mode=0o600)
    authority = _authority(folder)
    make_authority(authority, f"{wanted.settings.server.name} coordinator authority")
    loopback = Pair(folder.loopback_certificate, folder.loopback_key)
    issue(loopback, authority, "localhost", LOOPBACK, days=AUTHORITY_DAYS)
    if wanted.own is None:
        issue_own(folder)
    else:
        take_own(folder, wanted.own)
    proxy.write_config(folder)
    proxy.check(folder)


def _make_folders(folder: CoordinatorFolder) -> None:
    inner = (folder.tls, folder.flower_home, folder.runs, folder.logs, folder.running)
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.path.chmod(0o700)
        for path in inner:
            path.mkdir(mode=0o700)
    except OSError as error:
        raise explain_os_error(error, folder.path) from error


def _authority(folder: CoordinatorFolder) -> Pair:
    return Pair(folder.authority, folder.authority_key)


def _public(folder: CoordinatorFolder) -> Pair:
    return Pair(folder.certificate, folder.key)
