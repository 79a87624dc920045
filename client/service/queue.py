"""The queue in front of the device: one training at a time, in the order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.errors import Interrupted

_LOOK_SECONDS = 0.5


class Queue:
    """A line in front of one device."""

    def __init__(self) -> None:
        self._line: deque[object] = deque()
        self._moved = threading.Condition()

    @contextmanager
    def turn(self, stopping: Callable[[], bool]) -> Iterator[None]:
        """Wait for the device, and hold it.

        Args:
            stopping: whether the service is being stopped, which ends the wait.

        Raises:
            Interrupted: it is.
        """
        ticket = object()
        with self._moved:
            self._line.append(ticket)
        try:
            self._wait(ticket, stopping)
            yield
        finally:
            with self._moved:
                self._line.remove(ticket)
                self._moved.notify_all()

    @property
    def waiting(self) -> int:
        """How many wait, beside the one whose turn it is."""
        with self._moved:
            return max(0, len(self._line) - 1)

    def _wait(self, ticket: object, stopping: Callable[[], bool]) -> None:
        with self._moved:
            while not stopping() and self._line[0] is not ticket:
                self._moved.wait(_LOOK_SECONDS)
        if stopping():
            raise Interrupted("The site's service was stopped while a round waited for the device.")
