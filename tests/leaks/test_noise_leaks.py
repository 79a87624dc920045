"""Planted leaks in the noise; each is caught by a check that ships, the coarse ones by the canaries, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from client.agent import Agent
from client.training import private
from common.privacy import step
from common.privacy.noise import SecureRandom
from simulations.attack.checks import Finding
from simulations.attack.one_run import Outcome, attack, full_batches
from simulations.attack.subject import Subject

Check = Callable[[str, Subject], Finding]
Sums = list[torch.Tensor]
CANARIES = 400

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")
honest = step.add_noise


def canaries(subject: Subject) -> Outcome:
    """Attack with every patient in every step and a claim of ε ≈ 2."""
    quiet = subject.study.privacy.model_copy(update={"noise_multiplier": 2.5})
    subject = replace(subject, study=subject.study.model_copy(update={"privacy": quiet}))
    return attack(subject, full_batches(subject), CANARIES, "canaries")


def test_noise_off(subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "add_noise", lambda sums, deviation, noise: None)
    assert not check("noise-scale", subject).passed
    outcome = canaries(subject)
    assert outcome.alarm
    assert outcome.refuted
    assert outcome.bound > outcome.plan.epsilon


def test_noise_halved(subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        step, "add_noise", lambda sums, deviation, noise: honest(sums, deviation / 2, noise)
    )
    assert not check("noise-scale", subject).passed
    assert canaries(subject).alarm


def test_noise_that_forgets_the_clip_norm(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_norm = one_subject.plan.clip_norm
    monkeypatch.setattr(
        step, "add_noise", lambda sums, deviation, noise: honest(sums, deviation / clip_norm, noise)
    )
    assert not check("noise-scale", one_subject).passed


def test_noise_for_every_piece(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = step.private_gradient

    def by_piece(engine: Any, chunks: Any, loss: Any, plan: Any, noise: Any) -> None:
        parameters = [p for p in engine.module.parameters() if p.requires_grad]
        sums = [torch.zeros_like(p) for p in parameters]
        for chunk in chunks:
            whole(engine, [chunk], loss, plan, noise)
            for total, parameter in zip(sums, parameters, strict=True):
                total += parameter.grad
        for total, parameter in zip(sums, parameters, strict=True):
            parameter.grad = total

    monkeypatch.setattr(private, "private_gradient", by_piece)
    assert not check("noise-scale", one_subject).passed
    assert not check("empty-step", one_subject).passed


def test_noise_on_some_tensors_only(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_matrices(sums: Sums, deviation: float, noise: SecureRandom) -> None:
        honest([total for total in sums if total.ndim > 1], deviation, noise)

    monkeypatch.setattr(step, "add_noise", on_matrices)
    assert not check("noise-scale", one_subject).passed


def test_noise_of_another_shape(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uniform(sums: Sums, deviation: float, noise: SecureRandom) -> None:
        for total in sums:
            drawn = torch.from_numpy(noise.uniform(total.numel()) - 0.5).reshape(total.shape)
            total += (deviation * 12**0.5 * drawn).to(total.dtype)

    monkeypatch.setattr(step, "add_noise", uniform)
    assert check("noise-scale", one_subject).passed, "its size is right"
    assert not check("noise-gaussian", one_subject).passed


def test_no_noise_where_nobody_was_drawn(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = step.private_gradient

    def skipped(engine: Any, chunks: Any, loss: Any, plan: Any, noise: Any) -> None:
        pieces = list(chunks)
        if pieces:
            whole(engine, pieces, loss, plan, noise)

    monkeypatch.setattr(private, "private_gradient", skipped)
    assert not check("empty-step", one_subject).passed


def test_a_noise_seed_that_repeats_every_round(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Agent, "_stream", lambda self, request, purpose: SecureRandom.fixed(os.getpid(), purpose)
    )
    assert not check("noise-fresh", one_subject).passed


def test_noise_from_the_studys_seed(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Agent,
        "_stream",
        lambda self, request, purpose: SecureRandom.fixed(
            self.study.study.seed, str(request.round), purpose
        ),
    )
    assert not check("noise-fresh", one_subject).passed


def test_the_same_noise_in_every_step_of_a_round(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = os.urandom(32)
    monkeypatch.setattr(
        step,
        "add_noise",
        lambda sums, deviation, noise: honest(sums, deviation, SecureRandom(key, "system")),
    )
    assert not check("noise-fresh", one_subject).passed


def test_noise_from_the_librarys_generator(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_torch(sums: Sums, deviation: float, noise: SecureRandom) -> None:
        for total in sums:
            total += deviation * torch.randn_like(total)

    monkeypatch.setattr(step, "add_noise", of_torch)
    assert not check("noise-fresh", one_subject).passed


def test_a_short_key(one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        SecureRandom,
        "system",
        classmethod(lambda cls: cls(os.urandom(2) + bytes(30), "system")),
    )
    assert not check("noise-key", one_subject).passed


def test_canaries_notice_what_is_not_clipped(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.privacy.clipping import Clipping

    monkeypatch.setattr(Clipping, "factors", lambda self, squares, layers: torch.ones_like(squares))
    assert canaries(subject).alarm
