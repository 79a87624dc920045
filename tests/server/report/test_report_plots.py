"""Axes hold what they show; curves break at gaps; sites that coincide share a curve."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.report.learning import learning_plots
from server.report.outcome import confusion, roc_plot
from server.report.plot import Line, Plot
from server.report.run_folder import read_run
from server.report.scale import Axis, axis, whole_axis
from server.report.site_lines import merge_equal, natural
from server.report.spending import spending_plots

moderate = st.floats(-1e9, 1e9)


@given(st.lists(moderate, min_size=1, max_size=20))
def test_an_axis_holds_its_values_and_a_few_ticks_between_its_ends(values):
    made = axis(values, 240, 34)
    slack = 1e-6 * (made.high - made.low)
    assert made.low - slack <= min(values)
    assert max(values) <= made.high + slack
    assert 2 <= len(made.ticks) <= 9
    assert all(34 - 0.1 <= made.at(tick) <= 240 + 0.1 for tick in made.ticks)
    assert len({made.label(tick) for tick in made.ticks}) == len(made.ticks)


@given(st.integers(0, 5), st.integers(1, 20_000))
def test_rounds_have_whole_ticks(low, span):
    ticks = whole_axis(low, low + span, 46, 418).ticks
    assert 1 <= len(ticks) <= 11
    assert all(tick == int(tick) for tick in ticks)


def test_an_axis_of_one_value_stays_below_its_limit():
    made = axis([1.0], 240, 34, limits=(None, 1.0))
    assert (made.low, made.high) == (0.0, 1.0)


def test_a_curve_breaks_where_a_value_is_missing():
    unit = Axis(0, 10, (0, 10), 0, 10)
    line = Line("a", ((0, 0.0), (1, 1.0), (2, None), (3, float("inf")), (4, 4.0)), "t0")
    plot = Plot(title="", summary="", x_label="", y_label="", x=unit, y=unit, lines=(line,))
    assert plot.path(line) == "M0 0L1 1M4 4"


def test_end_values_do_not_cover_each_other():
    unit = Axis(0, 100, (0, 100), 0, 100)
    lines = tuple(Line(str(y), ((0, y),), "t0", end=str(y)) for y in (50.0, 51.0, 49.0))
    plot = Plot(title="", summary="", x_label="", y_label="", x=unit, y=unit, lines=lines)
    heights = [y for _, y, _, _ in plot.ends()]
    assert all(b - a >= 14 for a, b in pairwise(heights))


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
