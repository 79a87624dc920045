"""The learning rate of a round."""

from __future__ import annotations

import math

from common.study import RateSchedule, Study


def learning_rate(study: Study, round_: int) -> float:
    """Return the learning rate of a round, from 1; public, as it follows from the study alone.

    Cosine decay is that of Loshchilov and Hutter 2017, without restarts.
    """
    full, schedule = study.training.learning_rate, study.training.schedule
    if schedule is None:
        return full
    if round_ <= schedule.warmup_rounds:
        return full * round_ / (schedule.warmup_rounds + 1)
    return full * _share(schedule, round_ - 1 - schedule.warmup_rounds, study.federation.rounds)


def _share(schedule: RateSchedule, done: int, rounds: int) -> float:
    """Return the share of the full rate after some rounds at it."""
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "step":
        return schedule.factor ** (done // schedule.every)
    past = min(1.0, done / max(1, rounds - 1 - schedule.warmup_rounds))
    left = (1 + math.cos(math.pi * past)) / 2 if schedule.name == "cosine" else 1 - past
    return schedule.final_share + (1 - schedule.final_share) * left
