"""What egress logs say, verified, and compared with the ledgers beside them. Reads files and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.audit.document import Verdict
from client.audit.egress_compare import Charged, compare, cut, in_doubt
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
    contradictions: tuple[str, ...] = ()
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
    """Read a log and its ledger; the site may go on meanwhile, which must not look like a contradiction."""
    known = Chain(log, writable=False).verify().entries
    ledger = ledger_of(log)
    charged = Charged()
    ledger_chain = None if ledger is None else Chain(ledger, writable=False).verify(charged.apply)
    reading = _Reading()
    chain = Chain(log, writable=False).verify(reading.visit)
    if not chain.intact:
        return EgressReport(log, chain, reading.book.site, ledger=ledger, ledger_chain=ledger_chain)
    comparable = ledger_chain is not None and ledger_chain.intact
    return EgressReport(
        log,
        chain,
        site=reading.book.site,
        entries=tuple(reading.entries),
        studies=_totals(reading.entries),
        ledger=ledger,
        ledger_chain=ledger_chain,
        contradictions=_contradictions(charged, reading, known) if comparable else (),
        notes=tuple(_notes(ledger, charged if comparable else None, reading)),
    )


class _Reading:
    """A log, as far as it was read."""

    def __init__(self) -> None:
        self.book = EgressBook()
        self.entries: list[Noted] = []
        self.hashes: dict[int, str] = {}
        self.setbacks: list[Setback] = []
        self._at = ""

    @property
    def left(self) -> list[Noted]:
        """The entries about what left."""
        return [each for each in self.entries if not each.release.reason]

    def visit(self, entry: Entry) -> None:
        """Read the next entry."""
        release = self.book.apply(entry)
        self.hashes[entry.seq] = entry.hash
        self.setbacks += setback(self._at, entry)
        self._at = entry.at
        if release is not None:
            self.entries.append(Noted(entry.seq, entry.at, release))


def _contradictions(charged: Charged, reading: _Reading, known: int) -> tuple[str, ...]:
    site, owner = reading.book.site, charged.book.site
    strangers = (f"The log is that of '{site}', the ledger that of '{owner}'.",)
    left = ((each.seq, each.release) for each in reading.left)
    found = cut(charged, reading.hashes) + compare(charged, left, known)
    return found if site == owner else strangers + found


def _totals(entries: Sequence[Noted]) -> tuple[StudyEgress, ...]:
    """Totals by study, in the order of their first entries."""
    found: dict[tuple[str, str], list[Noted]] = {}
    for each in entries:
        found.setdefault((each.release.study, each.release.fingerprint), []).append(each)
    return tuple(_total(*study, group) for study, group in found.items())


def _total(study: str, fingerprint: str, group: Sequence[Noted]) -> StudyEgress:
    left = [each for each in group if not each.release.reason]
    parts: Counter[str] = Counter()
    for each in left:
        parts.update(each.release.parts)
    resent = sum(each.release.resent for each in left)
    return StudyEgress(
        study,
        fingerprint,
        replies=len(left) - resent,
        resent=resent,
        refused=len(group) - len(left),
        bytes=sum(each.release.bytes for each in left),
        parts=dict(parts),
        last=left[-1].at if left else "",
    )


def _unmarked(charged: Charged, reading: _Reading) -> Iterable[str]:
    """What the ledger does not remember yet, so that nobody would miss it."""
    last = max((mark.entries for mark in charged.book.marks.values()), default=0)
    later = sum(each.seq > last for each in reading.entries)
    if later:
        yield (
            f"{later} of {len(reading.entries)} entries about replies are newer than what the ledger remembers of the "
            "log; its next settlement covers them."
        )


def _notes(ledger: Path | None, charged: Charged | None, reading: _Reading) -> Iterable[str]:
    if ledger is None:
        yield "No ledger lies beside the log, so that it could not be compared with what was charged."
    if charged is not None:
        waiting = in_doubt(charged, (each.release for each in reading.left))
        if waiting:
            yield (
                f"{waiting} release(s) were noted and their charge was never settled: the service was stopped in "
                "between. They are charged in full, whether they left or not."
            )
    if reading.setbacks:
        more = len(reading.setbacks) - 1
        yield f"The clock was set back: {reading.setbacks[0]}{f' (and {more} more)' if more else ''}."
    if charged is not None:
        yield from _unmarked(charged, reading)
