"""How long the agent waits for what its SuperNode is still fetching. Part of the executor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

_SLOWEST_POLL = 0.5
_LOOK_SECONDS, _STOCK_SECONDS = 1.0, 600.0


class Patience:
    """How long to wait for a message that the SuperNode is still fetching.

    It fetches one message at a time, and leaves the task behind when it gives one up, because the run was stopped, say.
    Whoever has asked for work twice since the first look is not fetching any more.

    Args:
        asked: tells how often the SuperNode has asked for work; None from a stock one, which gets ten minutes.
    """

    def __init__(self, asked: Callable[[], int | None]) -> None:
        self._asked = asked
        self._began = time.monotonic()
        self._looked = self._began
        self._first: int | None = None

    def over(self) -> bool:
        """Whether waiting longer is in vain."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        asked = self._asked()
        if asked is None:
            return now - self._began > _STOCK_SECONDS
        if self._first is None:
            self._first = asked
        return asked >= self._first + 2


def pauses() -> Iterator[float]:
    """Pauses between looks at something that is about to come."""
    pause = 0.02
    while True:
        yield pause
        pause = min(_SLOWEST_POLL, pause * 1.5)
