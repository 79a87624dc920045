"""Ends a run that does not get better, judged by the statistics that the sites released anyway."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from common.study import Study
from common.tasks.base import LOWER_IS_BETTER, Task


def learned_enough(study: Study, task: Task, read: Callable[[], list[dict[str, Any]]]) -> bool:
    """Return whether the last evaluations brought no better headline figure than one before them.

    The figures are of the charged tallies, so that the decision is post-processing and costs nothing.

    Args:
        study: says after how many evaluations to stop; none: never.
        task: names the headline figure.
        read: gives the lines of rounds.jsonl.
    """
    patience = study.federation.stop_after
    if patience is None:
        return False
    figures = [(line.get("metrics") or {}).get(task.headline) for line in read()]
    known = [float(figure) for figure in figures if figure is not None and math.isfinite(figure)]
    if len(known) <= patience:
        return False
    sign = -1 if task.headline in LOWER_IS_BETTER else 1
    return max(sign * figure for figure in known[-patience:]) <= max(
        sign * figure for figure in known[:-patience]
    )
