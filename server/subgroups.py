"""The hospitals as a subgroup: the figures of each, as far as its statistics allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from common.tasks.base import Metrics, Task
from common.tasks.small_cells import hidden_groups
from common.tasks.subgroups import group_row


def by_hospital(task: Task, metrics: Mapping[str, Metrics], least: int) -> list[dict[str, Any]]:
    """Return the table of hospitals for the report; none where there are fewer than two.

    Hospitals with few held-out patients are left empty, and with them others, so that no difference from the pooled
    figures gives them away.

    Args:
        task: what is learned.
        metrics: each hospital's figures.
        least: the smallest number of patients to show.
    """
    if len(metrics) < 2:
        return []
    counts = [_whole(figures.get("count", 0.0)) for figures in metrics.values()]
    rows = [
        {"name": name, "figures": {}} if out else group_row(name, figures, task.headline, least)
        for (name, figures), out in zip(metrics.items(), hidden_groups(counts, least), strict=True)
    ]
    return [{"name": "hospital", "rows": rows}]


def _whole(count: float) -> int:
    return 0 if math.isnan(count) else max(0, round(count))
