"""Which curves a report draws, and that sites that coincide share one."""

from __future__ import annotations

import pytest

from server.report.learning import learning_plots
from server.report.outcome import confusion, roc_plot
from server.report.run_folder import read_run
from server.report.site_lines import merge_equal, natural
from server.report.spending import spending_plots


def test_sites_that_coincide_share_a_curve():
    merged = merge_equal({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, None]})
    assert list(merged) == ["a, b", "c"]


def test_sites_are_in_natural_order():
    names = ["hospital-10", "hospital-2", "clinic", "3"]
    assert sorted(names, key=natural) == ["3", "clinic", "hospital-2", "hospital-10"]


def test_learning_curve_starts_before_round_one_and_ends_with_the_final_model(make_run):
    first = learning_plots(read_run(make_run(rounds=5)))[0]
    private, other = first.lines
    assert [x for x, _ in private.points] == [0, 1, 2, 3, 4, 5]
    assert private.points[-1][1] == pytest.approx(0.891)
    assert other.points[-1][1] == pytest.approx(0.934)


def test_epsilon_starts_at_nothing_and_the_budget_is_drawn(make_run):
    spent, sent = spending_plots(read_run(make_run(rounds=5)))
    assert all(line.points[0] == (0.0, 0.0) for line in spent.lines)
    assert [rule.value for rule in spent.rules] == [8.0]
    assert spent.y.high > 8.0
    assert [y for _, y in sent.bars] == [4 * 18_432] * 5


def test_no_privacy_no_epsilon_plot(make_run):
    titles = [plot.title for plot in spending_plots(read_run(make_run(private=False)))]
    assert titles == ["Bytes sent by round"]


def test_binary_roc_is_that_of_the_positive_class(make_run):
    plot = roc_plot(read_run(make_run()))
    assert plot is not None
    assert [line.name for line in plot.lines] == ["malignant (AUC 0.878)"]


def test_confusion_shares_are_of_the_true_class_and_noise_has_no_colour(make_run):
    def change(metrics):
        metrics["curves"]["confusion"] = [[90, 10], [-3.2, 60]]

    matrix = confusion(read_run(make_run(change=change)))
    assert matrix is not None
    shares = [[cell.share for cell in row] for row in matrix.rows]
    assert shares == [[0.9, 0.1], [0.0, 1.0]]
    rates = [rate.value for rate in matrix.rates]
    assert rates == pytest.approx([1.0, 0.9, 60 / 70, 1.0])
