"""What is drawn of the final model: the curves and tables of a run's `metrics.json`."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from server.report.values import Metrics, Number, Record, numbers


class Roc(Record):
    """One ROC curve: rates in [0, 1]."""

    fpr: list[Number] = Field(default_factory=list)
    tpr: list[Number] = Field(default_factory=list)
    auc: Number = None


class PrecisionRecall(Record):
    """One precision-recall curve: shares in [0, 1]."""

    recall: list[Number] = Field(default_factory=list)
    precision: list[Number] = Field(default_factory=list)
    average: Number = None
    prevalence: Number = None


class Calibration(Record):
    """Groups of patients by predicted probability, what was observed in each, and its 95 % interval."""

    predicted: list[Number] = Field(default_factory=list)
    observed: list[Number] = Field(default_factory=list)
    low: list[Number] = Field(default_factory=list)
    high: list[Number] = Field(default_factory=list)
    error: Number = None


class Decision(Record):
    """Net benefit by the probability above which one treats."""

    threshold: list[Number] = Field(default_factory=list)
    model: list[Number] = Field(default_factory=list)
    all: list[Number] = Field(default_factory=list)


class SubgroupRow(Record):
    """A group's figures; none where it is too small to be shown."""

    name: str = ""
    figures: Metrics = Field(default_factory=dict)


class Subgroups(Record):
    """One division of the patients."""

    name: str = ""
    rows: list[SubgroupRow] = Field(default_factory=list)


class Horizons(Record):
    """Forecast errors by horizon. `minutes` ahead; the errors in `unit`."""

    minutes: list[Number] = Field(default_factory=list)
    rmse: list[Number] = Field(default_factory=list)
    mae: list[Number] = Field(default_factory=list)
    baseline_rmse: list[Number] = Field(default_factory=list)
    unit: str = ""
    error_grids: dict[str, list[list[Number]]] = Field(default_factory=dict)


class Survival(Record):
    """Shares without the event at each of the times."""

    times: list[Number] = Field(default_factory=list)
    unit: str = ""
    predicted: list[Number] = Field(default_factory=list)
    observed: list[Number] = Field(default_factory=list)


class Structures(Record):
    """Figures by structure: `names`, and beside it one list a figure."""

    model_config = ConfigDict(frozen=True, extra="allow")

    names: list[str] = Field(default_factory=list)

    def columns(self) -> dict[str, list[float | None]]:
        """The figures' lists by key."""
        found = self.model_extra or {}
        return {key: numbers(value) for key, value in found.items() if isinstance(value, list)}


class DrawnLine(Record):
    """One line of a plot."""

    name: str = ""
    x: list[Number] = Field(default_factory=list)
    y: list[Number] = Field(default_factory=list)


class DrawnPlot(Record):
    """A plot that a task made."""

    title: str = ""
    x_label: str = ""
    y_label: str = ""
    lines: list[DrawnLine] = Field(default_factory=list)


class DrawnRow(Record):
    """A row of a table that a task made."""

    name: str = ""
    values: list[Number] = Field(default_factory=list)


class DrawnTable(Record):
    """A table that a task made; `first` names the column of the rows' names."""

    title: str = ""
    first: str = ""
    columns: list[str] = Field(default_factory=list)
    rows: list[DrawnRow] = Field(default_factory=list)


class Curves(Record):
    """What is drawn of the final model."""

    roc: dict[str, Roc] | None = None
    precision_recall: dict[str, PrecisionRecall] | None = None
    calibration: dict[str, Calibration] | None = None
    decision: dict[str, Decision] | None = None
    subgroups: list[Subgroups] | None = None
    confusion: list[list[Number]] | None = None
    horizons: Horizons | None = None
    survival: Survival | None = None
    structures: Structures | None = None
    tables: list[DrawnTable] = Field(default_factory=list)
    plots: list[DrawnPlot] = Field(default_factory=list)
