"""A ledger as lines of JSON that anyone can check: docs/verify_ledger.py does, with the standard library alone."""

from __future__ import annotations

from pathlib import Path

from client.guard.book import Book
from client.guard.chain import Chain
from client.guard.entries import BrokenChain, Entry, canonical
from common.errors import StudyError
from common.files import write_atomically

_DATABASE = b"SQLite format 3\0"


def require_file(ledger: Path) -> None:
    """Raise StudyError where a path that has to be one ledger is missing or a folder."""
    if ledger.is_dir():
        raise StudyError(
            "A ledger is a file, and this is a folder.",
            where=str(ledger),
            fix="Name the file in it: <site>.ledger.",
        )
    if not ledger.exists():
        raise StudyError("There is no such file.", where=str(ledger), fix="Name a ledger file.")


def lines(ledger: Path) -> list[str]:
    """Return each entry as one line in canonical JSON.

    Raises:
        BrokenChain: the ledger does not hold; nothing is exported then, since a part would look like a whole.
        StudyError: there is no such file.
        MachineError: it cannot be read now.
    """
    require_file(ledger)
    book, written = Book(), list[str]()

    def visit(entry: Entry) -> None:
        book.apply(entry)
        written.append(canonical(vars(entry)) + "\n")

    found = Chain(ledger, writable=False).verify(visit)
    if found.broken_at is not None:
        raise BrokenChain(found.reason, path=ledger, seq=found.broken_at, sound=found.head)
    return written


def to_file(ledger: Path, output: Path) -> None:
    """Write the lines to a file, whole or not at all, readable by its owner only.

    Raises:
        StudyError: the file is a database, such as the ledger itself.
    """
    text = "".join(lines(ledger))
    if _is_database(output):
        raise StudyError(
            "The export would replace a database.",
            where=str(output),
            fix="Choose another --output.",
        )
    write_atomically(output, text, durable=True)


def _is_database(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_DATABASE)) == _DATABASE
