"""How much of a fused sample's score hangs on each of its parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from client.explain import drawings
from client.explain.fields import Field, Fields
from client.explain.page import Figure, SampleShown, svg
from client.explain.views import View
from common.data_spec import DataSpec, FusedSpec

READING = (
    "How much it falls when all of a part becomes that of its comparison. "
    "Orange raises it, blue lowers it."
)


def parts_shown(views: Sequence[View], spec: DataSpec, stem: str, title: str) -> list[SampleShown]:
    """Return the parts of a fused sample beside each other; nothing of other data.

    Args:
        views: one a part that is there.
        spec: the study's `[data]`.
        stem: of the file's name.
        title: of the sample.
    """
    if not isinstance(spec, FusedSpec):
        return []
    there = {view.name for view in views}
    missing = [name for name in sorted(spec.parts) if name not in there]
    fields = Fields(tuple(Field(view.name, words=("there",)) for view in views))
    falls = np.array([v.question.value - v.question.start for v in views], np.float32)
    drawn = drawings.bars(falls, np.ones(len(views), np.float32), fields, signed=True)
    figure = Figure(f"{stem}-parts.svg", "The parts", READING, svg("bars", drawn, True))
    question = views[0].question
    return [
        SampleShown(
            title=f"{title}: all parts",
            meaning=question.score.meaning,
            score=f"{question.value:.3g}",
            start="each part's own, see below",
            figures=(figure,),
            notes=tuple(f"The part '{name}' is missing." for name in missing),
        )
    ]
