"""Compares sites' ledgers with what the coordinator saw of them. Reads files; prints and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.audit.document import Document, Table, Text, Verdict
from client.audit.ledger_report import find_ledgers
from client.guard.book import Book
from client.guard.chain import Chain, Verified
from client.guard.entries import Entry
from common import witness
from common.errors import RunError, StudyError
from common.study_file import load_study
from common.witness import Witnessed

_READING = (
    "Every reply of a site brings the hash of its ledger's newest entry. Each of these hashes must be in the ledger, "
    "later ones after earlier ones, and each reply that held anything about patients must have been settled before it "
    "left.",
    "A ledger that lacks a hash was replaced by an older copy, cut, or written anew: what was spent in between is "
    "forgotten by the site but not by its patients. Go back to a copy that passes; where there is none, the site's "
    "privacy officer has to count the missing rounds as spent.",
)


@dataclass
class Trace:
    """A ledger, as far as a witness can check it.

    Attributes:
        path: the file.
        book: what it says.
        places: entry number by hash.
        releases: study and round → number of the entry that first settled something that left.
        chain: whether it holds together.
    """

    path: Path
    book: Book = field(default_factory=Book)
    places: dict[str, int] = field(default_factory=dict)
    releases: dict[tuple[str, int], int] = field(default_factory=dict)
    chain: Verified = field(init=False)

    def __post_init__(self) -> None:
        self.chain = Chain(self.path, writable=False).verify(self._visit)

    def _visit(self, entry: Entry) -> None:
        self.book.apply(entry)
        self.places[entry.hash] = entry.seq
        if entry.kind == "settle" and entry.body["released"] is not None:
            made = self.book.reservation(entry.body["key"])
            if made is not None:
                self.releases.setdefault((made.fingerprint, made.round), entry.seq)


@dataclass(frozen=True)
class Comparison:
    """What became of one ledger.

    Attributes:
        site: whose it says it is; empty where it cannot be read.
        path: the file.
        entries: sound entries in it.
        replies: how often the coordinator heard from the site.
        missing: rounds whose heads the ledger lacks.
        problems: what does not agree, in sentences; none: it agrees.
    """

    site: str
    path: Path
    entries: int
    replies: int
    missing: tuple[int, ...]
    problems: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Tampered where anything does not agree."""
        return "tampered" if self.problems else "sound"

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "site": self.site,
            "path": str(self.path),
            "entries": self.entries,
            "replies": self.replies,
            "missing_rounds": list(self.missing),
            "problems": list(self.problems),
            "verdict": self.verdict,
        }


def audit(paths: Iterable[Path], run: Path) -> Document:
    """Compare ledgers with a coordinator's run.

    Args:
        paths: ledger files, or folders that are searched for them.
        run: the run's folder, as the coordinator keeps it.

    Raises:
        StudyError: a path holds no ledger, or none is of a site of the run.
        RunError: the run has no record of replies, or a damaged one.
        MachineError: a ledger cannot be read now.
    """
    files = witness.read(run)
    fingerprint = _fingerprint(run)
    heard = {reply.site for file in files for reply in file}
    traces = [Trace(path) for path in find_ledgers(paths)]
    known = [trace for trace in traces if trace.book.site in heard or not trace.chain.intact]
    if not known:
        raise StudyError(
            "None of these ledgers is of a site of the run.",
            where=str(run),
            fix=f"The run heard from: {', '.join(sorted(heard)) or 'nobody'}.",
        )
    doubled = _doubled(known)
    compared = [compare(trace, files, fingerprint, doubled) for trace in known]
    left_out = _left_out(heard, traces)
    return _document(compared, left_out, run, fingerprint)


def compare(
    trace: Trace,
    files: Sequence[Sequence[Witnessed]],
    fingerprint: str,
    doubled: Mapping[str, str] = {},
) -> Comparison:
    """Compare one ledger with every file of witnessed replies."""
    mine = [[reply for reply in file if reply.site == trace.book.site] for file in files]
    every = [reply for file in mine for reply in file]
    lost = tuple(sorted({each.round for each in every if each.head not in trace.places}))
    problems: dict[str, None] = {}
    if not trace.chain.intact:
        problems[
            f"Entry {trace.chain.broken_at} does not hold: {trace.chain.reason.rstrip('.')}."
        ] = None
    elif lost:
        problems[_gap(trace, every, lost)] = None
    if trace.chain.intact:
        problems |= dict.fromkeys(problem for file in mine for problem in _order(trace, file))
        problems |= dict.fromkeys(_unsettled(trace, every, fingerprint))
    if trace.book.site in doubled:
        problems[doubled[trace.book.site]] = None
    replies = max((len(file) for file in mine), default=0)
    return Comparison(
        trace.book.site, trace.path, trace.chain.entries, replies, lost, tuple(problems)
    )


def _gap(trace: Trace, replies: Sequence[Witnessed], lost: tuple[int, ...]) -> str:
    """Say what is missing, and how that can have come."""
    found = [reply.round for reply in replies if reply.head in trace.places]
    if not found:
        return (
            f"None of the {len({reply.head for reply in replies})} heads that the coordinator saw is among its "
            f"{trace.chain.entries} entries: it is a copy from before the run, or not the ledger of these rounds."
        )
    if max(found) > min(lost):
        return (
            f"The charges of {_rounds(lost)} are missing although later ones are there: an older copy was put back and "
            "charged on from there."
        )
    return (
        f"The chain ends at entry {trace.chain.entries}; the charges of {_rounds(lost)}, which the coordinator saw, "
        "are missing: an older copy was put back, or the newest entries were cut off."
    )


def _order(trace: Trace, replies: Sequence[Witnessed]) -> Iterable[str]:
    """The replies in the order in which they came must show the chain growing."""
    highest, shown = 0, 0
    for reply in replies:
        place = trace.places.get(reply.head)
        if place is None:
            continue
        if place < highest:
            yield (
                f"With round {reply.round} the ledger ended at entry {place}; it had shown entry {highest} with round "
                f"{shown} before. An older copy was in use, or the coordinator's record was changed."
            )
        highest, shown = max((highest, shown), (place, reply.round))


def _unsettled(trace: Trace, replies: Sequence[Witnessed], fingerprint: str) -> Iterable[str]:
    """Rounds whose replies held patients' content without an entry that settled it before."""
    late = set()
    for reply in replies:
        place = trace.places.get(reply.head)
        settled = trace.releases.get((fingerprint, reply.round))
        if reply.bytes_sent and place is not None and (settled is None or settled > place):
            late.add(reply.round)
    if late:
        yield f"The ledger has no settled charge for what left with {_rounds(sorted(late))}."


def _doubled(traces: Sequence[Trace]) -> dict[str, str]:
    """Sites of which more than one ledger was given."""
    places: dict[str, list[str]] = {}
    for trace in traces:
        if trace.book.site:
            places.setdefault(trace.book.site, []).append(str(trace.path))
    return {
        site: f"Two ledgers for one population: {' and '.join(found)}."
        for site, found in places.items()
        if len(found) > 1
    }


def _left_out(heard: set[str], traces: Sequence[Trace]) -> list[str]:
    given = {trace.book.site for trace in traces}
    silent = [
        f"The run has no reply of site '{trace.book.site}' ({trace.path})."
        for trace in traces
        if trace.chain.intact and trace.book.site not in heard
    ]
    return [f"No ledger of site '{site}' was given." for site in sorted(heard - given)] + silent


def _fingerprint(run: Path) -> str:
    file = run / "study.toml"
    if not file.is_file():
        raise RunError(
            "The run folder has no study.",
            where=str(file),
            fix="Name the coordinator's run folder as it was written.",
        )
    return load_study(file).fingerprint


def _document(
    compared: Sequence[Comparison], left_out: Sequence[str], run: Path, fingerprint: str
) -> Document:
    bad = [made for made in compared if made.problems]
    verdict: Verdict = "tampered" if bad else "sound"
    count = f"{len(compared)} ledger{'s' if len(compared) > 1 else ''}"
    one = len(compared) == 1
    summary = (
        f"{len(bad)} of {count} {'does' if len(bad) == 1 else 'do'} not hold what the coordinator saw."
        if bad
        else f"{count} {'holds' if one else 'hold'} everything that the coordinator saw of {'it' if one else 'them'}."
    )
    rows = tuple(
        (
            made.site or "?",
            str(made.replies),
            str(made.entries),
            " ".join(made.problems) or "agrees",
        )
        for made in compared
    )
    table = Table("Ledgers", ("site", "replies heard", "entries", "finding"), rows)
    notes = (Text("Not compared", tuple(left_out)),) if left_out else ()
    data = {
        "run": str(run),
        "fingerprint": fingerprint,
        "ledgers": [made.to_json() for made in compared],
        "notes": list(left_out),
    }
    parts = (table, *notes, Text("How to read this", _READING))
    return Document("Ledgers and the coordinator's witness", verdict, summary, parts, data)


def _rounds(numbers: Sequence[int]) -> str:
    """Name rounds in words: "round 3", "rounds 1, 3–5"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in spans)
    return f"round{'s' if len(numbers) > 1 else ''} {text}"
