"""Backs a site up while its service runs: site.toml, keys, ledger and egress log; no patients, no cohorts, no spool."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from client.guard.chain import Chain
from client.guard.publish import publish
from client.guard.storage_errors import translated
from client.setup.backup_archive import Archive, LogState, Manifest, read_archive, sha256
from client.site import FILE_NAME, Site, load_site
from client.site_folder import SiteFolder
from common.errors import MachineError, RunError, TamperedError
from common.files import explain_os_error

_BUSY_SECONDS = 60.0
_ATTEMPTS = 50


def back_up(folder: Path, target: Path, passphrase: bytes | None = None) -> Manifest:
    """Write a backup (mode 600), read it back from the disk and return what it says about itself.

    A reply is reserved, then logged, then settled. The egress log must not have changed while the ledger was copied:
    then no reply lacks its charge in the archive, and no settled charge its reply.

    Args:
        folder: of site.toml.
        target: the archive, which must not be there yet.
        passphrase: seals it; None leaves it plain.

    Raises:
        StudyError: the site file cannot be used.
        RunError: the target is there.
        TamperedError: a log does not hold together; a copy of it would be worth nothing.
        MachineError: something cannot be read, or the target not be written.
    """
    site = load_site(folder)
    if target.exists():
        raise RunError(
            "The backup's file is there already.",
            where=str(target),
            fix="Name a new file, for example with the date in it.",
        )
    archive = _collect(site)
    try:
        with publish(target, mode=0o600) as draft:
            draft.write_bytes(archive.to_bytes(passphrase))
    except OSError as error:
        raise explain_os_error(error, target) from error
    if read_archive(target, passphrase) != archive:
        raise MachineError(
            "The backup does not read back as it was written.",
            where=str(target),
            fix="Check that disk, and that no other backup writes to the same file; then back up to another one.",
        )
    return archive.manifest


def log_state(path: Path) -> LogState:
    """Verify a chained log and return how far it has come.

    Raises:
        TamperedError: it does not hold together.
        MachineError: it cannot be read now.
    """
    found = Chain(path, writable=False).verify()
    if not found.intact:
        raise TamperedError(
            f"Entry {found.broken_at} does not hold: {found.reason.rstrip('.')}.",
            where=str(path),
            fix="Keep the file as evidence and go back to a copy that verifies.",
        )
    return LogState(found.entries, found.head)


def _copies(folder: SiteFolder, place: Path) -> dict[str, Path]:
    """Copy the two logs, of one moment as far as replies go."""
    found: dict[str, Path] = {}
    for _ in range(_ATTEMPTS):
        if folder.egress_log.exists():
            found["egress"] = _copied(folder.egress_log, place / folder.egress_log.name)
        if folder.ledger.exists():
            found["ledger"] = _copied(folder.ledger, place / folder.ledger.name)
        if "egress" not in found or _unchanged(folder.egress_log, found["egress"]):
            return found
    raise MachineError(
        "The site sends replies faster than its logs can be copied.",
        where=str(folder.private),
        fix="Pause the site with 'consilium site pause' and try again.",
    )


def _unchanged(log: Path, copy: Path) -> bool:
    """Whether nothing was logged since the copy was made."""
    return log_state(log) == log_state(copy)


def _collect(site: Site) -> Archive:
    folder = SiteFolder(site.folder)
    files = {str(path.relative_to(site.folder)): _read(path) for path in _plain_files(site, folder)}
    logs: dict[str, LogState | None] = {"egress": None, "ledger": None}
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=folder.private) as temporary:
        for name, copy in _copies(folder, Path(temporary)).items():
            logs[name] = log_state(copy)
            files[str((folder.private / copy.name).relative_to(site.folder))] = _read(copy)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    hashes = {name: sha256(data) for name, data in files.items()}
    return Archive(Manifest(site.name, made, hashes, logs["ledger"], logs["egress"]), files)


def _plain_files(site: Site, folder: SiteFolder) -> Iterator[Path]:
    """What is copied as it is, each once."""
    keys = (
        folder.node_key,
        folder.node_key_public,
        folder.signing_key,
        folder.secret,
        folder.superexec_secret,
    )
    named = [
        path
        for each in site.connections.values()
        for path in (each.certificates, each.runtime_certificates)
        if path is not None and path.is_relative_to(site.folder)
    ]
    wanted = [site.folder / FILE_NAME, *keys, *sorted(folder.tls.rglob("*")), *named]
    yield from dict.fromkeys(path for path in wanted if path.is_file())


def _copied(log: Path, copy: Path) -> Path:
    """Copy a log as it is at one moment; whoever writes to it waits, and loses nothing."""
    copy.touch(mode=0o600)
    address = (
        f"{log.absolute().as_uri()}?mode=rw"  # so that a write that a crash cut short is undone
    )
    with (
        translated(log),
        closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    return copy


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise explain_os_error(error, path) from error
