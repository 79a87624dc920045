"""What a person sees of a running site."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from common.proto import site_control_pb2 as pb


def console(*, soft_wrap: bool = False) -> Console:
    """Return a console on which what others wrote stays as it is: no emoji, no colours of its own."""
    return Console(emoji=False, highlight=False, soft_wrap=soft_wrap)


def status_view(status: pb.SiteStatus) -> RenderableType:
    """Draw the status of a site: what it does, whom it reaches, and what is wrong."""
    parts: list[RenderableType] = [_heading(status)]
    if status.links:
        parts.append(_links(status))
    if status.work:
        parts.append(_work(status))
    parts.append(
        f"since the start: {status.answered} tasks answered, {status.refused} refused, "
        f"{size(status.bytes_sent)} sent"
    )
    parts.extend(health_lines(status.health))
    return Group(*parts)


def health_lines(health: pb.Health) -> list[RenderableType]:
    """Say what is wrong and how to mend it, line by line."""
    lines: list[RenderableType] = []
    for reason in health.reasons:
        lines.append(f"[red]✗[/] {escape(reason.problem)}")
        if reason.fix:
            lines.append(f"  [dim]fix:[/] {escape(reason.fix)}")
    lines += [f"[yellow]![/] {escape(note)}" for note in health.notes]
    return lines


def budget_view(lines: Iterable[pb.BudgetLine]) -> Table:
    """Draw what each population has spent."""
    table = Table(caption="ε by PLD, for adding or removing one patient")
    for heading in ("patients", "spent ε", "limit", "left", "δ", "studies"):
        table.add_column(heading, justify="left" if heading in ("patients", "studies") else "right")
    for line in lines:
        table.add_row(
            escape(line.population or "whole site"),
            amount(line.epsilon),
            amount(line.limit),
            amount(line.left),
            f"{line.delta:g}",
            escape(", ".join(line.studies) or "none yet"),
            style="red" if line.epsilon > line.limit else "",
        )
    return table


def event_line(event: pb.Event) -> Text:
    """Return one event as a line."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at))
    about = " · ".join(word for word in (event.connection, event.study) if word)
    colour = {"refused": "yellow", "failed": "red"}.get(event.kind, "cyan")
    return Text.assemble(
        (at, "dim"), "  ", (f"{event.kind:<9}", colour), f"{about}: " if about else "", event.text
    )


def amount(epsilon: float) -> str:
    """Return an ε for people."""
    return f"{epsilon:.4g}" if math.isfinite(epsilon) else "∞"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def ago(when: float, now: float) -> str:
    """Return how long ago something was."""
    if not when:
        return "—"
    seconds = max(0.0, now - when)
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


def _heading(status: pb.SiteStatus) -> str:
    if status.stopping:
        word = "[yellow]stopping[/]"
    elif status.paused:
        word = "[yellow]paused[/]"
    elif status.health.progress:
        word = "[green]healthy[/]"
    elif status.health.ready:
        word = "[yellow]ready, but not all is well[/]"
    else:
        word = "[red]not healthy[/]"
    since = ago(status.started, status.at)
    return f"[bold]{escape(status.site)}[/]: {word}, started {since}"


def _links(status: pb.SiteStatus) -> Table:
    table = Table("coordinator", "server", "last contact", "SuperNode", "note")
    for link in status.links:
        contact = ago(link.contact, status.at) if link.contact else "not known"
        polled = ago(link.polled, status.at) if link.polled else "never"
        table.add_row(*map(escape, (link.connection, link.server, contact, polled, link.problem)))
    return table


def _work(status: pb.SiteStatus) -> Table:
    table = Table("coordinator", "study", "round", "doing", "step", "last step")
    for work in status.work:
        step = f"{work.step} of {work.steps}" if work.steps else "—"
        moved = ago(work.moved, status.at)
        words = (work.connection, work.study, str(work.round), work.doing, step, moved)
        table.add_row(*map(escape, words))
    return table
