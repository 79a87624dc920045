"""What the words of a cell mean: nothing, a number as the site writes it, the study's word for the site's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data.config_base import TextFormat
from common.data_spec import Scalar

_BLANK = {"", "na", "n/a", "nan", "null", "<na>", "#n/a"}


def is_missing(values: pd.Series[Any], text: TextFormat) -> NDArray[np.bool_]:
    """Tell which values mean "missing"; numbers are compared as numbers (-1 is -1.0, and -1,0)."""
    found = matches(values, text.missing) | values.str.casefold().isin(_BLANK).to_numpy(bool)
    return found | matches(_plain(values, text), text.missing) if _is_odd(text) else found


def matches(values: pd.Series[Any], tokens: Sequence[Scalar]) -> NDArray[np.bool_]:
    """Tell which values are one of the tokens; numbers are compared as numbers."""
    found = values.isin([as_text(token) for token in tokens]).to_numpy(bool, copy=True)
    numbers = [float(token) for token in tokens if _is_number(token)]
    if numbers:
        found |= np.isin(pd.to_numeric(values, errors="coerce").to_numpy(float), numbers)
    return found


def as_text(value: Scalar) -> str:
    """Write a value of a TOML file as a table would (true, 3, 0.5, abc)."""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _is_number(value: Scalar) -> bool:
    try:
        return bool(np.isfinite(float(value))) and not isinstance(value, bool)
    except ValueError:
        return False


def replaced(values: pd.Series[Any], mapping: dict[str, Scalar]) -> pd.Series[Any]:
    """Exchange the site's words for the study's; numbers are compared as numbers."""
    result = values.copy()
    for old, new in mapping.items():
        result[matches(values, [old])] = as_text(new)
    return result


def numbers(values: pd.Series[Any], text: TextFormat) -> NDArray[np.float64]:
    """Return the values as numbers, NaN where they are missing or no finite number."""
    plain = _plain(values, text) if _is_odd(text) else values
    parsed = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, copy=True)
    parsed[is_missing(values, text) | ~np.isfinite(parsed)] = np.nan
    return parsed


def _is_odd(text: TextFormat) -> bool:
    """Tell whether numbers have to be rewritten before they can be read."""
    return text.decimal != "." or text.thousands is not None


def _plain(values: pd.Series[Any], text: TextFormat) -> pd.Series[Any]:
    """Write numbers with a point and without marks between thousands.

    What does not follow the site's marks becomes blank, and so does what could be read in two ways: where the decimal
    mark is a comma, 1.234 may be one and a quarter, or a thousand and more.
    """
    mark = re.escape(text.thousands or ".")
    grouped = values.str.fullmatch(
        rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+(?:{re.escape(text.decimal)}\d*)?"
    )
    if text.thousands is None:
        plain = values.mask(grouped, "")
    else:
        joined = values.str.replace(text.thousands, "", regex=False)
        plain = values.mask(values.str.contains(mark), "").mask(grouped, joined)
    return plain.str.replace(text.decimal, ".", regex=False)
