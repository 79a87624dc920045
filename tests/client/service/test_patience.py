"""How long the agent waits for a message that its SuperNode may have given up."""

from __future__ import annotations

from itertools import count

import pytest

from client.service import patience as module
from client.service.executor import Patience


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def waited(patience: Patience, clock: list[float], most: int) -> int:
    """Return the seconds until patience is over; `most` when it is not."""
    for second in range(most):
        clock[0] = float(second)
        if patience.over():
            return second
    return most


def test_a_slow_line_is_waited_for(clock: list[float]) -> None:
    assert waited(Patience(lambda: 7), clock, 100_000) == 100_000


def test_a_supernode_that_asks_for_other_work_has_given_the_message_up(clock: list[float]) -> None:
    asked = count(7)
    assert waited(Patience(lambda: next(asked)), clock, 100) == 3


def test_a_stock_supernode_does_not_tell_and_gets_ten_minutes(clock: list[float]) -> None:
    assert waited(Patience(lambda: None), clock, 1000) == 601
