"""An audit of ledgers as a document: an overview of all, then the details of the worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from client.audit.document import EXIT_CODES, Document, Plot, Table, Text
from client.audit.ledger_curve import spending, standing
from client.audit.ledger_json import to_json
from client.audit.ledger_parts import figure, parts, standing_line
from client.audit.ledger_report import ADJACENCY, AuditReport, LedgerReport

DETAILED = 6
PLOTTED = 3

_READING = (
    f"ε by PLD is the figure of record; PRV and RDP are checks. Adjacency: {ADJACENCY}.",
    "A ledger stores what ran, never ε: all figures were computed anew by this audit, from the mechanisms listed.",
    "Entries cut off at the end show only to whoever kept a later head: compare it with `consilium audit witness`.",
)


def document(report: AuditReport, *, plots: bool = True) -> Document:
    """Everything that an audit of ledgers found.

    Args:
        report: what was found.
        plots: whether to draw the course of spending, which needs many more figures.
    """
    ranked = sorted(report.ledgers, key=_badness, reverse=True)
    several = len(ranked) > 1
    found: list[Table | Plot | Text] = []
    if report.notes:
        found.append(Text("Notes on all ledgers", report.notes))
    if several:
        found += _overview(ranked, plots=plots)
    shown = sorted(ranked[:DETAILED], key=report.ledgers.index)
    plotted = ranked[:PLOTTED] if plots else []
    for one in shown:
        curve = spending(one, several=several) if any(one is each for each in plotted) else None
        found += parts(one, curve, several=several)
    left_out = len(ranked) - len(shown)
    if left_out:
        found.append(Text("Left out here", (_left_out(left_out),)))
    return Document(
        _title(report.ledgers),
        report.verdict,
        _summary(report, ranked),
        (*found, Text("How to read a ledger", _READING)),
        to_json(report),
    )


def _badness(one: LedgerReport) -> tuple[int, float]:
    return EXIT_CODES[one.verdict], one.total.pld if one.total else 0.0


def _title(ledgers: Sequence[LedgerReport]) -> str:
    if len(ledgers) == 1:
        return f"Privacy ledger of {ledgers[0].site or ledgers[0].path.name}"
    return f"{len(ledgers):,} privacy ledgers"


def _summary(report: AuditReport, ranked: Sequence[LedgerReport]) -> str:
    if len(ranked) == 1:
        return standing_line(ranked[0])
    if report.contradictions:
        return f"These ledgers contradict each other. {report.contradictions[0]}"
    if report.verdict == "sound":
        return f"All {len(ranked):,} ledgers are sound. At most: {standing_line(ranked[0])}"
    counts = Counter(one.verdict for one in ranked)
    said = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in EXIT_CODES if counts[verdict])
    return f"Of {len(ranked):,} ledgers: {said}. {standing_line(ranked[0])}"


def _overview(ranked: Sequence[LedgerReport], *, plots: bool) -> list[Table | Plot | Text]:
    columns = ("site", "verdict", "studies", "ε PLD", "δ", "budget ε", "entries")
    rows = tuple(_overview_row(one) for one in ranked)
    table = Table("All ledgers, the worst first", columns, rows)
    plot = standing(ranked) if plots and len(ranked) > PLOTTED else None
    return [table, plot] if plot else [table]


def _overview_row(one: LedgerReport) -> tuple[str, ...]:
    spent = one.total.pld if one.total else None
    return (
        one.site or one.path.name,
        one.verdict,
        f"{len(one.studies):,}",
        figure(spent),
        "–" if one.delta is None else f"{one.delta:g}",
        "–" if one.budget is None else f"{one.budget.max_epsilon:g}",
        f"{one.chain.entries:,}",
    )


def _left_out(count: int) -> str:
    return f"{count:,} more ledgers are in the table above; --json has the details of every one, or name its file."
