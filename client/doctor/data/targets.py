"""What there is to learn: patients and samples of each class, with each finding, with points, or with the event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from client.doctor.findings import Finding, amber, green

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from client.data.cohort import Cohort
    from common.data_spec import DataSpec

ABSENT = "A class that is absent from a split is neither learned nor judged."
ONE_CLASS = (
    "If you do have the other classes, see that the labels are complete and that `replace` in site.toml maps "
    "them as meant."
)
NOT_SHOWN = (
    "What no image of a split shows is neither learned nor judged here; other sites may have it. If you do have it, "
    "see that the labels are complete."
)
NO_EVENT = (
    "Without an event in a split nothing is learned or judged there; other sites may have some. If you do have some, "
    "see that `replace` in site.toml maps the words for it as meant, and that times are in the study's unit: an event "
    "after the last edge counts as none."
)
AT_ONCE = "Compare the times' zero and unit with the study's: it then learns nothing about when the event comes."


def check(cohort: Cohort, spec: DataSpec, classes: Sequence[str]) -> Iterator[Finding]:
    """Yield a line for all that is to be learned, amber where a split has none of it.

    Args:
        cohort: the prepared patients.
        spec: the study's `[data]`.
        classes: the task's classes or findings; empty where it has none.
    """
    kind, targets = spec.target_kind, cohort.targets
    if kind == "class" and classes and targets.ndim == 1:
        yield from _classes(cohort, classes)
    elif kind == "classes" and classes and targets.ndim == 2:
        for number, name in enumerate(classes):
            yield _counted(cohort, targets[:, number] == 1, f"finding '{name}'", NOT_SHOWN)
    elif kind == "points":
        name = getattr(spec, "structures", ("points",))[0]
        shown = targets[..., -1].max(axis=1) > 0  # diameters; -1 fills what is free
        yield _counted(cohort, shown, f"images with '{name}'", NOT_SHOWN)
    elif kind == "hazard":
        yield from _event(cohort, targets)


def _classes(cohort: Cohort, classes: Sequence[str]) -> Iterator[Finding]:
    trained = 0
    for number, name in enumerate(classes):
        mine = cohort.targets == number
        trained += bool((mine & _training(cohort)).any())
        yield _counted(cohort, mine, f"class '{name}'", ABSENT)
    if trained < 2:
        yield amber(
            "All training patients here are of one class. The site can take part, since others may have the rest; "
            "what is computed here alone tells nothing apart.",
            ONE_CLASS,
        )


def _event(cohort: Cohort, targets: NDArray[Any]) -> Iterator[Finding]:
    """Targets are [N, 2]: intervals lived through, and whether the event came then."""
    came = targets[:, 1] > 0
    yield _counted(cohort, came, "with the event", NO_EVENT)
    trains = _training(cohort)
    if trains.any() and (came & (targets[:, 0] == 0))[trains].all():
        yield amber("Everybody who trains here has the event in the first interval.", AT_ONCE)


def _counted(cohort: Cohort, mine: NDArray[np.bool_], what: str, fix: str) -> Finding:
    """Count patients (those with at least one such sample) and samples."""
    import numpy as np

    trains = _training(cohort)
    counts = [
        f"{len(np.unique(cohort.patient[mine & role])):,} patients ({int((mine & role).sum()):,} samples) {word}"
        for role, word in ((trains, "train"), (~trains, "held out"))
    ]
    text = f"{what}: {', '.join(counts)}"
    both = (mine & trains).any() and (mine & ~trains).any()
    return green(text) if both else amber(text, fix)


def _training(cohort: Cohort) -> NDArray[np.bool_]:
    """Tell which samples train."""
    found: NDArray[np.bool_] = ~cohort.is_test[cohort.patient]
    return found
