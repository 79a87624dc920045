"""A crash at any write of a round: what left is charged, the agent starts again, and the ledger holds."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.audit.egress_report import audit
from client.guard.budget import spent
from client.guard.chain import Chain
from client.guard.egress import Parcel
from client.guard.ledger import Ledger
from client.messages import Request
from client.site import Site
from common.privacy.accountants import epsilon_pld
from common.weights import Vector

Make = Callable[..., Agent]
Ask = Callable[..., Request]
STEPS = 3

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


class Crash(BaseException):
    """The process is gone."""


class Writes:
    """Counts everything that changes a disk, and dies at one of them: just before it, or just after."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.count, self.deadly = 0, -1
        for name in ("replace", "link", "fsync", "rename"):
            patched.setattr(os, name, self._watched(getattr(os, name)))
        writes, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *rest: Any) -> sqlite3.Cursor:
                done: Callable[..., sqlite3.Cursor] = super().execute
                if statement.split()[0] in ("SELECT", "PRAGMA", "ROLLBACK"):
                    return done(statement, *rest)
                return writes._watched(done)(statement, *rest)

        patched.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Connection))

    def _watched(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*arguments: Any, **options: Any) -> Any:
            self._tick()
            result = act(*arguments, **options)
            self._tick()
            return result

        return acting

    def _tick(self) -> None:
        self.count += 1
        if self.count == self.deadly:
            raise Crash

    @contextmanager
    def dying_at(self, number: int) -> Iterator[None]:
        """Die at the write of this number, counted from here; 0: never."""
        self.count, self.deadly = 0, number
        try:
            yield
        finally:
            self.deadly = -1


class House:
    """A hospital whose agent can die, with everything that ever left it."""

    def __init__(self, make_agent: Make, ask: Ask, patched: pytest.MonkeyPatch) -> None:
        self.make_agent, self.ask = make_agent, ask
        self.site: Site = make_agent(simulated=True).site
        self.writes = Writes(patched)
        self.left: set[bytes] = set()
        self.digests: set[str] = set()
        patched.setattr(Agent, "_train", self._train)

    def _train(self, request: Request) -> Vector:
        """Never the same bytes twice: each would tell something new."""
        return np.random.default_rng().normal(size=request.weights.shape).astype(np.float32)

    def answer(self, round_: int, dying_at: int = 0) -> bool:
        """Start an agent and ask it; tell whether it lived to answer. What it answers has left."""
        try:
            with self.writes.dying_at(dying_at):
                agent = self.make_agent(site=self.site)
                answer = agent.handle(self.ask(agent, round_, evaluate=False))
        except Crash:
            return False
        assert answer.weights is not None
        self.left.add(answer.weights.tobytes())
        self.digests.add(Parcel(answer.weights, answer.tally).digest)
        assert answer.ledger_head in {e.hash for e in Chain(agent.folders.ledger).read()}
        return True

    def check(self) -> None:
        agent = self.make_agent(site=self.site)
        ledger = Ledger(agent.folders.ledger, self.site.name, self.site.name)
        charges = ledger.charges()
        assert Chain(ledger.path, writable=False).verify().intact
        assert sum(charge.event.steps for charge in charges) >= STEPS * len(self.left)
        if self.left:
            event = agent.plan.training_event(STEPS * len(self.left))  # type: ignore[union-attr]
            assert spent(charges, 1e-3) >= epsilon_pld([event], 1e-3) - 1e-9
        self.check_egress(agent)

    def check_egress(self, agent: Agent) -> None:
        """All that left is in the log, each release under a charge of its own, and log and ledger agree."""
        assert agent.folders.egress is not None
        (report,) = audit(agent.folders.egress)
        assert report.verdict == "sound", report.contradictions
        logged = [each.release for each in report.entries]
        assert self.digests <= {release.sha256 for release in logged}
        assert len({(r.key, r.sha256) for r in logged}) == len({r.key for r in logged})
        assert {r.sha256 for r in logged if r.resent} <= {r.sha256 for r in logged if not r.resent}


def test_a_crash_at_any_write_of_a_first_round(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in itertools.count(1):
        with monkeypatch.context() as patched:
            house = House(make_agent, ask, patched)
            shutil.rmtree(make_agent(site=house.site, simulated=True).folders.ledger.parent)
            for claim in house.site.folder.glob(".*.consilium-claim"):
                claim.unlink()
            if house.answer(1, dying_at=number):
                break
            house.check()
            assert house.answer(1)
            assert house.answer(2)
            house.check()
            assert len(house.left) == 2
    assert number > 40


def lose_the_spool(agent: Agent) -> None:
    for file in agent.spool.folder.glob("*"):
        file.unlink()


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize(
    ("part", "name", "when"),
    [
        ("charging", "reserve", "after"),
        ("agent", "_made", "after"),
        ("gate", "look", "after"),
        ("spool", "save", "after"),
        ("egress", "leaving", "before"),
        ("egress", "leaving", "after"),
        ("charging", "settle", "before"),
        ("charging", "settle", "after"),
        ("agent", "_status", "after"),
    ],
)
def test_a_crash_between_any_two_steps_even_if_the_spool_is_lost(
    make_agent: Make,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    name: str,
    when: str,
    lost: bool,
) -> None:
    house = House(make_agent, ask, monkeypatch)
    agent = make_agent(site=house.site)
    target = Agent if part == "agent" else type(getattr(agent, part))
    honest = getattr(target, name)

    def dying(*arguments: Any, **options: Any) -> Any:
        if when == "after":
            honest(*arguments, **options)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(target, name, dying)
        assert not house.answer(1)
    house.check()
    if lost:
        lose_the_spool(agent)
    assert house.answer(1)
    assert house.answer(1)
    assert len(house.left) == 1, "the same bytes again"
    house.check()
    settled = [c for c in agent.ledger.charges() if c.settled]
    noted = (part, name, when) in (
        ("egress", "leaving", "after"),
        ("charging", "settle", "before"),
        ("charging", "settle", "after"),
        ("agent", "_status", "after"),
    )
    assert len(settled) == (2 if lost and noted else 1), "what was noted as leaving stays charged"


@pytest.mark.parametrize("round_", [1, 2])
def test_two_crashes_in_a_row(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch, round_: int
) -> None:
    house = House(make_agent, ask, monkeypatch)
    assert house.answer(1)
    count = house.writes.count
    assert count > 40
    for number in range(1, count, 5):
        for place in (number, (number * 7) % count + 1):
            house.answer(round_, dying_at=place)
            house.check()
