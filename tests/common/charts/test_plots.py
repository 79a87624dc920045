"""Axes hold what they show and mark round numbers; curves break at gaps."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.charts.pages import environment
from common.charts.plot import Line, Plot, Rule
from common.charts.scale import Axis, axis, log_axis, spans_decades, whole_axis

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


positive = st.floats(1e-300, 1e300)


@given(st.lists(positive, min_size=1, max_size=20))
def test_a_logarithmic_axis_holds_its_values_between_powers_of_ten(values):
    made = log_axis(values, 240, 34)
    assert made.low * (1 - 1e-9) <= min(values)
    assert max(values) <= made.high * (1 + 1e-9)
    assert 1 <= len(made.ticks) <= 9
    assert all(34 - 0.1 <= made.at(value) <= 240 + 0.1 for value in [*values, *made.ticks])
    assert all(math.log10(tick) == pytest.approx(round(math.log10(tick))) for tick in made.ticks)
    assert len({made.label(tick) for tick in made.ticks}) == len(made.ticks)


def test_powers_of_ten_are_evenly_spaced_and_read_as_people_write_them():
    made = log_axis([1e-5, 1e4], 0, 90)
    assert [made.at(10.0**power) for power in (-5, -2, 1, 4)] == [0.0, 30.0, 60.0, 90.0]
    assert [made.label(10.0**power) for power in (-5, -2, 0, 4)] == ["10⁻⁵", "0.01", "1", "10,000"]


@pytest.mark.parametrize(
    ("values", "wide"),
    [([1, 1000], True), ([1, 900], False), ([0, 1e9], False), ([-1, 1e9], False), ([], False)],
)
def test_values_that_span_decades_are_all_above_zero(values, wide):
    assert spans_decades(values) is wide


def drawn(plot: Plot) -> str:
    template = '{% import "plots.j2" as plots %}{{ plots.figure(plot, "a") }}'
    return environment("common.charts").from_string(template).render(plot=plot)


def test_a_drawing_is_well_formed_named_and_escaped_also_on_a_logarithmic_axis():
    name = '<script>alert("1")</script>'
    plot = Plot(
        title=name,
        summary=name,
        x_label=name,
        y_label=name,
        x=whole_axis(0, 3, 40, 400),
        y=log_axis([1e-6, 1.0], 240, 34),
        lines=(
            Line(name, ((0, 1e-6), (1, math.nan), (2, 1e-3), (3, 1.0)), "t0", texts=(name,) * 4),
        ),
        rules=(Rule(1e-3, name, "limit"),),
    )
    text = drawn(plot)
    assert "<script" not in text
    (drawing,) = re.findall(r"<svg viewBox.*?</svg>", text.split("<ul")[0], re.DOTALL)
    root = ElementTree.fromstring(drawing)
    assert [root[0].tag, root[1].tag] == ["title", "desc"]
    assert root[0].text == name
    assert "nan" not in drawing
