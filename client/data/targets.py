"""Turns a column of target values or labels into class numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells
from client.data.follow_up import hazard_targets
from common.data_spec import ClassedSpec, Scalar
from common.errors import DataError, StudyError

_NAMED = 5
_TOO_MANY = 20
_WHOLE = re.compile(r"(\d+)(?:[.,]0{1,2})?")
"""Many programs write a column of class numbers that has gaps as 0.0 and 1.0."""


def class_numbers(
    values: pd.Series[Any],
    spec: ClassedSpec,
    classes: Sequence[str] | None,
    *,
    where: str,
    identifiers: Collection[str] = (),
) -> NDArray[np.int64]:
    """Map target values by the study's `positive` or `classes`.

    Raises:
        StudyError: the study's classes and its task's do not agree.
        DataError: a value belongs to no class.
    """
    numbers = np.full(len(values), -1, dtype=np.int64)
    for number, group in enumerate(_groups(spec, classes)):
        if group is None:
            numbers[:] = number
        else:
            numbers[cells.matches(values, group)] = number
    unknown = values[numbers < 0]
    if len(unknown):
        allowed = [cells.as_text(v) for group in _groups(spec, classes) for v in group or ()]
        raise unknown_values(unknown, allowed, where=where, identifiers=identifiers)
    return numbers


def with_time(
    numbers: NDArray[Any], time: NDArray[np.float64] | None, spec: ClassedSpec
) -> NDArray[Any]:
    """Return the targets as they are, or with a follow-up the intervals lived through and the event, [N, 2].

    Args:
        numbers: [N, ...]; with a follow-up classes [N], of which 1 is the event.
        time: [N] until the event or last sight, in the follow-up's unit; none without a follow-up.
        spec: the study's `[data]`.
    """
    if spec.follow_up is None or time is None:
        return numbers
    return hazard_targets(numbers, time, spec.follow_up)


def _groups(spec: ClassedSpec, classes: Sequence[str] | None) -> list[tuple[Scalar, ...] | None]:
    """Return each class's values in order; None stands for all others and comes first."""
    if spec.positive is not None:
        if classes is not None and len(classes) != 2:
            raise StudyError(
                f"positive makes two classes, but the task has {len(classes)}.",
                where="[data] positive",
                fix="Use classes = {name = [values]} instead.",
            )
        return [spec.negative, spec.positive]
    mapping = spec.classes or {}
    if classes is not None and set(classes) != set(mapping):
        raise StudyError(
            f"[data] classes has {sorted(mapping)}, the task has {sorted(classes)}.",
            where="[data] classes",
            fix="Give both the same names.",
        )
    return [mapping[name] for name in (classes or mapping)]


def label_numbers(
    values: Sequence[str],
    classes: Sequence[str],
    *,
    where: str,
    identifiers: Collection[str] = (),
    fix: str = "",
) -> list[int]:
    """Map labels that are class names (upper and lower case alike) or all class numbers from 0 (1, 01 and 1.0 alike).

    Args:
        values: the labels.
        classes: names in order.
        where: file and column, for the message.
        identifiers: patients' identifiers, never to be quoted.
        fix: what to do where a label is no class; without it, what a table's description can do.

    Raises:
        DataError: a label is no class; it is quoted unless it may identify somebody.
    """
    number = {name.casefold(): index for index, name in enumerate(classes)}
    number |= {name: index for index, name in enumerate(classes)}
    if not any(name.isdecimal() for name in classes) and all(map(_WHOLE.fullmatch, values)):
        number = {str(index): index for index in range(len(classes))}
    found = [
        number.get(value, number.get(value.casefold(), number.get(_whole(value), -1)))
        for value in values
    ]
    unknown = [value for value, index in zip(values, found, strict=True) if index < 0]
    if unknown:
        raise unknown_values(unknown, classes, where=where, identifiers=identifiers, fix=fix)
    return found


def _whole(value: str) -> str:
    """Write a whole number without zeros before or after it; leave other words alone."""
    match = _WHOLE.fullmatch(value)
    return str(int(match[1])) if match else value


def unknown_values(
    unknown: Iterable[str],
    allowed: Sequence[str],
    *,
    where: str,
    identifiers: Collection[str] = (),
    fix: str = "",
) -> DataError:
    """Describe values that belong to no class; many different ones look like a wrong column."""
    counted = list(unknown)
    distinct = sorted(set(counted))
    fix = fix or (
        f"Allowed: {', '.join(allowed)}. Map others with `replace` in site.toml, "
        "or list them in `missing`: such rows are left out."
    )
    if len(distinct) > _TOO_MANY or any(value in identifiers for value in distinct):
        what = f"{len(counted)} rows have {len(distinct)} different values that are no class."
        return DataError(what, where=where, fix=f"Is it the right column? {fix}")
    named = ", ".join(repr(value[:40]) for value in distinct[:_NAMED])
    more = " and others" if len(distinct) > _NAMED else ""
    return DataError(f"{len(counted)} rows have no class: {named}{more}.", where=where, fix=fix)
