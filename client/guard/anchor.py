"""The site's own memory of its ledger's newest entry, kept outside the ledger.

A ledger that was copied back from a backup is a sound chain and forgets what was spent since. The site notices because
it remembers a later entry. The memory is written after the ledger, so a crash in between leaves it behind the ledger,
never ahead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from client.guard.chain import Chain
from client.guard.entries import BrokenChain
from common.errors import TamperedError
from common.files import write_atomically

FILE = "ledger-head.json"


class Anchor:
    """Remembers the newest settled entry in several places, none of which is the ledger.

    Args:
        files: where; any of them may be lost, and each that is there must agree.
    """

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self.files = tuple(files)

    def keep(self, entries: int, head: str) -> None:
        """Remember the hash of entry number `entries`, which the ledger's disk has already."""
        text = json.dumps({"entries": entries, "head": head}) + "\n"
        for file in self.files:
            write_atomically(file, text, durable=True)

    def check(self, chain: Chain) -> None:
        """Refuse a ledger that lacks what is remembered.

        Raises:
            TamperedError: the ledger is gone, older than the memory or another one; or the memory is damaged.
        """
        for file in self.files:
            if file.exists():
                _check(file, *remembered(file), chain)


def remembered(file: Path) -> tuple[int, str]:
    """Return number and hash of the entry that one file remembers.

    Raises:
        TamperedError: the file is damaged.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        entries, head = content["entries"], content["head"]
        if type(entries) is not int or entries < 1 or not isinstance(head, str):
            raise ValueError("not a number and a hash")
        return entries, head
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TamperedError(
            "The site's memory of its ledger's newest entry cannot be read.",
            where=str(file),
            fix="Compare the ledger with the coordinator's run (`consilium audit witness`); then remove this file.",
        ) from error


def _check(file: Path, entries: int, head: str, chain: Chain) -> None:
    if not chain.path.exists():
        raise _gone(f"The ledger is missing, and it had {entries} entries", file, chain)
    try:
        for _ in chain.read(after=entries, previous=head):
            break
    except BrokenChain as error:
        if error.seq != entries:  # something after it is broken, which is another story
            raise
        problem = f"The ledger does not hold entry {entries} as this site knows it: an older copy was put back"
        raise _gone(f"{problem}, or entries were removed", file, chain) from error


def _gone(what: str, file: Path, chain: Chain) -> TamperedError:
    return TamperedError(
        f"{what}. Going on would forget what was spent since.",
        where=str(chain.path),
        fix="Put the newest copy back. Where there is none, `consilium audit witness` shows which rounds are missing; "
        f"once the privacy officer has accounted for them, remove {file}.",
    )
