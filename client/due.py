"""Whether an answer would still count: a site spends nothing on a round that is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.errors import Interrupted


class TooLate(Interrupted):
    """The round that was asked about is over; what was not charged before is not charged now."""

    told = "the round's deadline was over before the site could answer"


@dataclass(frozen=True)
class Due:
    """Until when an answer counts.

    Both times are by the coordinator's clock, so that no two clocks need to agree. A coordinator that still waits,
    since its clock was set forward, say, asks again.

    Attributes:
        round: that was asked about.
        ends: when it is over, in seconds since 1970.
        now: the time.
    """

    round: int
    ends: float
    now: Callable[[], float]

    def check(self) -> None:
        """Go on only while an answer counts.

        Raises:
            TooLate: the round is over.
        """
        late = self.now() - self.ends
        if late > 0:
            raise TooLate(
                f"Round {self.round} was over {late:,.0f} s ago at the coordinator; nothing was sent.",
                fix="Where this happens often, the study's deadline is too short for this site.",
            )


def never() -> None:
    """The check of a request that cannot come too late, as in a simulation."""
