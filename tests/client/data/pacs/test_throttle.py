"""The bandwidth limit, with a clock of the test's own."""

from __future__ import annotations

import pytest

from client.data.pacs.throttle import Throttle


class Clock:
    """A clock that moves only when somebody sleeps, or by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_average_is_the_limit() -> None:
    clock = Clock()
    throttle = Throttle(1000.0, clock=clock, sleep=clock.sleep)
    for _ in range(50):
        throttle.passed(200)
    assert clock.now == pytest.approx(110.0)


def test_idle_time_is_not_saved_up() -> None:
    clock = Clock()
    throttle = Throttle(1000.0, clock=clock, sleep=clock.sleep)
    throttle.passed(1000)
    clock.now += 3600
    began = clock.now
    throttle.passed(5000)
    assert clock.now - began == 5.0


def test_no_limit_never_waits() -> None:
    clock = Clock()
    Throttle(None, clock=clock, sleep=clock.sleep).passed(10**12)
    assert clock.now == 100.0
