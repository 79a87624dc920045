"""An audit of ledgers on the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from client.audit.ledger_report import (
    ADJACENCY,
    AuditReport,
    LedgerReport,
    Release,
    Steps,
    StudySpend,
)
from common.privacy.accountants import Epsilons

_STYLES = {"sound": "bold green", "over budget": "bold red", "tampered": "bold white on red"}


def show(report: AuditReport, console: Console) -> None:
    """Print a table for each ledger, then the verdict."""
    for one in report.ledgers:
        _show_ledger(one, console)
    for note in report.notes:
        console.print(f"[yellow]Note[/] {escape(note)}")
    console.print(
        f"ε by PLD is the figure of record; PRV and RDP are checks. Adjacency: {ADJACENCY}. "
        "Entries cut off at the end show only to whoever kept a later head.",
        style="dim",
    )
    console.print("Verdict: ", Text(report.verdict, style=_STYLES[report.verdict]), sep="")


def _show_ledger(one: LedgerReport, console: Console) -> None:
    whose = f"site {one.site}, population {one.population}" if one.site else "unknown owner"
    console.print(Text(str(one.path), style="bold"), Text(f"({whose})"))
    if not one.chain.intact:
        console.print(
            f"[bold red]Chain broken[/] at entry {one.chain.broken_at}: {escape(one.chain.reason)}."
            " What such a file says proves nothing, so no figure is given."
        )
        console.print()
        return
    console.print(f"Chain intact: {one.chain.entries} entries, head {one.chain.head}", style="dim")
    console.print(_table(one))
    for line in _remarks(one):
        console.print(line)
    console.print()


def _table(one: LedgerReport) -> Table:
    table = Table(show_footer=True)
    table.add_column("study", footer="all studies")
    table.add_column("rounds", justify="right")
    table.add_column("mechanisms")
    table.add_column("δ", justify="right", footer="" if one.delta is None else f"{one.delta:g}")
    total = one.total or Epsilons(0.0, 0.0, 0.0)
    for name, value in (("PLD", total.pld), ("PRV", total.prv), ("RDP", total.rdp)):
        table.add_column(f"ε {name}", justify="right", footer=_figure(value))
    for study in one.studies:
        table.add_row(*_row(study))
    return table


def _row(study: StudySpend) -> list[str]:
    name = f"{study.study}\n{study.fingerprint[:12]}"
    if study.randomness != "system":
        name += f"\n{study.randomness} randomness"
    value = study.epsilon
    figures = (_figure(each) for each in (value.pld, value.prv, value.rdp))
    parts = "\n".join(_mechanism(part) for part in study.events) or "none"
    return [escape(name), str(study.rounds), parts, f"{study.delta:g}", *figures]


def _mechanism(part: Steps) -> str:
    event = part.event
    how = f"q {event.sampling_rate}, " if event.sampler == "poisson" else "all patients, "
    text = f"{part.role}: {part.steps} × {how}σ {event.noise_multiplier:g}, C {event.clip_norm:g}"
    return f"{text} ({part.unsettled_steps} unsettled)" if part.unsettled_steps else text


def _remarks(one: LedgerReport) -> list[str]:
    lines = []
    if one.budget is not None:
        word = "[bold red]over[/]" if one.exceeded else "[green]within[/]"
        limit = _figure(one.budget.max_epsilon)
        lines.append(f"Budget: {word} ε = {limit} at δ = {one.budget.delta:g}")
    lines += [f"[bold red]Without noise[/]: {_release(what)}" for what in one.unprotected]
    lines += [
        f"[yellow]Declared public by the site's policy[/]: {_release(what)}"
        for what in one.declared_public
    ]
    if one.total is not None and one.total.prv is None:
        lines.append(f"[yellow]Note[/] No PRV figure: {escape(one.total.prv_note)}")
    return lines + [f"[yellow]Note[/] {escape(note)}" for note in one.notes]


def _release(what: Release) -> str:
    return escape(f"{what.what}, {what.releases} release(s) in {what.study}")


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if math.isfinite(value) else "∞"
