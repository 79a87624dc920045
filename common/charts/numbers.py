"""Numbers as people read them. None becomes a dash; infinity becomes ∞."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal

MISSING = "–"
_WORDS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def special(value: float | None) -> str | None:
    """The text of a value that has no digits, or None if it has."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return None


def fixed(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` decimals, thousands apart: 0.891, 1,234.5."""
    text = special(value)
    if text is not None or value is None:
        return text or MISSING
    if abs(value) >= 1e7:
        return f"{value:.3g}"
    return f"{value:,.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    """A whole number with thousands apart: 12,345. Noisy counts are rounded."""
    return special(value) or f"{round(value or 0):,}".replace("-", "−")


def upper(value: float | None, digits: int = 2) -> str:
    """`value` rounded up, so that a printed bound is never below the true one."""
    text = special(value)
    if text is not None or value is None:
        return text or MISSING
    if abs(value) >= 1e12:
        return tiny(value)
    step = Decimal(1).scaleb(-digits)
    return f"{Decimal(repr(float(value))).quantize(step, ROUND_CEILING):,}"


def bound(value: float | None) -> str:
    """ε for a headline: one decimal from 1 on, two below; rounded up."""
    return upper(value, 1 if value is not None and value >= 1 else 2)


def tiny(value: float | None) -> str:
    """δ, rounded up to three digits: 0.00125, 1.25 × 10⁻⁵. Below zero it is 0."""
    text = special(value)
    if text is not None or value is None:
        return text or MISSING
    if value <= 0:
        return "0"
    exact = Decimal(repr(float(value)))
    exponent = exact.adjusted()
    digits = exact.scaleb(-exponent).quantize(Decimal("0.01"), ROUND_CEILING)
    if -3 <= exponent < 6:
        return f"{digits.normalize().scaleb(exponent):f}"
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    return power if digits == 1 else f"{digits.normalize():f} × {power}"


def size(value: float | None) -> str:
    """Bytes in decimal units: 950 B, 1.2 MB."""
    text = special(value)
    if text is not None or value is None:
        return text or MISSING
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.3g} {unit}"


def duration(value: float | None) -> str:
    """Seconds as 4.2 s, 2 min 41 s, 3 h 5 min."""
    text = special(value)
    if text is not None or value is None:
        return text or MISSING
    if value < 60:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def percent(value: float | None) -> str:
    """A share in [0, 1] as whole per cent."""
    return special(value) or f"{100 * (value or 0):.0f} %"


def word(number: int) -> str:
    """Small numbers in words, as prose has them: four; 1,000."""
    return _WORDS[number] if 0 <= number < len(_WORDS) else f"{number:,}"


def moment(iso: str | None) -> str:
    """`2026-01-31T09:05:12+00:00` as `2026-01-31 09:05`; other text stays as it is."""
    if not iso:
        return MISSING
    return f"{iso[:10]} {iso[11:16]}" if len(iso) >= 16 and iso[10] in "T " else iso
