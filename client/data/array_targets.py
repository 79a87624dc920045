"""Reads what is known of each image of an .npz file: its class, findings, mask, points, report, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells
from client.data.config import ArrayDataset
from client.data.config_base import TextFormat
from client.data.points import rows_of
from client.data.targets import label_numbers
from common.data_spec import ArraySpec
from common.data_spec.reports import numbers_of
from common.errors import DataError, StudyError


def target_key(dataset: ArrayDataset, spec: ArraySpec) -> str | None:
    """Return the key of the targets in the file; None where the study wants none.

    Raises:
        StudyError: the study wants targets that such a file does not hold.
    """
    keys = {
        "class": dataset.labels,
        "classes": dataset.labels,
        "mask": dataset.masks,
        "points": dataset.points,
        "text": dataset.labels,
        "none": None,
    }
    if spec.labels not in keys:
        raise StudyError(
            f"Arrays have no labels = '{spec.labels}'.",
            where="[data] labels",
            fix=f"Use {', '.join(repr(name) for name in keys)}.",
        )
    return keys[spec.labels]


def read_targets(
    targets: NDArray[Any], spec: ArraySpec, classes: Sequence[str] | None, dataset: ArrayDataset
) -> NDArray[Any]:
    """Return the targets of a block, `[N, ...]`, as the task wants them.

    Args:
        targets: as the file has them.
        spec: says what they are.
        classes: names of the task's classes or findings in order.
        dataset: where they lie, for messages.

    Raises:
        DataError: they are something else.
    """
    if spec.labels == "mask":
        return _masks(targets, spec, dataset)
    if spec.labels == "points":
        return _points(targets, spec, dataset)
    if spec.labels == "classes":
        return _findings(targets, classes, dataset)
    if spec.labels == "text":
        return _reports(targets, spec, dataset)
    if spec.labels == "none":
        return np.zeros(len(targets), np.int64)
    return _labels(targets, classes, dataset)


def has_label(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which images have a class, `[N]`: the others' is no number, or blank."""
    if labels.size == len(labels) and labels.dtype.kind == "f":
        known: NDArray[np.bool_] = ~np.isnan(labels.reshape(-1))
        return known
    if labels.size == len(labels) and labels.dtype.kind in "US":
        return ~cells.is_missing(pd.Series(_words(labels.reshape(-1)), dtype=str), TextFormat())
    return np.ones(len(labels), dtype=np.bool_)


def _words(labels: NDArray[Any]) -> list[str]:
    """Return class names of text or of bytes, stripped."""
    words = labels.tolist()
    return [(v.decode("utf-8", "replace") if isinstance(v, bytes) else v).strip() for v in words]


def _findings(
    labels: NDArray[Any], findings: Sequence[str] | None, dataset: ArrayDataset
) -> NDArray[np.float32]:
    """Read findings, [N, L]: 1 present, 0 absent, and −1, or no number, unknown."""
    where = f"{dataset.path}, '{dataset.labels}'"
    table = labels.reshape(len(labels), -1)
    wanted = table.shape[1] if findings is None else len(findings)
    if table.shape[1] != wanted or table.dtype.kind not in "buif":
        raise DataError(
            f"The labels are {labels.dtype} of shape {labels.shape[1:]}; the study has {wanted} findings.",
            where=where,
            fix=f"Give each image one number a finding: {', '.join(findings or ())}.",
        )
    values = np.nan_to_num(table.astype(np.float32), nan=-1.0)
    bad = int((~np.isin(values, (-1.0, 0.0, 1.0))).sum())
    if bad:
        raise DataError(
            f"{bad} labels are neither present, absent nor unknown.",
            where=where,
            fix="Write 1, 0 and -1.",
        )
    return values


def _masks(masks: NDArray[Any], spec: ArraySpec, dataset: ArrayDataset) -> NDArray[np.uint8]:
    """Read numbers of structures, [N, rows, columns] or [N, depth, rows, columns]."""
    where = f"{dataset.path}, '{dataset.masks}'"
    if masks.shape[1:] != spec.grid or masks.dtype.kind not in "bui":
        raise DataError(
            f"The masks are {masks.dtype} of shape {masks.shape[1:]}; "
            f"the study wants whole numbers of {spec.grid}.",
            where=where,
            fix=f"Draw the masks on the {spec.things}' own pixels.",
        )
    top = len(spec.structures)
    if masks.size and not 0 <= int(masks.min()) <= int(masks.max()) <= top:
        raise DataError(
            f"The masks hold numbers that are not from 0 to {top}.",
            where=where,
            fix=f"0 is none of the structures; 1, 2, … are: {', '.join(spec.structures)}.",
        )
    return masks.astype(np.uint8)


def _points(points: NDArray[Any], spec: ArraySpec, dataset: ArrayDataset) -> NDArray[np.float32]:
    """Read points in pixels, [N, P, 3], or of volumes [N, P, 4]."""
    where = f"{dataset.path}, '{dataset.points}'"
    width = len(spec.grid) + 1
    if points.ndim != 3 or points.shape[2] != width or points.dtype.kind not in "uif":
        first = "row" if spec.depth is None else "slice, row"
        raise DataError(
            f"The points are {points.dtype} of shape {points.shape[1:]}; numbers of (points, {width}) are wanted.",
            where=where,
            fix=f"Give {first}, column and diameter of each, in pixels.",
        )
    try:
        return np.stack([rows_of(each, spec.grid, spec.point_rows) for each in points])
    except ValueError as error:
        raise DataError(str(error), where=where, fix="Correct the points.") from None


def _reports(labels: NDArray[Any], spec: ArraySpec, dataset: ArrayDataset) -> NDArray[np.int64]:
    """Read reports, [N, words]; the messages name none of their words, which may name people."""
    where = f"{dataset.path}, '{dataset.labels}'"
    if labels.dtype.kind != "U" or labels.size != len(labels):
        raise DataError("The labels are no texts, one an image.", where=where)
    sentences = labels.reshape(-1).tolist()
    try:
        rows = [numbers_of(text, spec.vocabulary, spec.report_words) for text in sentences]
    except ValueError as error:
        raise DataError(
            f"There is an image {error}.",
            where=where,
            fix=f"Write reports of 1 to {spec.report_words} words of the study's vocabulary.",
        ) from None
    return np.array(rows, dtype=np.int64).reshape(len(rows), spec.report_words)


def _labels(
    labels: NDArray[Any], classes: Sequence[str] | None, dataset: ArrayDataset
) -> NDArray[np.int64]:
    """Read class numbers or class names."""
    where = f"{dataset.path}, '{dataset.labels}'"
    if labels.ndim > 1 and labels.size != len(labels):
        raise DataError(
            "There are several labels for each image.",
            where=where,
            fix="Give each image the number of its class; of one column a class, that is labels.argmax(1).",
        )
    flat = labels.reshape(-1)
    names = ", ".join(classes or ())
    if flat.dtype.kind in "US" and classes is not None:
        fix = f"Allowed: {names}. Write these into the file; leave what is not known blank."
        found = label_numbers(_words(flat), classes, where=where, fix=fix)
        return np.array(found, dtype=np.int64)
    if flat.dtype.kind not in "buif" or not np.isfinite(flat.astype(np.float64)).all():
        raise DataError(
            "The labels are no class numbers.",
            where=where,
            fix=f"Write numbers from 0, or the names of the classes: {names}.",
        )
    numbers = flat.astype(np.int64)
    top = len(classes) - 1 if classes is not None else int(numbers.max(initial=0))
    bad = int(((numbers < 0) | (numbers > top) | (numbers != flat)).sum())
    if bad:
        raise DataError(
            f"{bad} labels are not class numbers from 0 to {top}.",
            where=where,
            fix=f"The classes are: {names}.",
        )
    return numbers
