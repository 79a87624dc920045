"""When a round is over, as coordinator and sites both work it out from a message's own times."""

from __future__ import annotations

LATE = 60.0
"""Seconds after the deadline in which an answer is still accepted, to be noted only."""


def lifetime(left: float, deadline: float) -> float:
    """Return for how many seconds a message that is sent now is handed on.

    Args:
        left: seconds until the round's deadline.
        deadline: the study's `deadline_seconds`.
    """
    return left + min(deadline, LATE)


def ends(created_at: float, lifetime: float, deadline: float) -> float:
    """Return when the round of a message is over, by the clock of whoever sent it.

    Args:
        created_at: when the message was made, in seconds since 1970.
        lifetime: the message's, in seconds.
        deadline: the study's `deadline_seconds`.
    """
    return created_at + lifetime - min(deadline, LATE)
