"""Values that say nothing, and dates that are moved."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

_DUMMIES: dict[str, Any] = {
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "AS": "000Y",
    "PN": "ANONYMOUS",
    "DS": "0",
    "IS": "0",
    "FL": 0.0,
    "FD": 0.0,
    "US": 0,
    "SS": 0,
    "UL": 0,
    "SL": 0,
    "UV": 0,
    "SV": 0,
    "OB": b"\0\0",
    "OW": b"\0\0",
    "UN": b"\0\0",
    "UR": "",
    "AE": "ANONYMOUS",
    "CS": "ANONYMOUS",
}
_DAY = re.compile(r"^(\d{4})\.?(\d{2})\.?(\d{2})(.*)$", re.DOTALL)
OLDEST = 89


def dummy(vr: str) -> Any:
    """Return a value of a type that says nothing."""
    return _DUMMIES.get(vr, "ANONYMOUS")


def shifted(vr: str, value: Any, days: int) -> Any:
    """Move dates back; times of day stay. What is no date becomes empty."""
    if vr == "TM" or not value:
        return value
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return _moved(str(value), days)
    return [_moved(str(each), days) for each in value]


def _moved(text: str, days: int) -> str:
    found = _DAY.match(text.strip())
    if found is None:
        return ""
    year, month, day, rest = found.groups()
    try:
        moved = date(int(year), int(month), int(day)) - timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved:%Y%m%d}{rest}"


def capped_age(value: Any) -> str:
    """Return an age in which nobody is older than 89, since the very old are few; 090Y means older."""
    text = str(value or "").strip()
    if not re.match(r"^\d{3}[DWMY]$", text):
        return ""
    return "090Y" if text[-1] == "Y" and int(text[:3]) > OLDEST else text
