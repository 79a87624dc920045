"""What the page shows of a cohort: histograms, and a few samples of each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.doctor.data.png import thumbnail
from common.charts.plot import Plot
from common.charts.scale import Axis, axis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from client.doctor.data.look import StudyLook

EACH = 6
"""Samples shown of a class."""
BINS = 32
LOOKED_AT = 2000
FEATURES = 12


@dataclass(frozen=True)
class Gallery:
    """Samples of one class, as pictures."""

    title: str
    pictures: tuple[str, ...]


def galleries(look: StudyLook) -> Iterator[Gallery]:
    """Yield some samples of each class, evenly spread over its training patients."""
    import numpy as np

    cohort = look.cohort
    if cohort is None or cohort.inputs.ndim < 4 or cohort.targets.ndim != 1:
        return
    for number, name in enumerate(look.classes):
        rows = np.flatnonzero(cohort.targets == number)
        if not len(rows):
            continue
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(EACH, len(rows))).round().astype(int))
        yield Gallery(name, tuple(thumbnail(cohort.inputs[row]) for row in rows[chosen]))


def histograms(look: StudyLook) -> Iterator[Plot]:
    """Yield how values, samples of a patient and pixel spacings are spread."""
    import numpy as np

    cohort = look.cohort
    if cohort is None:
        return
    rows = np.unique(np.linspace(0, cohort.samples - 1, min(LOOKED_AT, cohort.samples)).astype(int))
    inputs = cohort.inputs[rows]
    if look.spec.kind == "table":
        yield from _features(look, inputs)
    else:
        yield _plot(
            "Values of the samples", "value, as the model sees it", "values", inputs.ravel()
        )
    yield _plot("Samples of a patient", "samples", "patients", np.bincount(cohort.patient))
    if cohort.targets.ndim == 2:
        yield _plot("Targets", "target, scaled", "samples", cohort.targets.ravel())
    if look.survey is not None:
        spacings = [
            place[0] for place, count in look.survey.spacings.items() if place for _ in range(count)
        ]
        if spacings:
            yield _plot("Pixel spacing", "mm", "images", np.array(spacings))


def _features(look: StudyLook, inputs: NDArray[np.float32]) -> Iterator[Plot]:
    """A feature's first input is its value, or its first category."""
    place = 0
    for feature in getattr(look.spec, "features", ())[:FEATURES]:
        yield _plot(feature.name, "as the model sees it", "samples", inputs[:, place])
        place += feature.width


def _plot(title: str, x_label: str, y_label: str, values: NDArray[np.generic]) -> Plot:
    import numpy as np

    counts, edges = np.histogram(values.astype(np.float64), bins=BINS)
    width, height = 460, 240
    low, high = float(edges[0]), float(edges[-1])
    texts = tuple(
        f"{a:.4g} to {b:.4g}: {count:,}"
        for a, b, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    )
    return Plot(  # bars stand at their number, since each is drawn one unit wide
        title=title,
        summary=f"{int(counts.sum()):,} {y_label} from {low:.4g} to {high:.4g}.",
        x_label=f"{x_label}, from {low:.4g} to {high:.4g}",
        y_label=y_label,
        x=Axis(0.0, float(BINS), (), 52, width - 8),
        y=axis([0.0, float(counts.max(initial=1))], height - 40, 24, limits=(0.0, None)),
        bars=tuple((index + 0.5, float(count)) for index, count in enumerate(counts.tolist())),
        bar_texts=texts,
        legend=False,
        width=width,
        height=height,
    )
