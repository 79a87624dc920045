"""What a person sees while a simulation runs: round, site, step, loss, ε so far, and a closing table."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console as Terminal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from common.errors import Interrupted
from common.study import Study
from server.listener import Listener
from server.members import Member

MOST_BARS = 12


class Stopped(Interrupted):
    """The person at the keyboard stopped the run."""


class Steps:
    """Progress of one site in one round; ends the round when the run is stopped."""

    def __init__(self, console: Console, site: str) -> None:
        self.console = console
        self.site = site

    def step(self, taken: int, planned: int) -> None:
        """Show the step; raise `Interrupted` once the run is stopped."""
        if self.console.stopping.is_set():
            raise Interrupted("The round was stopped before anything left the site.")
        self.console.show_step(self.site, taken, planned)

    def loss(self, value: float) -> None:
        """Show the training loss of the step."""
        self.console.show_loss(self.site, value)


class Console(Listener):
    """Progress bars, notes and tables on the terminal.

    Args:
        quiet: print errors only.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.terminal = Terminal(quiet=quiet)
        self.stopping = threading.Event()
        self.began = False
        self._bars: Progress | None = None
        self._rounds = TaskID(0)
        self._sites: dict[str, TaskID] = {}
        self._headline = ""

    @contextmanager
    def running(self, study: Study) -> Iterator[None]:
        """Show bars while a study runs; tells the sites to stop when the block is left by an exception."""
        self.stopping.clear()
        self.began = False
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.terminal, transient=True) as bars:
            self._bars, self._sites = bars, {}
            self._rounds = bars.add_task(
                "round", total=study.federation.rounds, said="reading the sites' data"
            )
            try:
                yield
            except BaseException:
                self.stopping.set()
                raise
            finally:
                self._bars = None

    def watch(self, site: str, round_: int) -> Steps:
        """Return the progress of a site's round."""
        del round_
        return Steps(self, site)

    def ready(self, members: list[Member], first_round: int) -> None:
        """Show a bar for every site, where there are few."""
        if self._bars is None:
            return
        self._bars.update(self._rounds, completed=first_round - 1, said="")
        for member in members[:MOST_BARS] if len(members) <= MOST_BARS else []:
            self._sites[member.name] = self._bars.add_task(member.name, total=None, said="")

    def round_started(self, round_: int, sites: list[str]) -> None:
        """Empty the sites' bars."""
        self.began = True
        if self._bars is not None:
            for site in sites:
                if site in self._sites:
                    self._bars.reset(self._sites[site], said="")

    def show_step(self, site: str, taken: int, planned: int) -> None:
        """Move a site's bar."""
        if self._bars is not None and site in self._sites:
            self._bars.update(self._sites[site], completed=taken + 1, total=planned)

    def show_loss(self, site: str, value: float) -> None:
        """Show a site's training loss beside its bar."""
        if self._bars is not None and site in self._sites:
            self._bars.update(self._sites[site], said=f"loss {number(value)}")

    def round_finished(self, record: dict[str, Any]) -> None:
        """Show the metrics of the model that entered the round, and ε so far."""
        for site, reason in record["failures"].items():
            self.note(f"round {record['round']}: {site} did not take part: {reason}")
        if self._bars is not None:
            self._bars.update(self._rounds, completed=record["round"], said=_said(record))
        if not self.terminal.is_terminal:
            self.note(f"round {record['round']:>3}  {_said(record)}")

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self.terminal.print(text, markup=False, highlight=False)

    def close(self, metrics: dict[str, Any], run: Any) -> None:
        """Print the closing table and where the results are."""
        self.terminal.print(site_table(metrics))
        for line in site_notes(metrics):
            self.note(line)
        for label, figures in (
            ("with privacy", metrics["final"]),
            ("without", metrics["non_private"]),
        ):
            if figures and (label == "without" or metrics["privacy"]["enabled"]):
                self.note(f"pooled, {label:<13} {headline(figures)}")
            elif figures:
                self.note(f"pooled               {headline(figures)}")
        self.note(
            f"{metrics['seconds']:.0f} s on {metrics['device']}; results and report.html in {run}"
        )


def _said(record: dict[str, Any]) -> str:
    epsilons = [site["epsilon"] for site in record["sites"].values() if "epsilon" in site]
    parts = [headline(record["metrics"]) if record["metrics"] else "trained, not evaluated"]
    parts += [f"ε ≤ {max(epsilons):.2f}"] if epsilons else []
    return "  ".join(parts)


SCORES = ("auc", "concordance", "dice", "rmse", "froc", "pointing", "explained", "bleu", "value")
"""Figures that stand for a task; most have one of them, localisation two."""


def headline(figures: dict[str, Any]) -> str:
    """Return the figures that matter most, in a line."""
    shown = [
        f"{name.upper() if name in ('auc', 'rmse', 'mae') else name} {number(figures[name])}"
        for name in (*SCORES, "accuracy", "baseline_rmse", "loss")
        if name in figures
    ]
    return "  ".join(shown)


def number(value: Any) -> str:
    """Return a figure for a table; "–" where there is none."""
    if value == "inf" or (isinstance(value, float) and math.isinf(value)):
        return "∞"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def site_notes(metrics: dict[str, Any], most: int = 10) -> list[str]:
    """Return what the sites' people should know about their data, a line each."""
    lines = [
        f"{name}: {note}"
        for name, site in metrics["sites"].items()
        for note in site.get("notes", ())
    ]
    more = [f"… and {len(lines) - most} more notes"] if len(lines) > most else []
    return lines[:most] + more


def site_table(metrics: dict[str, Any], most: int = 20) -> Table:
    """Return the closing table: one line a site."""
    sites = metrics["sites"].values()
    names = (metrics["headline"], *SCORES)
    score = next((name for name in names if any(name in site for site in sites)), names[0])
    title = f"{metrics['study']}: {len(metrics['sites'])} sites, {metrics['rounds']} rounds"
    table = Table(title=title, title_justify="left")
    for name in ("site", "patients", "samples", "quarantined", "steps", "σ", "ε", score.upper()):
        table.add_column(name, justify="left" if name == "site" else "right")
    keys = ("patients", "samples", "quarantined", "steps", "sigma", "epsilon", score)
    for name, site in list(metrics["sites"].items())[:most]:
        table.add_row(name, *(number(site.get(key)) for key in keys))
    if len(metrics["sites"]) > most:
        table.add_row(f"… {len(metrics['sites']) - most} more", *[""] * len(keys))
    return table
