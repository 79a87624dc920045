"""Learning curves: the pooled metrics of the global model, and each hospital's training loss.

`rounds.jsonl` gives the metrics of the model that *entered* a round, so the first is at 0 rounds
completed and the closing figures of `metrics.json` are the last point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from common.charts.numbers import fixed
from common.charts.plot import Line, Plot, Rule, all_values, y_axis
from common.charts.scale import whole_axis
from server.report.run_folder import Run
from server.report.schema import Round, RunMetrics
from server.report.site_lines import curves, per_site

LEFT, RIGHT = 46, 418


@dataclass(frozen=True)
class Measure:
    """A metric: its key, its name, how to draw it (limits, reference line), how to print it."""

    key: str
    name: str
    limits: tuple[float | None, float | None] = (None, None)
    rule: Rule | None = None
    digits: int = 3
    unit: str = ""

    def text(self, value: float | None, digits: int | None = None) -> str:
        """The value with its digits and unit."""
        text = fixed(value, self.digits if digits is None else digits)
        return f"{text} {self.unit}" if self.unit and value is not None else text


LOSS = Measure("loss", "Test loss")
ACCURACY = Measure("accuracy", "Accuracy", (None, 1.0))
RMSE = Measure("rmse", "RMSE", (0.0, None), digits=2)
MAE = Measure("mae", "MAE", (0.0, None), digits=2)
CHANCE = Rule(0.5, "chance", at_end=True)
AUC = Measure("auc", "AUC", (None, 1.0), CHANCE)
MEASURES = {
    measure.key: measure
    for measure in (
        Measure("dice", "Dice", (None, 1.0)),
        Measure("froc", "FROC", (None, 1.0)),
        Measure("pointing", "Pointing", (None, 1.0)),
        Measure("concordance", "Concordance", (None, 1.0), CHANCE),
        Measure("bleu", "BLEU", (None, 1.0)),
        Measure("explained", "Explained", (None, 1.0)),
        Measure("value", "Value"),
        RMSE,
        AUC,
    )
}
"""What may stand for a run; a task of another package names its own."""


def is_forecast(metrics: RunMetrics) -> bool:
    """Whether the task predicts numbers at several times."""
    return metrics.task == "forecasting"


def headline(metrics: RunMetrics) -> Measure:
    """The metric that stands for the run: the task's, or in older runs the first that is known."""
    found = metrics.headline or next((key for key in MEASURES if key in metrics.final), "auc")
    if found == "auc" and metrics.final.get("auc") is None:
        return ACCURACY if metrics.final.get("accuracy") is not None else AUC
    if found == "auc" and len(metrics.classes) > 2:
        return replace(AUC, name="Macro AUC")
    horizons = metrics.curves.horizons
    unit = metrics.unit or (horizons.unit if horizons and found == RMSE.key else "")
    known = MEASURES.get(found) or Measure(found, found.replace("_", " ").capitalize())
    return replace(known, unit=unit)


def learning_plots(run: Run) -> list[Plot]:
    """The headline metric and the loss by round, private and not; then the training loss."""
    other = MAE if headline(run.metrics).key == RMSE.key else ACCURACY
    measures = dict.fromkeys((headline(run.metrics), LOSS, other))
    plots = [plot for measure in measures for plot in _measure_plot(run, measure)]
    return [*plots[:2], *_training_plot(run), *plots[2:]]


def _measure_plot(run: Run, measure: Measure) -> list[Plot]:
    private = "with privacy" if run.metrics.privacy.enabled else "this run"
    lines = tuple(
        line
        for line in (
            _line(private, "t0", run.rounds, run.metrics.final, run.metrics.rounds, measure),
            _line(
                "without privacy",
                "t1",
                run.non_private_rounds,
                run.metrics.non_private,
                None,
                measure,
            ),
        )
        if any(y is not None for _, y in line.points)
    )
    if not lines:
        return []
    rules = (measure.rule,) if measure.rule else ()
    values = all_values(lines) + [rule.value for rule in rules]
    last = max(int(line.points[-1][0]) for line in lines)
    return [
        Plot(
            title=f"{measure.name} by round",
            summary=_summary(measure, lines),
            x_label="rounds completed",
            y_label=measure.name,
            x=whole_axis(0, last, LEFT, RIGHT),
            y=y_axis(values, measure.limits),
            lines=lines,
            rules=rules,
            legend=len(lines) > 1,
        )
    ]


def _line(
    name: str,
    colour: str,
    rounds: tuple[Round, ...],
    final: dict[str, float | None],
    total: int | None,
    measure: Measure,
) -> Line:
    start = rounds[0].round if rounds else 0
    points = {float(record.round - start): record.metrics.get(measure.key) for record in rounds}
    end = float(max(total or 0, rounds[-1].round - start + 1)) if rounds else float(total or 0)
    points.setdefault(end, final.get(measure.key))
    # Rounds without an evaluation are joined over: a gap would look like a failure.
    drawn = tuple((x, y) for x, y in sorted(points.items()) if y is not None) or ((end, None),)
    texts = tuple(f"{name}, after round {x:.0f}: {fixed(y)}" for x, y in drawn)
    last = next((y for _, y in reversed(drawn) if y is not None), None)
    return Line(name, drawn, colour, colour == "t1", texts, fixed(last, 2))


def _summary(measure: Measure, lines: tuple[Line, ...]) -> str:
    parts = []
    for line in lines:
        values = [y for _, y in line.points if y is not None]
        parts.append(f"{line.name} from {fixed(values[0])} to {fixed(values[-1])}")
    return f"{measure.name} of the global model on the pooled test patients: {'; '.join(parts)}."


def _training_plot(run: Run) -> list[Plot]:
    table = per_site(run.rounds, lambda site: site.train_loss)
    if not table or len(run.rounds) < 2:
        return []
    first = run.rounds[0].round
    x = [float(record.round - first + 1) for record in run.rounds]
    lines, bands = curves(table, x, lambda at, text: f"round {at:.0f}, {text}")
    return [
        Plot(
            title="Training loss by hospital",
            summary=f"Mean training loss in each round, for {len(table):,} hospitals.",
            x_label="round",
            y_label="Training loss",
            x=whole_axis(1, int(x[-1]), LEFT, RIGHT),
            y=y_axis(all_values(lines, bands), (None, None)),
            lines=lines,
            bands=bands,
        )
    ]
