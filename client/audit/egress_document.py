"""An audit of egress logs as a document: totals by study, then the entries, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from client.audit.document import Document, Table, Text, worst
from client.audit.egress_report import EgressReport, Noted

_READING = (
    "An entry is on the disk before the first byte leaves. It names the bytes by their sha256, which the ledger's "
    "settlement names too; the log holds no value of any reply.",
    "A reply that is sent again consists of the same bytes: it tells nothing new and is charged once.",
    "“Kept” is what the guard did not let out: it was not what the study declares. Requests that were refused before "
    "anything was made are in the service's log.",
)


def document(reports: Sequence[EgressReport]) -> Document:
    """Everything that an audit of egress logs found."""
    several = len(reports) > 1
    parts: list[Table | Text] = [_overview(reports)] if several else []
    for report in sorted(reports, key=lambda each: each.verdict == "sound"):
        if not several or report.verdict != "sound":
            parts += _details(report, f" of {_name(report)}" if several else "")
    whose = f"{len(reports):,} sites" if several else _name(reports[0])
    return Document(
        f"What left {whose}",
        worst([report.verdict for report in reports]),
        _summary(reports),
        (*parts, Text("How to read an egress log", _READING)),
        {"logs": [_log(report) for report in reports]},
    )


def _name(report: EgressReport) -> str:
    return report.site or report.path.name


def _summary(reports: Sequence[EgressReport]) -> str:
    bad = [report for report in reports if report.verdict != "sound"]
    if bad:
        of_how_many = f"{len(bad)} of {len(reports)} logs do not hold. " if len(reports) > 1 else ""
        return of_how_many + _problem(bad[0])
    studies = [study for report in reports for study in report.studies]
    replies = sum(study.replies for study in studies)
    sent = sum(study.bytes for study in studies)
    checked = all(report.ledger is not None for report in reports)
    agreed = ", each of them charged in the ledger" if checked else ""
    return f"{replies:,} replies left, {sent:,} bytes in all{agreed}."


def _problem(report: EgressReport) -> str:
    if not report.chain.intact:
        return f"The log of {_name(report)} is broken at entry {report.chain.broken_at}: {report.chain.reason}."
    if report.contradictions:
        return (
            f"Log and ledger of {_name(report)} contradict each other. {report.contradictions[0]}"
        )
    return f"The ledger of {_name(report)} does not hold together."


def _overview(reports: Sequence[EgressReport]) -> Table:
    columns = ("site", "verdict", "studies", "replies", "sent again", "kept", "bytes", "entries")
    return Table("All logs", columns, tuple(_overview_row(report) for report in reports))


def _overview_row(report: EgressReport) -> tuple[str, ...]:
    def total(name: str) -> str:
        return f"{sum(getattr(study, name) for study in report.studies):,}"

    return (
        _name(report),
        report.verdict,
        f"{len(report.studies):,}",
        *map(total, ("replies", "resent", "refused", "bytes")),
        f"{report.chain.entries:,}",
    )


def _details(report: EgressReport, whose: str) -> list[Table | Text]:
    parts: list[Table | Text] = [Text(f"The log{whose}", tuple(_state(report)))]
    if report.contradictions:
        title = f"Contradictions between log and ledger{whose}"
        parts.append(Text(title, report.contradictions))
    if report.studies:
        parts.append(_studies(report, whose))
        parts.append(_entries(report, whose))
    return parts


def _state(report: EgressReport) -> Iterable[str]:
    yield f"{report.path} ({f'site {report.site}' if report.site else 'unknown owner'})"
    if not report.chain.intact:
        yield (
            f"Chain broken at entry {report.chain.broken_at}: {report.chain.reason}. What such a file says proves "
            "nothing, so no figure is given."
        )
        return
    yield f"Chain intact: {report.chain.entries:,} entries, head {report.chain.head}"
    if report.ledger_chain is not None:
        ledger = report.ledger_chain
        state = (
            "intact" if ledger.intact else f"broken at entry {ledger.broken_at}: {ledger.reason}"
        )
        yield f"Compared with {report.ledger}, whose chain is {state}."
    yield from report.notes


def _studies(report: EgressReport, whose: str) -> Table:
    columns = ("study", "replies", "sent again", "kept", "bytes", "weights", "statistics", "last")
    rows = tuple(
        (
            f"{study.study}\n{study.fingerprint[:12]}",
            f"{study.replies:,}",
            f"{study.resent:,}",
            f"{study.refused:,}",
            f"{study.bytes:,}",
            f"{study.parts.get('weights', 0):,}",
            f"{study.parts.get('statistics', 0):,}",
            study.last[:16].replace("T", " ") or "–",
        )
        for study in report.studies
    )
    note = "Bytes of all that left, those sent again included; weights and statistics are their parts. Times are UTC."
    return Table(f"Studies{whose}", columns, rows, note)


def _entries(report: EgressReport, whose: str) -> Table:
    columns = ("entry", "at", "study", "round", "what", "bytes", "sha256")
    rows = tuple(_entry(each) for each in reversed(report.entries))
    return Table(f"Entries, the newest first{whose}", columns, rows)


def _entry(each: Noted) -> tuple[str, ...]:
    release = each.release
    left = "sent again" if release.resent else " and ".join(release.parts) or "nothing"
    what = f"kept: {release.reason}" if release.reason else left
    at = each.at[:19].replace("T", " ")
    sizes = (f"{release.bytes:,}", release.sha256[:12])
    return (f"{each.seq:,}", at, release.study, f"{release.round:,}", what, *sizes)


def _log(report: EgressReport) -> dict[str, Any]:
    return {
        "path": str(report.path),
        "site": report.site,
        "chain": vars(report.chain) | {"intact": report.chain.intact},
        "ledger": None if report.ledger is None else str(report.ledger),
        "ledger_intact": None if report.ledger_chain is None else report.ledger_chain.intact,
        "contradictions": list(report.contradictions),
        "notes": list(report.notes),
        "studies": [vars(study) for study in report.studies],
        "entries": [
            {"entry": each.seq, "at": each.at, **each.release.to_json()} for each in report.entries
        ],
        "verdict": report.verdict,
    }
