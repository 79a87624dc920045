"""Planted leaks in the sampling; each is caught by a check that ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from client.agent import Agent
from client.messages import Request
from client.training.batches import UnitSampler, _pieces
from common.privacy.engine import UnitBatch
from common.privacy.noise import SecureRandom
from simulations.attack.checks import Finding
from simulations.attack.subject import Subject

Check = Callable[[str, Subject], Finding]


def of_units(sampler: UnitSampler, drawn: list[int]) -> Iterator[UnitBatch]:
    """Yield the pieces of a step in which these units are."""
    for piece in _pieces([sampler._rows(unit) for unit in drawn], sampler.physical_batch):
        yield sampler._batch(piece, None)


def test_batches_of_a_fixed_size(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fixed(self: UnitSampler) -> Iterator[UnitBatch]:
        size = round(self.samples.units * float(self.rate))
        chosen = self.random.choice_without_replacement(self.samples.units, size)
        return of_units(self, sorted(chosen.tolist()))

    monkeypatch.setattr(UnitSampler, "draw", fixed)
    assert not check("sampling-distribution", one_subject).passed


def test_shuffled_epochs(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues: dict[int, list[int]] = {}

    def shuffled(self: UnitSampler) -> Iterator[UnitBatch]:
        size = max(1, round(self.samples.units * float(self.rate)))
        queue = queues.setdefault(id(self), [])
        if len(queue) < size:
            queue[:] = np.argsort(self.random.uniform(self.samples.units)).tolist()
        drawn = [queue.pop() for _ in range(size)]
        return of_units(self, sorted(drawn))

    monkeypatch.setattr(UnitSampler, "draw", shuffled)
    assert not check("sampling-distribution", one_subject).passed


def test_a_higher_rate_than_is_charged(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SecureRandom.poisson_mask
    monkeypatch.setattr(
        SecureRandom,
        "poisson_mask",
        lambda self, n, q: honest(self, n, min(Fraction(1), q * Fraction(5, 4))),
    )
    assert not check("sampling-distribution", one_subject).passed


def test_patients_drawn_in_pairs(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SecureRandom.poisson_mask
    monkeypatch.setattr(
        SecureRandom,
        "poisson_mask",
        lambda self, n, q: np.repeat(honest(self, -(-n // 20), q), 20)[:n],
    )
    assert not check("sampling-distribution", one_subject).passed


def test_sampling_from_the_studys_seed(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Agent._stream

    def from_study(self: Agent, request: Request, purpose: str) -> SecureRandom:
        if purpose == "sampling":
            return SecureRandom.fixed(self.study.study.seed, request.key)
        return honest(self, request, purpose)

    monkeypatch.setattr(Agent, "_stream", from_study)
    assert not check("sampling-secret", one_subject).passed


def test_the_same_patients_every_round(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, house = Agent._stream, {}

    def of_the_house(self: Agent, request: Request, purpose: str) -> SecureRandom:
        if purpose == "sampling":
            key = house.setdefault(self.folders.ledger, SecureRandom.system().normal(1).tobytes())
            return SecureRandom.fixed(key)
        return honest(self, request, purpose)

    monkeypatch.setattr(Agent, "_stream", of_the_house)
    assert not check("sampling-secret", one_subject).passed
