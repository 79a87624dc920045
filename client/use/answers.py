"""From a network's outputs to what people read: chances of classes, values in their unit, risks over time.

A task may say it itself: a method `answers(outputs) -> dict[str, list]`, columns with one value a sample, goes before
what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from common.study import Study
from common.tasks.base import Task

Columns = dict[str, list[Any]]


def answers(study: Study, task: Task, outputs: torch.Tensor) -> Columns:
    """Return named columns with one value for each row of outputs.

    Args:
        study: whose model it is.
        task: its task.
        outputs: `[B, outputs]`.
    """
    own: Callable[[torch.Tensor], Columns] | None = getattr(task, "answers", None)
    if own is not None:
        return own(outputs)
    known = {"class": _classes, "classes": _findings, "values": _values}
    return known.get(study.data.target_kind, _plain)(study, task, outputs.double())


def _classes(study: Study, task: Task, outputs: torch.Tensor) -> Columns:
    """The likeliest class, and every class's chance; of a task whose outputs are no classes, the outputs."""
    names = task.classes or _numbered(outputs)
    if len(names) != outputs.shape[1]:
        return _plain(study, task, outputs)
    chances = outputs.softmax(1)
    likeliest = {"predicted": [names[number] for number in outputs.argmax(1).tolist()]}
    return likeliest | _columns([f"p_{name}" for name in names], chances)


def _findings(study: Study, task: Task, outputs: torch.Tensor) -> Columns:
    """Every finding's chance."""
    return _columns([f"p_{name}" for name in task.classes or _numbered(outputs)], outputs.sigmoid())


def _values(study: Study, task: Task, outputs: torch.Tensor) -> Columns:
    """Forecasts in the series' unit, inside its public range."""
    data = study.data
    if data.kind != "series":
        return _plain(study, task, outputs)
    middle, half = (data.maximum + data.minimum) / 2, (data.maximum - data.minimum) / 2
    names = [f"after_{minutes:g}_minutes" for minutes in data.horizons_minutes]
    return _columns(names, middle + half * outputs.clamp(-1, 1))


def _plain(study: Study, task: Task, outputs: torch.Tensor) -> Columns:
    """The outputs as they are."""
    flat = outputs.flatten(1)
    return _columns([f"output_{number}" for number in _numbered(flat)], flat)


def _numbered(outputs: torch.Tensor) -> Sequence[str]:
    return [str(number) for number in range(outputs.shape[1])]


def _columns(names: Sequence[str], values: torch.Tensor) -> Columns:
    rounded = [[round(value, 6) for value in column] for column in values.T.tolist()]
    return dict(zip(names, rounded, strict=True))
