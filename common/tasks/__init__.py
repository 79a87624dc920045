"""What is learned. One file a task: loss per sample, additive statistics, final metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import plugins
from common.data_spec.base import TARGETS
from common.errors import StudyError

if TYPE_CHECKING:
    from common.study import Study
    from common.tasks.base import Task


def build_task(study: Study) -> Task:
    """Return the task that a study names, with its options.

    Raises:
        StudyError: there is no such task, an option is wrong, or the study's data give it no targets.
    """
    family = plugins.load("tasks", study.task.name)
    _require_targets(study, family.targets)
    options = plugins.parse_options(family.Options, study.task.options, where="[task]")
    task: Task = family(options, study)
    if not study.evaluation.subgroups:
        return task
    return _by_subgroup(task, family(options, _coarser(study)), study)


def _coarser(study: Study) -> Study:
    """Return the study with the score bins of its subgroups."""
    rules = study.evaluation
    coarser = rules.model_copy(update={"score_bins": rules.subgroup_bins, "subgroups": ()})
    return study.model_copy(update={"evaluation": coarser})


def _by_subgroup(whole: Task, part: Task, study: Study) -> Task:
    from common.tasks.subgroups import Subgrouped

    return Subgrouped(whole, part, study.evaluation.subgroups, study.evaluation.smallest_group)


def _require_targets(study: Study, wanted: frozenset[str]) -> None:
    """Refuse data whose targets are not what the task learns from."""
    given = study.data.target_kind
    if given in wanted:
        return
    words = " or ".join(TARGETS.get(kind, kind) for kind in sorted(wanted))
    raise StudyError(
        f"Task '{study.task.name}' learns from {words}, but the study's data give {TARGETS.get(given, given)}.",
        where="[task] name and [data]",
        fix="Choose another task, or data of another kind; of images, [data] labels says what is known of them.",
    )
