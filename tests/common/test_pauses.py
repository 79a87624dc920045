"""Tests that kill often make the pauses before restarts short."""

from __future__ import annotations

import math

import pytest

from common.supervise import LONGEST_PAUSE, pause_limit


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.2", 0.2), ("-1", 0.0), ("", math.inf), ("x", math.inf)]
)
def test_the_environment_limits_the_pause(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setenv(LONGEST_PAUSE, text)
    assert pause_limit() == seconds
