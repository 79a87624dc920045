"""Printed numbers: bounds round up, nothing raises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.charts import numbers

anything = st.none() | st.floats()
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def read_back(text: str) -> float:
    """The value of a printed δ."""
    digits, _, power = text.partition(" × 10") if "×" in text else ("1", "", text[2:])
    if not set(power) & set("⁻⁰¹²³⁴⁵⁶⁷⁸⁹"):
        return float(text)
    return float(f"{digits}e{power.translate(SUPERSCRIPTS)}")


@given(anything)
def test_every_printer_takes_every_number(value):
    for name in ("fixed", "count", "upper", "bound", "tiny", "size", "duration", "percent"):
        assert "nan" not in getattr(numbers, name)(value)


@given(st.floats(0, 1e6), st.integers(0, 4))
def test_a_bound_is_never_printed_below_itself(value, digits):
    printed = float(numbers.upper(value, digits).replace(",", ""))
    assert value <= printed <= value + 10**-digits * (1 + 1e-9)


@given(st.floats(1e-12, 0.5))
def test_delta_is_never_printed_below_itself(value):
    printed = read_back(numbers.tiny(value))
    assert value <= printed * (1 + 1e-12)
    assert printed <= value * 1.0101


@pytest.mark.parametrize(
    ("printer", "value", "text"),
    [
        ("fixed", 1234.5678, "1,234.568"),
        ("fixed", -0.25, "−0.250"),
        ("count", 12345.4, "12,345"),
        ("upper", 7.801, "7.81"),
        ("upper", 7.8, "7.80"),
        ("bound", 7.81, "7.9"),
        ("bound", 0.041, "0.05"),
        ("tiny", 0.00125, "0.00125"),
        ("tiny", 0.001, "0.001"),
        ("tiny", 1.2345e-5, "1.24 × 10⁻⁵"),
        ("tiny", 1e-6, "10⁻⁶"),
        ("size", 950, "950 B"),
        ("size", 18_432, "18.4 kB"),
        ("size", 999_600, "1 MB"),
        ("duration", 4.24, "4.2 s"),
        ("duration", 161, "2 min 41 s"),
        ("duration", 11_100, "3 h 5 min"),
        ("percent", 0.876, "88 %"),
        ("word", 4, "four"),
        ("word", 1000, "1,000"),
        ("moment", "2026-01-31T09:05:12+00:00", "2026-01-31 09:05"),
        ("fixed", math.inf, "∞"),
        ("size", None, "–"),
    ],
)
def test_prints(printer, value, text):
    assert getattr(numbers, printer)(value) == text
