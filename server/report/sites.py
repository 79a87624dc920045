"""The hospitals: one row each, their totals, their spread, and why files were set aside."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from common.charts.numbers import count, fixed, size, tiny, upper
from common.charts.scale import finite
from server.report.schema import RunMetrics, Site
from server.report.site_lines import MANY_SITES, natural

Get = Callable[[Site], float | None]
Show = Callable[[float | None], str]


@dataclass(frozen=True)
class Column:
    """A column of the table: how to read it from a site, print it, and total it."""

    name: str
    get: Get
    show: Show
    total: Callable[[list[float]], float] | None = None


@dataclass(frozen=True)
class Row:
    """A printed row."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class SiteTable:
    """The printed table. `foot` holds the totals and, for many sites, the spread."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    foot: tuple[Row, ...]


@dataclass(frozen=True)
class Reason:
    """Why samples were quarantined: how many, and at how many hospitals."""

    text: str
    samples: float
    sites: int


COLUMNS = (
    Column("Patients", lambda s: s.patients, count, sum),
    Column("Stated", lambda s: s.declared_patients, count, sum),
    Column("Samples", lambda s: s.samples, count, sum),
    Column("Quarantined", lambda s: s.quarantined, count, sum),
    Column("Steps", lambda s: s.steps, count),
    Column("σ", lambda s: s.sigma, lambda v: fixed(v, 2)),
    Column("ε", lambda s: s.epsilon, upper, max),
    Column("δ", lambda s: s.delta, tiny, max),
    Column("Sent", lambda s: s.bytes_sent, size, sum),
    Column("AUC", lambda s: s.auc, fixed),
    Column("Accuracy", lambda s: s.accuracy, fixed),
    Column("RMSE", lambda s: s.rmse, lambda v: fixed(v, 2)),
)
# Shown even when no site has a value; the others would be columns of dashes.
ALWAYS = ("Patients", "Samples", "Quarantined", "Steps", "ε", "Sent")


def site_table(metrics: RunMetrics) -> SiteTable:
    """The table of all sites, in natural order of their names."""
    sites = sorted(metrics.sites.items(), key=lambda item: natural(item[0]))
    columns = [
        column
        for column in COLUMNS
        if column.name in ALWAYS or any(column.get(site) is not None for _, site in sites)
    ]
    rows = [Row(name, tuple(c.show(c.get(site)) for c in columns)) for name, site in sites]
    values = [finite(column.get(site) for _, site in sites) for column in columns]
    foot = _spread(columns, values) if len(sites) > MANY_SITES else []
    total = Row("All hospitals", tuple(_total(c, sites) for c in columns))
    return SiteTable(tuple(c.name for c in columns), tuple(rows), (*foot, total))


def _total(column: Column, sites: list[tuple[str, Site]]) -> str:
    """Sums for counts, the largest for ε and δ; infinity counts."""
    if column.total is None:
        return ""
    values = [value for _, site in sites if (value := column.get(site)) is not None]
    text = column.show(column.total(values)) if values else column.show(None)
    return f"≤ {text}" if column.total is max and values else text


def _spread(columns: list[Column], values: list[list[float]]) -> list[Row]:
    rows = []
    statistic: list[tuple[str, Callable[[list[float]], float]]] = [
        ("Least", min),
        ("Median", statistics.median),
        ("Most", max),
    ]
    for name, pick in statistic:
        cells = (
            column.show(pick(drawn) if drawn else None)
            for column, drawn in zip(columns, values, strict=True)
        )
        rows.append(Row(name, tuple(cells)))
    return rows


def quarantine_reasons(metrics: RunMetrics) -> list[Reason]:
    """Reasons over all sites, the most frequent first."""
    samples: dict[str, float] = {}
    sites: dict[str, int] = {}
    for site in metrics.sites.values():
        for reason, amount in site.quarantine_reasons.items():
            samples[reason] = samples.get(reason, 0.0) + (amount or 0.0)
            sites[reason] = sites.get(reason, 0) + 1
    found = [Reason(text, amount, sites[text]) for text, amount in samples.items()]
    return sorted(found, key=lambda reason: (-reason.samples, reason.text))


def total(metrics: RunMetrics, get: Get) -> float | None:
    """Sum over the sites that know the figure; None if none does."""
    values = finite(get(site) for site in metrics.sites.values())
    return sum(values) if values else None


def largest(metrics: RunMetrics, get: Get) -> float | None:
    """Largest over the sites, infinity included; None if no site knows the figure."""
    values = [value for site in metrics.sites.values() if (value := get(site)) is not None]
    return max(values, default=None)
