"""Turns times until an event, or until a patient was last seen without it, into intervals lived through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.data_spec import FollowUp


def hazard_targets(
    event: NDArray[np.int64], time: NDArray[np.float64], follow_up: FollowUp
) -> NDArray[np.float32]:
    """Return how many intervals each patient is known to have lived through, and whether the event ended it.

    Who is lost in the middle of an interval counts as having lived through it if more than half of it was seen: the
    rule of Gensheimer and Narasimhan (2019, "A scalable discrete-time survival model for neural networks"). An event
    after the last edge counts as none: by then nobody looks.

    Args:
        event: [N] 1 where the event came, 0 where it had not when the patient was last seen.
        time: [N] of the one or the other, in the follow-up's unit, 0 or later.
        follow_up: unit and edges.

    Returns:
        [N, 2] float32: intervals lived through (0 … all), event (0 or 1).
    """
    ends = np.asarray(follow_up.edges)
    middles = (ends + np.concatenate([[0.0], ends[:-1]])) / 2
    came = (event == 1) & (time <= ends[-1])
    before_event = np.searchsorted(ends, time, side="left")
    seen = np.searchsorted(middles, time, side="left")
    lived = np.where(came, before_event, seen)
    return np.stack([lived, came], axis=1).astype(np.float32)
