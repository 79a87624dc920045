"""A site's plan: σ, ε, steps and the divisor from public numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from common.errors import StudyError
from common.privacy.accountants import epsilon_pld
from common.privacy.events import GaussianEvent
from common.privacy.plan import evaluated_rounds, plan_site
from common.study import Study

Make = Callable[..., Study]
TARGET = {"epsilon": 4.0, "noise_multiplier": None}


def epsilon(sigma: float, q: Fraction, steps: int) -> float:
    return epsilon_pld([GaussianEvent("poisson", q, sigma, 1.0, steps)], 1e-3)


def test_noise_is_the_least_that_keeps_the_target(make_study: Make) -> None:
    plan = plan_site(make_study(privacy=TARGET), 40)
    assert (plan.steps_per_round, plan.rounds, plan.steps) == (3, 2, 6)
    assert plan.epsilon <= 4.0 < epsilon(plan.noise_multiplier - 0.001, Fraction(1, 4), 6)
    assert plan.epsilon == epsilon(plan.noise_multiplier, Fraction(1, 4), 6)


def test_given_noise_is_kept_and_its_cost_told(make_study: Make) -> None:
    plan = plan_site(make_study(), 40)
    assert plan.noise_multiplier == 1.0
    assert plan.epsilon == epsilon(1.0, Fraction(1, 4), 6)
    assert plan.epsilon_after(1) == epsilon(1.0, Fraction(1, 4), 3) < plan.epsilon
    assert plan.epsilon_after(2) == plan.epsilon


def test_the_rounds_events_make_up_the_whole(make_study: Make) -> None:
    plan = plan_site(make_study(privacy={"clip_norm": 0.5}), 40)
    event = plan.training_event()
    assert event == GaussianEvent("poisson", Fraction(1, 4), 1.0, 0.5, 3)
    assert epsilon_pld([event] * plan.rounds, 1e-3) == pytest.approx(plan.epsilon, rel=1e-6)
    held_out = plan.evaluation_event(2.0)
    assert (held_out.sampler, held_out.clip_norm, held_out.steps) == ("full", 2.0, 1)
    assert epsilon_pld([held_out] * plan.evaluations, 1e-3) <= 4.0 * (1 + 1e-9)


def test_units_per_step_give_the_rate_and_the_divisor(make_study: Make) -> None:
    study = make_study(privacy={"sampling_rate": None, "units_per_step": 6})
    plan = plan_site(study, 40)  # 30 of them train
    assert plan.sampling_rate == Fraction(1, 5)
    assert plan.divisor == pytest.approx(6)
    assert plan_site(study, 80).sampling_rate == Fraction(1, 10)
    assert plan_site(study, 8).sampling_rate == 1
    with pytest.raises(StudyError, match="more than the 5 training patients") as caught:
        plan_site(study, 7)
    assert "units_per_step" in caught.value.where


def test_a_rate_is_kept_exactly(make_study: Make) -> None:
    for text in ("1/3", "2/7", "0.05", "1"):
        plan = plan_site(make_study(privacy={"sampling_rate": text}), 40)
        assert plan.sampling_rate == Fraction(text)
        assert plan.divisor == pytest.approx(max(1.0, float(Fraction(text)) * 30))


def test_epochs_become_steps(make_study: Make) -> None:
    for epochs, steps in ((1.0, 4), (0.5, 2), (1.1, 5), (0.01, 1)):
        study = make_study(training={"local_steps": None, "local_epochs": epochs})
        assert plan_site(study, 40).steps_per_round == steps


def test_the_divisor_never_shrinks_below_one(make_study: Make) -> None:
    assert plan_site(make_study(), 1).divisor == 1.0


@pytest.mark.parametrize(
    ("rounds", "every", "expected"),
    [(5, 1, [1, 2, 3, 4, 5]), (5, 2, [2, 4, 5]), (4, 9, [4]), (6, 3, [3, 6])],
)
def test_the_last_round_is_always_evaluated(
    make_study: Make, rounds: int, every: int, expected: list[int]
) -> None:
    study = make_study(federation={"rounds": rounds}, evaluation={"every": every})
    assert evaluated_rounds(study) == expected


def test_samples_as_units_are_counted_by_public_numbers(make_study: Make) -> None:
    """Samples are not counted: the declared patients times K, which the study grants each of them, stand for them."""
    shares = {"sampling_rate": "1/4", "samples_per_patient": 3}
    patient, sample = (
        plan_site(make_study(privacy={"unit": unit, **shares}), 40)
        for unit in ("patient", "sample")
    )
    assert sample.divisor == 3 * patient.divisor
    assert replace(sample, divisor=patient.divisor) == patient


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"local_steps": 1_000_000}},
        {"training": {"local_steps": None, "local_epochs": 100_000.0}, "federation": {"rounds": 9}},
    ],
)
def test_steps_beyond_accounting_are_refused(make_study: Make, changes: dict[str, dict]) -> None:
    with pytest.raises(StudyError, match="noisy steps"):
        plan_site(make_study(**changes), 40)


@pytest.mark.parametrize("sigma", [1e-9, 1e9])
def test_noise_that_says_nothing_needs_another_figure(make_study: Make, sigma: float) -> None:
    study = make_study(privacy={"noise_multiplier": sigma}, evaluation={"epsilon": None})
    with pytest.raises(StudyError, match="statistics") as caught:
        plan_site(study, 40)
    assert "[evaluation] epsilon" in caught.value.where
