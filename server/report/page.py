"""Puts the report together: reads the run folder, fills the template, writes `report.html`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from common.charts.pages import environment
from common.charts.plot import Plot
from common.errors import MachineError
from server.report.facts import Fact, cards, method, provenance
from server.report.further import further_plots, further_tables
from server.report.learning import headline, learning_plots
from server.report.notes import notes
from server.report.outcome import confusion, horizon_plot, horizon_rows, roc_plot
from server.report.ranking import calibration_plot, decision_plot, precision_plot
from server.report.run_folder import Run, read_run
from server.report.sites import quarantine_reasons, site_table
from server.report.spending import sent, spending_plots
from server.report.subgroups import subgroup_tables
from server.report.verdict import lede, over_budget, verdict, warnings


def build(run: Path) -> Path:
    """Writes `run/report.html`, in one step, from the files of the run folder.

    Args:
        run: a folder with `metrics.json`, `rounds.jsonl`, `study.toml` and, where the study was
            also run without privacy, `non-private/rounds.jsonl`.

    Returns:
        The path of the report.

    Raises:
        RunError: the folder or one of its files is missing or malformed.
        MachineError: the report cannot be written.
    """
    target = run / "report.html"
    _write(target, render(read_run(run)))
    return target


def render(run: Run) -> str:
    """The page as text. Every string of the run is escaped; the same run gives the same text."""
    return environment("server.report").get_template("report.html.j2").render(_context(run))


def _context(run: Run) -> dict[str, Any]:
    metrics = run.metrics
    facts: dict[str, list[Fact]] = {"method": method(run), "provenance": provenance(run)}
    return {
        "run": run,
        "metrics": metrics,
        "verdict": verdict(metrics),
        "lede": lede(metrics),
        "warnings": warnings(run),
        "over_budget": over_budget(metrics),
        "cards": cards(run),
        "learning": learning_plots(run),
        "roc": roc_plot(run),
        "more": _more(run),
        "tables": further_tables(run),
        "subgroups": subgroup_tables(run),
        "confusion": confusion(run),
        "horizon_plot": horizon_plot(run),
        "horizons": horizon_rows(run),
        "sites": site_table(metrics),
        "reasons": quarantine_reasons(metrics),
        "spending": spending_plots(run),
        "headline": headline(metrics),
        "round_rows": _round_rows(run),
        "facts": facts,
        "notes": notes(run),
    }


def _more(run: Run) -> list[Plot]:
    """The plots that follow the ROC and the confusion matrix, as far as the task has them."""
    found = (precision_plot(run), calibration_plot(run), decision_plot(run))
    return [*(plot for plot in found if plot is not None), *further_plots(run)]


def _round_rows(run: Run) -> list[dict[str, Any]]:
    """The round table: the plots' figures for those who read numbers, and who failed."""
    spent: dict[str, float] = {}
    rows = []
    for record in run.rounds:
        spent |= {n: s.epsilon for n, s in record.sites.items() if s.epsilon is not None}
        rows.append(
            {
                "record": record,
                "epsilon": max(spent.values(), default=None),
                "sent": sent(record),
                "failures": sorted(record.failures.items()),
            }
        )
    return rows


def _write(target: Path, text: str) -> None:
    """Replaces `target` whole or not at all."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".report-", suffix=".html")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode("utf-8", "replace"))
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise MachineError(
            f"The report cannot be written: {error.strerror}.",
            where=str(target),
            fix="Free disk space or mend the folder's permissions, then `consilium report` again.",
        ) from None
