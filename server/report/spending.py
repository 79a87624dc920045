"""What the run cost, by round: privacy at each hospital, and bytes sent."""

from __future__ import annotations

from common.charts.numbers import fixed, size, upper
from common.charts.plot import MANY_POINTS, Band, Line, Plot, Points, Rule, all_values, y_axis
from common.charts.scale import finite, whole_axis
from server.report.learning import LEFT, RIGHT
from server.report.run_folder import Run
from server.report.schema import Round
from server.report.site_lines import curves, per_site


def spending_plots(run: Run) -> list[Plot]:
    """The ε plot (private runs only) and the bytes plot, each if there is something to draw."""
    return [*_epsilon(run), *_bytes(run)]


def _epsilon(run: Run) -> list[Plot]:
    table = per_site(run.rounds, lambda site: site.epsilon, carry=True)
    if not run.metrics.privacy.enabled or not table:
        return []
    first = run.rounds[0].round
    x = [0.0, *(float(record.round - first + 1) for record in run.rounds)]
    grown: dict[str, list[float | None]] = {name: [0.0, *rest] for name, rest in table.items()}
    lines, bands = curves(grown, x, lambda at, text: f"after round {at:.0f}, {text}")
    target = run.metrics.privacy.epsilon_target
    rules = tuple(Rule(v, f"budget {fixed(v, 1)}", "limit") for v in finite([target]))
    within = f" The budget is {fixed(target, 1)}." if rules else ""
    most = max(finite(item for series in table.values() for item in series), default=None)
    summary = f"Cumulative ε of {len(table):,} hospitals, at most {upper(most)}.{within}"
    return [_epsilon_plot(summary, int(x[-1]), lines, bands, rules)]


def _epsilon_plot(
    summary: str,
    last: int,
    lines: tuple[Line, ...],
    bands: tuple[Band, ...],
    rules: tuple[Rule, ...],
) -> Plot:
    values = all_values(lines, bands) + [1.05 * rule.value for rule in rules]
    return Plot(
        title="Privacy spent by round",
        summary=summary,
        x_label="rounds completed",
        y_label="ε so far",
        x=whole_axis(0, last, LEFT, RIGHT),
        y=y_axis(values, (0.0, None)),
        lines=lines,
        bands=bands,
        rules=rules,
    )


def sent(record: Round) -> float | None:
    """Bytes that the hospitals sent in a round."""
    if record.bytes_sent is not None:
        return record.bytes_sent
    parts = finite(site.bytes_sent for site in record.sites.values())
    return sum(parts) if parts else None


def _bytes(run: Run) -> list[Plot]:
    amounts = [(record.round, sent(record)) for record in run.rounds]
    drawn = finite(amount for _, amount in amounts)
    if not drawn:
        return []
    first = amounts[0][0]
    points: Points = tuple((float(number - first + 1), amount) for number, amount in amounts)
    texts = tuple(f"round {x:.0f}: {size(amount)}" for x, amount in points)
    many = len(points) > MANY_POINTS
    last = int(points[-1][0])
    return [
        Plot(
            title="Bytes sent by round",
            summary=f"All hospitals together sent {size(sum(drawn))}, "
            f"{size(min(drawn))} to {size(max(drawn))} a round.",
            x_label="round",
            y_label="sent to the coordinator",
            x=whole_axis(1, last, LEFT, RIGHT) if many else whole_axis(0, last + 1, LEFT, RIGHT),
            y=y_axis(drawn, (0.0, None), "bytes"),
            lines=(Line("all hospitals", points, "t0"),) if many else (),
            bars=() if many else points,
            bar_texts=() if many else texts,
            legend=False,
        )
    ]
