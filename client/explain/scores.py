"""What can be explained of a network's answer: one number a sample that goes up when the answer is given more surely.

A task may say it itself: a method `scores() -> dict[str, Callable]`, from names to functions of outputs `[B, ...]` that
give `[B]`, goes before what stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from common import plugins
from common.errors import StudyError
from common.study import Study
from common.tasks.base import Task

Measure = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Score:
    """A number that is explained.

    Attributes:
        name: what the user asks for: a class, a finding, a time, a structure.
        meaning: what the number is, with its unit.
        of: from outputs `[B, outputs, ...]` to the number of every sample, `[B]`.
    """

    name: str
    meaning: str
    of: Measure


def scores_of(study: Study, task: Task) -> list[Score]:
    """Return what can be explained of a study's model, in the order of its outputs."""
    own = getattr(task, "scores", None)
    if callable(own):
        return [Score(name, name, measure) for name, measure in own().items()]
    known = {
        "class": _classes,
        "classes": _findings,
        "value": _value,
        "values": _values,
        "hazard": _risks,
        "mask": _areas,
    }
    return known.get(study.data.target_kind, _plain)(study, task)


def asked(scores: list[Score], wanted: str) -> Score:
    """Return the score of a name.

    Raises:
        StudyError: there is none; the known ones are listed.
    """
    by_name = {score.name: score for score in scores}
    if wanted not in by_name:
        raise StudyError(
            f"The model has no answer '{wanted}'.",
            where="--target",
            fix=f"{plugins.nearest(wanted, by_name)}It has: {', '.join(by_name)}.",
        )
    return by_name[wanted]


def usual(study: Study, scores: list[Score], outputs: Tensor) -> Score:
    """Return what is explained where nobody asks: of two classes the second, of more the likeliest, else the first.

    Args:
        study: whose model it is.
        scores: what can be explained.
        outputs: `[1, outputs, ...]` of the case.
    """
    kind = study.data.target_kind
    if (kind == "class" and len(scores) > 2) or kind == "classes":
        return max(scores, key=lambda score: float(score.of(outputs)[0]))
    return scores[-1] if kind in ("class", "hazard") else scores[0]


def _classes(study: Study, task: Task) -> list[Score]:
    names = task.classes or _numbered(task)
    if len(names) != task.outputs:  # of another package, with outputs that are no classes
        return _plain(study, task)
    return [Score(n, f"log odds of {n}", _log_odds(i, len(names))) for i, n in enumerate(names)]


def _log_odds(number: int, classes: int) -> Measure:
    others = [other for other in range(classes) if other != number]
    return lambda outputs: outputs[:, number] - outputs[:, others].logsumexp(1)


def _findings(study: Study, task: Task) -> list[Score]:
    names = task.classes or _numbered(task)
    return [Score(n, f"log odds of {n}", _output(i)) for i, n in enumerate(names)]


def _value(study: Study, task: Task) -> list[Score]:
    span = getattr(study.data, "value", None)
    if span is None or task.outputs != 1:
        return _plain(study, task)
    name = str(getattr(study.data, "target", "value"))
    told = f"{name} ({span.unit})" if span.unit else name
    return [Score(name, told, _scaled(0, span.middle, span.half_range))]


def _values(study: Study, task: Task) -> list[Score]:
    data = study.data
    if data.kind != "series":
        return _plain(study, task)
    middle, half = (data.maximum + data.minimum) / 2, data.half_range
    unit = f" ({data.unit})" if data.unit else ""
    return [
        Score(f"{minutes:g}", f"forecast after {minutes:g} minutes{unit}", _scaled(i, middle, half))
        for i, minutes in enumerate(data.horizons_minutes)
    ]


def _scaled(number: int, middle: float, half: float) -> Measure:
    return lambda outputs: middle + half * outputs[:, number]


def _risks(study: Study, task: Task) -> list[Score]:
    follow_up = getattr(study.data, "follow_up", None)
    if follow_up is None:
        return _plain(study, task)
    start, unit = float(getattr(task, "usual", 0.0)), follow_up.unit
    return [
        Score(f"{edge:g}", f"log odds of the event within {edge:g} {unit}", _risk_by(i, start))
        for i, edge in enumerate(follow_up.edges)
    ]


def _risk_by(number: int, start: float) -> Measure:
    """Return the log odds of the event at all until the end of an interval; outputs are those of each interval."""

    def measure(outputs: Tensor) -> Tensor:
        spared = F.softplus(outputs[:, : number + 1] + start).sum(1)
        return spared + torch.log(-torch.expm1(-spared))

    return measure


def _areas(study: Study, task: Task) -> list[Score]:
    names = getattr(study.data, "structures", ())
    return [
        Score(name, f"share of the image that is {name} (%)", _area(number))
        for number, name in enumerate(names, start=1)
    ]


def _area(number: int) -> Measure:
    return lambda outputs: 100 * outputs.softmax(1)[:, number].flatten(1).mean(1)


def _plain(study: Study, task: Task) -> list[Score]:
    """The outputs as they are; of a map, its highest value."""
    return [Score(name, f"output {name}", _output(i)) for i, name in enumerate(_numbered(task))]


def _output(number: int) -> Measure:
    def measure(outputs: Tensor) -> Tensor:
        own = outputs[:, number]
        return own if own.ndim == 1 else own.flatten(1).amax(1)

    return measure


def _numbered(task: Any) -> list[str]:
    return [str(number) for number in range(task.outputs)]
