"""What is learned. One file a task: loss per sample, additive statistics, final metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import plugins

if TYPE_CHECKING:
    from common.study import Study
    from common.tasks.base import Task


def build_task(study: Study) -> Task:
    """Return the task that a study names, with its options."""
    family = plugins.load("tasks", study.task.name)
    options = plugins.parse_options(family.Options, study.task.options, where="[task]")
    task: Task = family(options, study)
    return task
