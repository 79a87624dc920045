"""The rules of the threat model, each as a check on the code that runs."""

from __future__ import annotations

from simulations.attack.checks.base import Check, Finding
from simulations.attack.checks.book import (
    hard_stop,
    randomness_recorded,
    released_is_charged,
    retry_charged,
    statistics_charged,
)
from simulations.attack.checks.loss import no_batch_layers, per_sample_loss
from simulations.attack.checks.noise import noise_fresh, noise_gaussian, noise_key, noise_scale
from simulations.attack.checks.release import (
    empty_step,
    interrupted_step,
    local_terms_after_noise,
    nothing_else_released,
    public_divisor,
)
from simulations.attack.checks.sampling import sampling_distribution, sampling_secret
from simulations.attack.checks.sensitivity import sensitivity
from simulations.attack.checks.units import (
    mean_then_clip,
    no_batch_coupling,
    samples_per_patient,
    whole_units,
)
from simulations.attack.subject import Subject

CHECKS: tuple[Check, ...] = (
    sensitivity,
    whole_units,
    mean_then_clip,
    samples_per_patient,
    no_batch_coupling,
    per_sample_loss,
    no_batch_layers,
    noise_scale,
    noise_gaussian,
    noise_fresh,
    noise_key,
    sampling_distribution,
    sampling_secret,
    public_divisor,
    empty_step,
    interrupted_step,
    local_terms_after_noise,
    nothing_else_released,
    released_is_charged,
    retry_charged,
    hard_stop,
    statistics_charged,
    randomness_recorded,
)

__all__ = ["CHECKS", "Check", "Finding", "Subject"]
