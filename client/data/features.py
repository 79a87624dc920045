"""Encodes a table's columns as inputs in [-1, 1], by public constants only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells
from client.data.config_base import TextFormat
from client.data.units import conversion
from common.data_spec import Feature
from common.errors import DataError

_TRUE = {"1", "1.0", "true", "t", "yes", "y"}
_FALSE = {"0", "0.0", "false", "f", "no", "n"}
SUSPICIOUS = 0.5


@dataclass(frozen=True)
class Columns:
    """How a site writes the columns of one table.

    Attributes:
        text: names, words and units.
        where: the file, for messages.
        absent: features that the site does not record.
    """

    text: TextFormat
    where: str
    absent: Collection[str] = ()


def encode(
    frame: pd.DataFrame, columns: Columns, features: Sequence[Feature]
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return the inputs [N, F] and notes about columns that look wrong."""
    blocks: list[NDArray[np.float32]] = [np.empty((len(frame), 0), np.float32)]
    notes: list[str] = []
    for feature in features:
        values = _values(frame, columns, feature)
        missing = cells.is_missing(values, columns.text)
        if feature.type == "number":
            block, missing = _number(values, missing, feature, columns, notes)
        elif feature.type == "flag":
            block, missing = _flag(values, missing, feature, columns)
        else:
            block = _category(values, missing, feature, notes)
        blocks.append(block)
        if feature.missing_indicator:
            blocks.append(np.where(missing, 1.0, -1.0).astype(np.float32)[:, None])
        if len(missing) and missing.all() and feature.name not in columns.absent:
            notes.append(f"'{feature.name}' is missing in every row.")
    return np.concatenate(blocks, axis=1), tuple(notes)


def _values(frame: pd.DataFrame, columns: Columns, feature: Feature) -> pd.Series[Any]:
    if feature.name in columns.absent:
        return pd.Series([""] * len(frame), dtype=str)
    column = frame[columns.text.local(feature.name)]
    return cells.replaced(column, columns.text.replace.get(feature.name, {}))


def _number(
    values: pd.Series[Any],
    missing: NDArray[np.bool_],
    feature: Feature,
    columns: Columns,
    notes: list[str],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Clip to the public range and scale; unreadable and impossible numbers count as missing."""
    low, high = float(feature.minimum or 0.0), float(feature.maximum or 0.0)
    unit = conversion(feature.name, feature.unit, columns.text, where=columns.where)
    parsed = _parsed(values, missing, feature, columns, notes) * unit.factor + unit.offset
    impossible = _impossible(parsed, feature)
    if impossible.any():
        count = int(impossible.sum())
        notes.append(f"'{feature.name}': {count} values are impossible and count as missing.")
        parsed[impossible] = np.nan
    missing = np.isnan(parsed)
    outside = int(((parsed < low) | (parsed > high)).sum()) + int(impossible.sum())
    if outside > SUSPICIOUS * max(1, int((~missing | impossible).sum())):
        notes.append(
            f"'{feature.name}': {outside} values are outside {low:g} to {high:g}: check the unit."
        )
    middle = (low + high) / 2.0
    fill = middle if feature.fill is None else float(feature.fill)
    filled = np.clip(np.where(missing, fill, parsed), low, high)
    return ((filled - middle) / (high - middle)).astype(np.float32)[:, None], missing


def _parsed(
    values: pd.Series[Any],
    missing: NDArray[np.bool_],
    feature: Feature,
    columns: Columns,
    notes: list[str],
) -> NDArray[np.float64]:
    """Read numbers, NaN where there is none.

    Raises:
        DataError: not one of the values is a number.
    """
    parsed = cells.numbers(values, columns.text)
    unread = int((np.isnan(parsed) & ~missing).sum())
    if unread and unread == int((~missing).sum()):
        raise DataError(
            f"None of the {unread} values of '{columns.text.local(feature.name)}' is a number.",
            where=columns.where,
            fix="Check columns, decimal, thousands and replace in site.toml.",
        )
    if unread:
        notes.append(f"'{feature.name}': {unread} values are no numbers and count as missing.")
    return parsed


def _impossible(values: NDArray[np.float64], feature: Feature) -> NDArray[np.bool_]:
    low = -np.inf if feature.valid_minimum is None else feature.valid_minimum
    high = np.inf if feature.valid_maximum is None else feature.valid_maximum
    return (values < low) | (values > high)


def _flag(
    values: pd.Series[Any], missing: NDArray[np.bool_], feature: Feature, columns: Columns
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    folded = values.str.casefold()
    true, false = folded.isin(_TRUE).to_numpy(bool), folded.isin(_FALSE).to_numpy(bool)
    unread = int((~true & ~false & ~missing).sum())
    if unread:
        raise DataError(
            f"{unread} values of '{columns.text.local(feature.name)}' are neither yes nor no.",
            where=columns.where,
            fix=f"Map them in site.toml: replace.{feature.name} = {{value = true}}.",
        )
    neutral = 0.0 if feature.fill is None else float(feature.fill) * 2.0 - 1.0
    encoded = np.where(missing, neutral, np.where(true, 1.0, -1.0))
    return encoded.astype(np.float32)[:, None], missing


def _category(
    values: pd.Series[Any], missing: NDArray[np.bool_], feature: Feature, notes: list[str]
) -> NDArray[np.float32]:
    """One-hot: 1 and -1; a missing value without fill is 0 throughout."""
    categories = feature.categories or ()
    hot = np.stack([cells.matches(values, [c]) for c in categories], axis=1)
    encoded = np.where(hot, 1.0, -1.0)
    other = int((~hot.any(axis=1) & ~missing).sum())
    if other:
        notes.append(f"'{feature.name}': {other} values are in no category of the study.")
    if feature.fill is not None:
        names = [cells.as_text(c) for c in categories]
        encoded[missing] = np.where(np.array(names) == cells.as_text(feature.fill), 1.0, -1.0)
    else:
        encoded[missing] = 0.0
    return encoded.astype(np.float32)
