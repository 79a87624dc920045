"""Encodes a table's columns as inputs in [-1, 1], by public constants only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import tabular
from client.data.config import TableDataset
from common.data_spec import Feature, TableSpec
from common.errors import DataError

_TRUE = {"1", "1.0", "true", "t", "yes", "y"}
_FALSE = {"0", "0.0", "false", "f", "no", "n"}
SUSPICIOUS = 0.5


def encode(
    frame: pd.DataFrame, dataset: TableDataset, spec: TableSpec
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return the inputs [N, F] and notes about columns that look wrong."""
    blocks: list[NDArray[np.float32]] = []
    notes: list[str] = []
    for feature in spec.features:
        values = _values(frame, dataset, feature)
        missing = tabular.is_missing(values, dataset)
        if feature.type == "number":
            block, missing = _number(values, missing, feature, dataset, notes)
        elif feature.type == "flag":
            block, missing = _flag(values, missing, feature, dataset)
        else:
            block = _category(values, missing, feature, notes)
        blocks.append(block)
        if feature.missing_indicator:
            blocks.append(np.where(missing, 1.0, -1.0).astype(np.float32)[:, None])
        if len(missing) and missing.all() and feature.name not in dataset.absent:
            notes.append(f"'{feature.name}' is missing in every row.")
    return np.concatenate(blocks, axis=1), tuple(notes)


def _values(frame: pd.DataFrame, dataset: TableDataset, feature: Feature) -> pd.Series[Any]:
    if feature.name in dataset.absent:
        return pd.Series([""] * len(frame), dtype=str)
    column = frame[dataset.local(feature.name)]
    return tabular.replaced(column, dataset.replace.get(feature.name, {}))


def _number(
    values: pd.Series[Any],
    missing: NDArray[np.bool_],
    feature: Feature,
    dataset: TableDataset,
    notes: list[str],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Clip to the public range and scale; unreadable numbers count as missing."""
    low, high = float(feature.minimum or 0.0), float(feature.maximum or 0.0)
    parsed = tabular.numbers(values, dataset)
    unread = int((np.isnan(parsed) & ~missing).sum())
    if unread and unread == int((~missing).sum()):
        raise DataError(
            f"None of the {unread} values of '{dataset.local(feature.name)}' is a number.",
            where=str(dataset.path),
            fix="Check columns, decimal and replace in site.toml.",
        )
    if unread:
        notes.append(f"'{feature.name}': {unread} values are no numbers and count as missing.")
    parsed = parsed * dataset.scale.get(feature.name, 1.0) + dataset.offset.get(feature.name, 0.0)
    missing = np.isnan(parsed)
    outside = int(((parsed < low) | (parsed > high)).sum())
    if outside > SUSPICIOUS * max(1, int((~missing).sum())):
        notes.append(
            f"'{feature.name}': {outside} values are outside {low:g} to {high:g}: check the unit."
        )
    middle = (low + high) / 2.0
    fill = middle if feature.fill is None else float(feature.fill)
    filled = np.clip(np.where(missing, fill, parsed), low, high)
    return ((filled - middle) / (high - middle)).astype(np.float32)[:, None], missing


def _flag(
    values: pd.Series[Any], missing: NDArray[np.bool_], feature: Feature, dataset: TableDataset
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    folded = values.str.casefold()
    true, false = folded.isin(_TRUE).to_numpy(bool), folded.isin(_FALSE).to_numpy(bool)
    unread = int((~true & ~false & ~missing).sum())
    if unread:
        raise DataError(
            f"{unread} values of '{dataset.local(feature.name)}' are neither yes nor no.",
            where=str(dataset.path),
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
    hot = np.stack([tabular.matches(values, [c]) for c in categories], axis=1)
    encoded = np.where(hot, 1.0, -1.0)
    other = int((~hot.any(axis=1) & ~missing).sum())
    if other:
        notes.append(f"'{feature.name}': {other} values are in no category of the study.")
    if feature.fill is not None:
        names = [tabular.as_text(c) for c in categories]
        encoded[missing] = np.where(np.array(names) == tabular.as_text(feature.fill), 1.0, -1.0)
    else:
        encoded[missing] = 0.0
    return encoded.astype(np.float32)
