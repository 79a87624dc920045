"""The hours in which a site trains."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import Any

import pytest

from client.hours import check_hours, within
from client.site import Site
from common.errors import PolicyError


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        ("20:00-06:00", "20:00", True),
        ("20:00-06:00", "03:00", True),
        ("20:00-06:00", "06:00", False),
        ("20:00-06:00", "19:59", False),
        ("08:00-17:30", "12:00", True),
        ("08:00-17:30", "17:30", False),
        ("08:00-17:30", "23:00", False),
        ("07:00-07:00", "15:00", True),
    ],
)
def test_hours_may_span_midnight(hours: str, now: str, expected: bool) -> None:
    assert within(hours, time.fromisoformat(now)) is expected


def test_a_site_trains_in_its_hours_only(make_site: Callable[..., Site]) -> None:
    site = make_site(hours="20:00-06:00")
    check_hours(site, datetime(2026, 1, 5, 23, 0))
    with pytest.raises(PolicyError, match="20:00 and 06:00") as caught:
        check_hours(site, datetime(2026, 1, 5, 12, 0))
    assert "[policy] hours" in caught.value.where


def test_a_site_without_hours_trains_always(make_site: Callable[..., Site]) -> None:
    check_hours(make_site())


def test_a_round_outside_the_hours_spends_nothing_but_is_sent_again(
    make_agent: Callable[..., Any], ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(hours="20:00-06:00")
    monkeypatch.setattr("client.hours.within", lambda hours, now: False)
    agent.describe()
    with pytest.raises(PolicyError, match="trains between"):
        agent.handle(ask(agent))
    assert agent.ledger.charges() == []
    monkeypatch.setattr("client.hours.within", lambda hours, now: True)
    first = agent.handle(ask(agent))
    monkeypatch.setattr("client.hours.within", lambda hours, now: False)
    again = agent.handle(ask(agent))
    assert again.weights.tobytes() == first.weights.tobytes()
    assert agent.handle(ask(agent, train=False, evaluate=True)).weights is None
