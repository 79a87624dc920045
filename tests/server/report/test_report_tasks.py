"""What the report says of the final model: calibration, decisions, subgroups, and what tasks of other kinds draw."""

from __future__ import annotations

import re
from typing import Any

import pytest

from server import report
from server.report.further import further_plots, further_tables
from server.report.learning import headline
from server.report.ranking import calibration_plot, decision_plot, precision_plot
from server.report.run_folder import read_run
from server.report.subgroups import subgroup_tables

FIGURES = {"count": 40, "auc": 0.8, "auc_low": 0.71, "auc_high": 0.87, "sensitivity": 0.75}


def curves(classes: list[str]) -> dict[str, Any]:
    """What a classification gives besides ROC and confusion matrix."""
    return {
        "precision_recall": {
            name: {"recall": [0.1, 1.0], "precision": [1.0, 0.4], "average": 0.7, "prevalence": 0.4}
            for name in classes
        },
        "calibration": {
            name: {
                "predicted": [0.1, 0.5, 0.9],
                "observed": [0.2, 0.5, 0.8],
                "low": [0.1, 0.4, 0.7],
                "high": [0.3, 0.6, 0.9],
                "error": 0.05,
            }
            for name in classes
        },
        "decision": {
            name: {"threshold": [0.1, 0.5, 0.9], "model": [0.3, 0.2, -3.0], "all": [0.3, -0.2, -9]}
            for name in classes
        },
        "subgroups": [
            {
                "name": "sex",
                "rows": [
                    {"name": "<b>female", "figures": FIGURES},
                    {"name": "male", "figures": {}},
                ],
            },
            {"name": "age", "rows": [{"name": "unknown", "figures": {}}]},
        ],
    }


def with_curves(metrics: dict[str, Any]) -> None:
    metrics["curves"] |= curves(metrics["classes"][1:])


def test_two_classes_have_all_three_plots(make_run):
    run = read_run(make_run(change=with_curves))
    precision, calibration, decision = (
        precision_plot(run),
        calibration_plot(run),
        decision_plot(run),
    )
    assert precision is not None
    assert calibration is not None
    assert decision is not None
    assert precision.lines[0].name == "malignant (average 0.700, guessing 0.40)"
    assert calibration.bands[0].low == (0.1, 0.4, 0.7)
    assert calibration.diagonal
    model, everyone, nobody = decision.lines
    assert model.points[-1] == (0.9, None), "far below 0 nobody would draw it"
    assert [y for _, y in everyone.points] == [0.3, None, None]
    assert {y for _, y in nobody.points} == {0.0}
    assert decision.y.low > -1


def test_several_classes_have_a_curve_each_and_no_decision_curve(make_run):
    run = read_run(make_run(change=with_curves, classes=["a", "b", "c"]))
    calibration = calibration_plot(run)
    assert calibration is not None
    assert len(calibration.lines) == 2
    assert calibration.bands == ()
    assert decision_plot(run) is None


def test_a_run_without_them_draws_none(make_run):
    run = read_run(make_run())
    assert precision_plot(run) is calibration_plot(run) is decision_plot(run) is None
    assert subgroup_tables(run) == further_plots(run) == further_tables(run) == []


def test_subgroups_show_figures_with_intervals_and_keep_small_groups_empty(make_run):
    folder = make_run(change=with_curves)
    (table,) = subgroup_tables(read_run(folder))
    assert table.columns == ("Patients", "AUC", "Sensitivity")
    female, male = table.rows
    assert female.cells == ("40", "0.800 (0.71–0.87)", "0.75")
    assert set(male.cells) == {"–"}
    text = report.build(folder).read_text()
    assert "&lt;b&gt;female" in text
    assert "<b>female" not in text
    assert "For whom it works" in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_tasks_of_other_kinds_are_drawn(make_run):
    def change(metrics: dict[str, Any]) -> None:
        metrics["curves"] = {
            "structures": {
                "names": ["lung", "heart"],
                "dice": [0.9, None],
                "pooled_iou": [0.8, 0.7],
            },
            "survival": {
                "times": [1, 2],
                "unit": "years",
                "predicted": [0.9, 0.8],
                "observed": [1, 0.7],
            },
            "horizons": {"minutes": [30], "error_grids": {"clarke": [[0.9, 0.1, 0, 0, None]]}},
            "tables": [
                {
                    "title": "<i>",
                    "first": "x",
                    "columns": ["a"],
                    "rows": [{"name": "r", "values": [1]}],
                }
            ],
            "plots": [
                {"title": "FROC", "lines": [{"name": "n", "x": [0, 1], "y": [0.5, float("nan")]}]}
            ],
        }

    folder = make_run(change=change)
    run = read_run(folder)
    assert [plot.title for plot in further_plots(run)] == ["Survival without the event", "FROC"]
    structures, clarke, own = further_tables(run)
    assert structures.columns == ("Dice", "IoU, pooled")
    assert [row.cells for row in structures.rows] == [("0.900", "0.800"), ("–", "0.700")]
    assert clarke.rows[0].cells == ("90 %", "10 %", "0 %", "0 %", "–")
    assert own.rows[0].cells == ("1.000",)
    text = report.build(folder).read_text()
    assert "&lt;i&gt;" in text
    assert not re.search(r"\b(nan|None)\b", text)


@pytest.mark.parametrize(
    ("key", "name"),
    [("dice", "Dice"), ("concordance", "Concordance"), ("froc", "FROC"), ("pointing", "Pointing")],
)
def test_other_tasks_have_a_headline_of_their_own(make_run, key, name):
    def change(metrics: dict[str, Any]) -> None:
        metrics["final"] = {key: 0.75, "loss": 0.4}

    found = headline(read_run(make_run(change=change)).metrics)
    assert (found.key, found.name) == (key, name)


def test_the_task_itself_names_its_headline(make_run):
    def change(metrics: dict[str, Any]) -> None:
        metrics |= {"headline": "lead_time", "unit": "h", "task": "of_another_package"}
        metrics["final"] = {"lead_time": 7.25, "auc": 0.9, "loss": 0.4}

    found = headline(read_run(make_run(change=change)).metrics)
    assert (found.name, found.text(7.25, 2)) == ("Lead time", "7.25 h")


def test_the_unit_of_a_regression_stands_beside_its_error(make_run):
    def change(metrics: dict[str, Any]) -> None:
        metrics |= {"headline": "rmse", "unit": "mmol/L", "task": "regression"}
        metrics["final"] = {"rmse": 1.5, "mae": 1.0, "loss": 0.4}

    folder = make_run(change=change)
    assert headline(read_run(folder).metrics).text(1.5) == "1.50 mmol/L"
    assert "1.50 mmol/L" in report.build(folder).read_text()
