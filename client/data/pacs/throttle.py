"""Keeps a transfer below the site's limit of bytes per second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Makes the receiver wait, so that the sender does: TCP and DIMSE both push back.

    Args:
        bytes_per_second: at most, on average from the first byte on; none: no limit.
        clock, sleep: of the machine; others in tests.
    """

    def __init__(
        self,
        bytes_per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0
        self._lock = threading.Lock()

    def passed(self, size: int) -> None:
        """Wait until `size` more bytes fit; idle time is not saved up for later."""
        if self._rate is None:
            return
        with self._lock:
            self._free_at = max(self._free_at, self._clock()) + size / self._rate
            wait = self._free_at - self._clock()
        if wait > 0:
            self._sleep(wait)
