"""The claim: a small file beside the data that says which ledger answers for them."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from client.data.files import CLAIM
from client.guard.chain import Chain
from client.guard.publish import publish
from common.errors import BudgetError, ConsiliumError, MachineError, TamperedError
from common.files import explain_os_error, write_atomically

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Owner:
    """A ledger.

    Attributes:
        identity: hash of its first entry.
        path: where it lies; it may move.
        site: whose it is.
    """

    identity: str
    path: Path
    site: str


@dataclass(frozen=True)
class Claim:
    """What a claim says: its own random number, and whose the data are."""

    number: str
    owner: Owner

    def to_json(self) -> str:
        """The file's text."""
        owner = self.owner
        content = {
            "claim": self.number,
            "ledger": owner.identity,
            "path": str(owner.path),
            "site": owner.site,
        }
        return json.dumps(content, indent=1) + "\n"


def claim(data: Path, part: str, owner: Owner) -> str | None:
    """Claim data for a ledger, or find them claimed for it already.

    Args:
        data: file or folder; links are followed.
        part: of one file that is cut into several sites; empty: all of it.
        owner: the ledger.

    Returns:
        The claim's number; None where the folder cannot be written.

    Raises:
        BudgetError: another ledger, or another copy of this one, answers for the data.
        TamperedError: a claim is there but damaged.
        MachineError: a claim is there but cannot be read.
    """
    owner = Owner(owner.identity, owner.path.resolve(), owner.site)
    data = data.resolve()
    for above in data.parents:
        _check_above(_marker(above, ""), owner)
    marker = _marker(data, part)
    if not marker.exists() and not _write(marker, owner):
        return None
    found = _read(marker)
    _require_owner(found, owner, marker)
    if found.owner != owner:  # the ledger was moved; the claim follows when it can
        with suppress(MachineError):
            write_atomically(marker, Claim(found.number, owner).to_json(), mode=0o644)
    return found.number


def _marker(data: Path, part: str) -> Path:
    cut = f".part-{part.replace('/', '-of-')}" if part else ""
    return data.parent / f".{data.name}{cut}{CLAIM}"


def _check_above(marker: Path, owner: Owner) -> None:
    if marker.exists():
        _require_owner(_read(marker), owner, marker)


def _write(marker: Path, owner: Owner) -> bool:
    """Make the claim unless there is one; False where the folder cannot be written."""
    try:
        with publish(marker, mode=0o644) as draft:
            draft.write_text(Claim(os.urandom(16).hex(), owner).to_json(), encoding="utf-8")
    except OSError as error:
        if error.errno in _NOT_WRITABLE:
            return False
        raise explain_os_error(error, marker) from error
    return True


def _read(marker: Path) -> Claim:
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
        number, ledger, path, site = (content[k] for k in ("claim", "ledger", "path", "site"))
        if not all(isinstance(text, str) and text for text in (number, ledger, path, site)):
            raise TypeError("a text is missing")
        return Claim(number, Owner(ledger, Path(path), site))
    except OSError as error:
        raise MachineError(
            f"The claim beside the data cannot be read: {error.strerror}.",
            where=str(marker),
            fix="Give the agent's user the right to read it.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise TamperedError(
            "The claim beside the data is damaged, so that nobody knows which ledger answers for them.",
            where=str(marker),
            fix="Find the ledger that has charges for these data before you remove the file; its agent writes it anew.",
        ) from error


def _require_owner(found: Claim, mine: Owner, marker: Path) -> None:
    theirs = found.owner
    if theirs.identity != mine.identity:
        raise BudgetError(
            f"Another ledger answers for the data: '{theirs.path}' of site '{theirs.site}'. With a second one, "
            f"'{mine.path}' of site '{mine.site}', their patients would have two budgets.",
            where=str(marker),
            fix="Work with the first ledger. If it is lost, account for what it held (`consilium audit witness` shows "
            "what left) before anybody removes the claim.",
        )
    if theirs.path != mine.path and _is_copy(theirs, mine):
        raise BudgetError(
            f"The ledger is there twice: '{theirs.path}' and '{mine.path}'. Each would know half of what is spent.",
            where=str(marker),
            fix="Go on with the copy that has more entries, and move the other one away.",
        )


def _is_copy(theirs: Owner, mine: Owner) -> bool:
    """Whether the ledger is still at its former place, too."""
    try:
        if theirs.path.samefile(mine.path):
            return False
        first = next(islice(Chain(theirs.path, writable=False).read(), 1), None)
    except (OSError, ConsiliumError):
        return False
    return first is not None and first.hash == mine.identity
