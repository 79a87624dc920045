"""A site that comes too late spends nothing on a round that is over, and what was settled is never made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.audit.egress_report import audit
from client.due import Due, TooLate
from client.guard.egress_log import EgressBook
from client.messages import Request
from common.errors import MachineError

Make = Callable[..., Agent]
Ask = Callable[..., Request]

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


class Clock:
    """The coordinator's clock, and a round that is over at 100."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> None:
        Due(1, 100.0, lambda: self.now).check()


def steps(agent: Agent) -> int:
    """Optimiser steps that are charged now."""
    return sum(charge.event.steps for charge in agent.ledger.charges())


def kinds(agent: Agent) -> list[str]:
    """The entries of the ledger that are about charges."""
    found = [entry.kind for entry in agent.ledger._chain.read()]
    return [kind for kind in found if kind in ("reserve", "settle")]


def left(agent: Agent) -> int:
    """How many entries of the egress log are about something that left."""
    assert agent.egress is not None
    book = EgressBook()
    return sum(book.apply(entry) is not None for entry in agent.egress._chain.read())


def slow(monkeypatch: pytest.MonkeyPatch, agent: Agent, clock: Clock) -> list[int]:
    """Make trainings end after the deadline; return the rounds that were trained."""
    trained, really = [], agent._train

    def train(request: Request) -> Any:
        trained.append(request.round)
        clock.now = 200.0
        return really(request)

    monkeypatch.setattr(agent, "_train", train)
    return trained


def test_a_round_that_is_over_costs_nothing(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    with pytest.raises(TooLate, match="over 50 s ago") as caught:
        agent.handle(ask(agent, evaluate=True), Clock(150.0))
    assert caught.value.exit_code == 130, "the coordinator asks again, if it still waits"
    assert kinds(agent) == []
    assert left(agent) == 0


def test_a_reply_that_is_ready_too_late_stays_and_is_charged_when_it_is_asked_for_again(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, clock = make_agent(), Clock()
    trained = slow(monkeypatch, agent, clock)
    request = ask(agent, evaluate=True)
    for _ in range(2):
        with pytest.raises(TooLate):
            agent.handle(request, clock)
    assert left(agent) == 0
    assert kinds(agent) == ["reserve"] * 2
    clock.now = 0.0  # the round failed, was resumed, and has a new deadline
    answer = agent.handle(request, clock)
    assert trained == [1]
    assert (answer.weights is not None, left(agent)) == (True, 1)
    assert kinds(agent) == ["reserve"] * 2 + ["settle"] * 2


def test_what_never_left_is_given_back_once_the_study_goes_on(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, clock = make_agent(), Clock()
    slow(monkeypatch, agent, clock)
    first = ask(agent, evaluate=True)
    with pytest.raises(TooLate):
        agent.handle(first, clock)
    assert steps(agent) > 0
    with pytest.raises(TooLate):  # the site is late for the second round as well
        agent.handle(ask(agent, 2), Clock(150.0))
    assert steps(agent) == 0
    assert agent.spool.load(first.key) is None
    agent.handle(
        first
    )  # a coordinator that goes back after all gets other bytes, for a charge of their own
    assert steps(agent) > 0
    assert left(agent) == 1
    assert audit(agent.egress.path)[0].verdict == "sound"  # type: ignore[union-attr]


def test_what_may_have_shown_itself_stays_charged(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator was told of the failure, and what made it fail may depend on the patients drawn."""
    agent = make_agent()
    with monkeypatch.context() as patched:
        patched.setattr(agent, "_train", lambda _: (_ for _ in ()).throw(MachineError("no memory")))
        with pytest.raises(MachineError):
            agent.handle(ask(agent))
    spent = steps(agent)
    assert spent > 0
    agent.handle(ask(agent, 2))
    assert steps(agent) == 2 * spent


def test_what_was_noted_as_leaving_stays_charged(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent()
    with monkeypatch.context() as patched:
        patched.setattr(
            agent.charging.__class__, "settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            agent.handle(ask(agent))
    spent = steps(agent)
    agent.handle(ask(agent, 2))
    assert steps(agent) == 2 * spent


def test_what_was_settled_is_sent_again_however_late(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    first = agent.handle(ask(agent), Clock())
    again = agent.handle(ask(agent), Clock(1e9))
    np.testing.assert_array_equal(first.weights, again.weights)  # type: ignore[arg-type]
    assert kinds(agent) == ["reserve", "settle"]


def test_a_run_that_starts_over_gets_the_same_replies_for_nothing(
    make_agent: Make, ask: Ask
) -> None:
    agent = make_agent()
    weights = [ask(agent, round_).weights + round_ for round_ in (1, 2)]
    requests = [ask(agent, n, weights=w, evaluate=True) for n, w in enumerate(weights, start=1)]
    first = [agent.handle(request) for request in requests]
    entries = kinds(agent)
    again = [make_agent().handle(request) for request in requests]
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(before.weights, after.weights)  # type: ignore[arg-type]
        np.testing.assert_array_equal(before.tally, after.tally)  # type: ignore[arg-type]
    assert kinds(agent) == entries


def test_a_simulation_keeps_the_newest_reply_alone(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(seed=1)
    for round_ in (1, 2):
        agent.handle(ask(agent, round_))
    assert len(list(agent.spool.folder.glob("*.npz"))) == 1
