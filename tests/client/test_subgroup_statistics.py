"""Subgroups at a site: exact statistics leave without small groups, and the charge covers every group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import client.agent
from client.agent import Agent
from client.messages import Request
from common.privacy.events import GaussianEvent
from common.study import Study
from common.tasks.base import Tally

Make = Callable[..., Agent]
Ask = Callable[..., Request]
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")
SUBGROUPS = {"subgroups": ["sex", "age"], "smallest_group": 50}


@pytest.mark.parametrize(("statistics", "exact"), [("exact", True), ("noisy", False)])
def test_only_exact_statistics_are_emptied_at_the_site(
    make_agent: Make,
    make_study: Callable[..., Study],
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    statistics: str,
    exact: bool,
) -> None:
    made: list[Tally] = []
    evaluate = client.agent.evaluate

    def watched(*args: Any, **options: Any) -> Tally:
        made.append(evaluate(*args, **options))
        return made[-1]

    monkeypatch.setattr(client.agent, "evaluate", watched)
    agent = make_agent(make_study(evaluation=SUBGROUPS), statistics=statistics)
    agent.handle(ask(agent, 3, train=False, evaluate=True))
    (tally,) = made
    everybody = agent.cohort.test_patients
    assert tally.arrays["confusion"].sum() == pytest.approx(everybody)
    assert tally.arrays["sex/confusion"].sum() == pytest.approx(0 if exact else everybody)


def test_the_charge_is_that_of_the_whole_and_every_division(
    make_agent: Make, make_study: Callable[..., Study], ask: Ask
) -> None:
    agent = make_agent(make_study(evaluation=SUBGROUPS), statistics="noisy")
    agent.handle(ask(agent, 3, train=False, evaluate=True))
    (charge,) = agent.ledger.charges()
    assert isinstance(charge.event, GaussianEvent)
    assert charge.event.clip_norm == pytest.approx(3.0), "√3 of the whole and of two divisions"
