"""What egress logs say, verified, and compared with the ledgers beside them. Reads files; prints and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.audit.document import Verdict
from client.audit.egress_compare import Contradiction, compare
from client.guard.book import Book
from client.guard.chain import Chain, Verified
from client.guard.clock import Setback, setback
from client.guard.egress_log import EgressBook, Release
from client.guard.entries import Entry
from common.errors import StudyError


@dataclass(frozen=True)
class Noted:
    """An entry that is about a reply.

    Attributes:
        seq, at: number and time of the entry.
        release: what it says.
    """

    seq: int
    at: str
    release: Release


@dataclass(frozen=True)
class StudyEgress:
    """What left for one study.

    Attributes:
        study, fingerprint: which.
        replies, resent, refused: new replies, replies that left once more, and replies that the guard kept.
        bytes, parts: of all that left, re-sends included; the same by part.
        last: when something left last; empty: never.
    """

    study: str
    fingerprint: str
    replies: int
    resent: int
    refused: int
    bytes: int
    parts: dict[str, int]
    last: str


@dataclass(frozen=True)
class EgressReport:
    """One log. What a log says that does not hold together proves nothing, so it has no figures then.

    Attributes:
        path, chain: the file, and whether it holds together.
        site: whose it is.
        entries: the replies, oldest first.
        studies: totals.
        ledger, ledger_chain: the ledger that it was compared with, and whether that holds; None: there is none.
        contradictions: between the two.
        notes: what a reader has to know.
    """

    path: Path
    chain: Verified
    site: str = ""
    entries: tuple[Noted, ...] = ()
    studies: tuple[StudyEgress, ...] = ()
    ledger: Path | None = None
    ledger_chain: Verified | None = None
    contradictions: tuple[Contradiction, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What to think of it."""
        broken = self.ledger_chain is not None and not self.ledger_chain.intact
        sound = self.chain.intact and not broken and not self.contradictions
        return "sound" if sound else "tampered"


def audit(path: Path) -> tuple[EgressReport, ...]:
    """Verify the logs below `path` and compare each with its ledger.

    Args:
        path: an egress log, the folder of a site, or the folder of a simulated run.

    Raises:
        StudyError: there is no such file, or no log in the folder.
        MachineError: a file cannot be read now.
    """
    return tuple(_read(log) for log in find_logs(path))


def find_logs(path: Path) -> list[Path]:
    """The egress logs that `path` names or contains.

    Raises:
        StudyError: there is none.
    """
    if path.is_dir():
        places = [path / ".consilium", path / "egress"]
        place = next((each for each in places if each.is_dir()), path)
        found = sorted(each for each in place.rglob("*.egress") if each.is_file())
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise StudyError(
            "There is no egress log." if path.exists() else "There is no such file or folder.",
            where=str(path),
            fix="Name the folder of site.toml, the folder of a run, or a *.egress file. A simulation of more than 100 "
            "sites keeps none.",
        )
    return found


def ledger_of(log: Path) -> Path | None:
    """The ledger beside a log: of the same name, or in the run's folder of ledgers."""
    name = f"{log.stem}.ledger"
    places = (log.with_name(name), log.parent.parent / "ledgers" / name)
    return next((place for place in places if place.is_file()), None)


def _read(log: Path) -> EgressReport:
    # The log first: a reply that leaves in between is then in the ledger only, and known to be in hand.
    book, entries, setbacks = EgressBook(), [], _Setbacks()

    def visit(entry: Entry) -> None:
        release = book.apply(entry)
        setbacks.see(entry)
        if release is not None:
            entries.append(Noted(entry.seq, entry.at, release))

    chain = Chain(log, writable=False).verify(visit)
    if not chain.intact:
        return EgressReport(log, chain, book.site)
    ledger = ledger_of(log)
    charged = Book()
    ledger_chain = None if ledger is None else Chain(ledger, writable=False).verify(charged.apply)
    report = EgressReport(
        log,
        chain,
        site=book.site,
        entries=tuple(entries),
        studies=_totals(entries),
        ledger=ledger,
        ledger_chain=ledger_chain,
        notes=tuple(_notes(ledger, setbacks.found)),
    )
    return report
