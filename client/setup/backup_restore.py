"""Puts a backup of a site back: never over what is there, and never a ledger that forgets what was spent."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from client.guard.anchor import Anchor
from client.guard.chain import Chain
from client.guard.entries import Writer
from client.guard.publish import publish
from client.setup.backup import log_state
from client.setup.backup_archive import Archive, LogState, Manifest
from client.setup.backup_charges import charge_missing
from client.setup.backup_evidence import Evidence, gather, memories, memory
from client.site import FILE_NAME, load_site
from client.site_folder import SiteFolder
from common.errors import RunError, StudyError, TamperedError
from common.files import explain_os_error


@dataclass(frozen=True)
class Choices:
    """What the site's people decided.

    Attributes:
        runs: folders of coordinators' runs, with study.toml and witness.jsonl.
        charge: charge what these runs saw and the ledger lacks.
        accept_older: why a ledger is put back although it may lack charges; empty: it is not.
    """

    runs: tuple[Path, ...] = ()
    charge: bool = False
    accept_older: str = ""


@dataclass(frozen=True)
class Restored:
    """What was put back.

    Attributes:
        manifest: of the backup.
        files: names of the files that were written.
        ledger: how far the ledger has come now; None: the backup had none.
        confirmed: who confirms that it is the newest, in words.
        charged: charges added for rounds that it lacked.
    """

    manifest: Manifest
    files: tuple[str, ...]
    ledger: LogState | None
    confirmed: tuple[str, ...]
    charged: int


def restore(archive: Archive, target: Path, choices: Choices) -> Restored:
    """Put a backup back. The ledger comes last: before it the site does not start, and the command can be run again.

    Args:
        archive: the backup, read and compared with its manifest.
        target: the site's folder, empty or with what outlived the damage.
        choices: what the site's people decided.

    Raises:
        RunError: a file is there already and says something else, or the site has a ledger.
        TamperedError: the backup's ledger is older than what was spent, or does not hold together.
        StudyError: nothing tells whether it is the newest.
        MachineError: the folder cannot be written.
    """
    folder = SiteFolder(target.resolve())
    _check_place(archive, folder)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.private.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=folder.private) as temporary:
            return _restore(archive, folder, Path(temporary), choices)
    except OSError as error:
        raise explain_os_error(error, folder.path) from error


def _restore(archive: Archive, folder: SiteFolder, draft: Path, choices: Choices) -> Restored:
    name = _name(folder, folder.ledger)
    plain = {each: data for each, data in archive.files.items() if each != name}
    if name not in archive.files:
        _require_no_ledger_was_there(folder)
        return Restored(archive.manifest, _put(plain, folder), None, (), 0)
    (draft / FILE_NAME).write_bytes(archive.files[FILE_NAME])
    ledger = draft / folder.ledger.name
    _write(ledger, archive.files[name])
    if log_state(ledger) != archive.manifest.ledger:
        raise TamperedError(
            "The backup's ledger is not the one that its manifest names.", where="manifest.json"
        )
    evidence = gather(folder, ledger, choices.runs)
    charged = _brought_up(evidence, ledger, draft, choices)
    written = _put(plain, folder)
    with publish(folder.ledger, mode=0o600) as place:
        place.write_bytes(ledger.read_bytes())
    state = log_state(folder.ledger)
    # After the ledger, as always: a memory that lags is sound, one that leads would stop the site.
    Anchor(sorted({memory(folder), *memories(folder)})).keep(state.entries, state.head)
    files = (*written, name)
    return Restored(archive.manifest, files, state, tuple(evidence.confirmed), charged)


def _brought_up(evidence: Evidence, ledger: Path, draft: Path, choices: Choices) -> int:
    """Bring the copy up to what is known: charge what is missing, and note why an older one is put back."""
    if not choices.accept_older:
        evidence.require(charged=choices.charge)
    elif not evidence.suffices(charged=choices.charge):
        Chain(ledger).write(lambda writer: _note(writer, choices.accept_older))
    if not choices.charge:
        return 0
    site = load_site(draft)
    return sum(charge_missing(ledger, site, run) for run in evidence.runs)


def _note(writer: Writer, reason: str) -> None:
    """Say in the chain itself that what follows may lack charges."""
    newest = deque(writer.read(), maxlen=1)[0]
    writer.append("restored", {"reason": reason, "entries": newest.seq, "head": newest.hash})


def _check_place(archive: Archive, folder: SiteFolder) -> None:
    """Nothing is overwritten; what is there and the same needs no writing."""
    if folder.ledger.exists():
        raise RunError(
            "The site has a ledger.",
            where=str(folder.ledger),
            fix="If it is sound, go on with it. If not, move it away, keep it as evidence and run the command again.",
        )
    for name, data in archive.files.items():
        path = folder.path / name
        if path.exists() and not _agrees(path, data, archive, folder):
            raise RunError(
                "A file is there already and is not that of the backup; nothing is ever overwritten.",
                where=str(path),
                fix="Move it away and run the command again, or restore into an empty folder.",
            )


def _agrees(path: Path, data: bytes, archive: Archive, folder: SiteFolder) -> bool:
    """Whether a file is that of the backup, or an egress log that outlived the damage and went on from there."""
    if not path.is_file():
        return False
    state = archive.manifest.egress
    if path != folder.egress_log or state is None:
        return path.read_bytes() == data
    heads = (entry.hash for entry in Chain(path, writable=False).read())
    return next(islice(heads, state.entries - 1, None), "") == state.head


def _require_no_ledger_was_there(folder: SiteFolder) -> None:
    if memories(folder):
        raise TamperedError(
            "The backup has no ledger, and this site had one.",
            where=str(folder.ledger),
            fix="Use a backup that holds the ledger. Nothing was restored.",
        )


def _put(files: Mapping[str, bytes], folder: SiteFolder) -> tuple[str, ...]:
    """Write what is not there yet; private but for the public key."""
    written = [name for name in files if not (folder.path / name).exists()]
    for name in written:
        path = folder.path / name
        for parent in _parents(path, folder):
            parent.mkdir(mode=0o700, exist_ok=True)
        with publish(path, mode=0o644 if path.suffix == ".pub" else 0o600) as place:
            place.write_bytes(files[name])
    return tuple(written)


def _parents(path: Path, folder: SiteFolder) -> Sequence[Path]:
    """Folders between the site's and a file, the outermost first."""
    inside = [parent for parent in path.parents if parent.is_relative_to(folder.path)]
    return inside[::-1][1:]


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _name(folder: SiteFolder, path: Path) -> str:
    return str(path.relative_to(folder.path))


def require_reason(reason: str | None) -> str:
    """Return a written reason, or nothing where there is none to give.

    Raises:
        StudyError: it is too short to tell a later reader anything.
    """
    if reason is not None and len(reason.split()) < 3:
        raise StudyError(
            "A reason is a sentence that the next privacy officer understands.",
            where="--accept-older",
            fix="Say who decided it, and how the missing charges are accounted for.",
        )
    return reason or ""
