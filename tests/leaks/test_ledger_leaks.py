"""Planted leaks between the ledger and what leaves; each is caught by a check that ships."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.agent import Agent
from client.charging import Charging, Opened
from client.guard.egress import Parcel
from client.messages import Request
from client.terms import Terms
from client.training.evaluation import evaluate
from common.errors import Interrupted
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan
from common.wire import Answer
from simulations.attack.checks import Finding
from simulations.attack.subject import Subject

Check = Callable[[str, Subject], Finding]


def test_exact_tallies(one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Agent,
        "_tally",
        lambda self, request: evaluate(self.space, request.weights, self.cohort).flat(),
    )
    assert not check("statistics-charged", one_subject).passed


def test_statistics_nobody_is_charged_for(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Terms.events
    monkeypatch.setattr(
        Terms,
        "events",
        lambda self, request: {
            name: part for name, part in honest(self, request).items() if name != "statistics"
        },
    )
    assert not check("statistics-charged", one_subject).passed


def test_an_uncharged_retry(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whatever_was_settled(self: Charging, request: Request) -> Opened:
        return self._reserve_under(request.key, request)[0]

    monkeypatch.setattr(Charging, "reserve", whatever_was_settled)
    assert not check("retry-charged", one_subject).passed


def test_an_answer_made_anew_every_time(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.guard.spool.Spool.load", lambda self, key: None)

    def silent(self: Charging, request: Request) -> Opened:
        return self._reserve_under(request.key, request)[0]

    monkeypatch.setattr(Charging, "reserve", silent)
    assert not check("retry-charged", one_subject).passed


def test_a_charge_of_one_step_a_round(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SitePlan.training_event
    monkeypatch.setattr(
        SitePlan, "training_event", lambda self, steps=None: honest(self, (steps or 3) // 3)
    )
    assert not check("released-is-charged", one_subject).passed


def test_a_charge_after_the_training(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Agent._answer

    def late(self: Agent, request: Request, *more: Any) -> Answer:
        made = self._make(request)
        self.__dict__["_make"] = lambda _: made
        answer = honest(self, request, *more)
        del self.__dict__["_make"]
        return answer

    monkeypatch.setattr(Agent, "_answer", late)
    assert not check("released-is-charged", one_subject).passed


def test_an_interrupted_round_is_given_back(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Agent._make

    def forgiving(self: Agent, request: Request) -> Parcel:
        try:
            return honest(self, request)
        except Interrupted:
            opened, _ = self.charging._reserve_under(request.key, request)
            self.charging.give_back(opened)
            raise

    monkeypatch.setattr(Agent, "_make", forgiving)
    assert not check("released-is-charged", one_subject).passed


def test_a_study_without_a_limit(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Terms, "limit", lambda self, role, event: None)
    assert not check("hard-stop", one_subject).passed


def test_a_fixed_seed_that_calls_itself_random(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SecureRandom.__init__

    def disguised(self: SecureRandom, key: bytes, origin: Any) -> None:
        honest(self, key, "system")

    monkeypatch.setattr(SecureRandom, "__init__", disguised)
    assert not check("randomness-recorded", one_subject).passed
