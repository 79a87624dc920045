"""A patient is one unit: drawn whole, averaged, clipped once, and by itself."""

from __future__ import annotations

import math

import numpy as np

from simulations.attack.canaries import subset
from simulations.attack.checks.base import Finding, check, tolerance
from simulations.attack.probe import Probe
from simulations.attack.subject import Subject

UNITS = 6


@check(
    "whole-units",
    "A patient never straddles two pieces of a step: in whatever pieces, the contribution is clipped once.",
)
def whole_units(subject: Subject) -> Finding:
    """Cut a step into pieces smaller than a patient."""
    each = max(2, subject.study.privacy.samples_per_patient)
    units = [[mark] * each for mark in range(1, UNITS + 1)]
    off = []
    for pieces in (1, 2, each + 1, 1000):
        probe = Probe(subject, marks=UNITS, pieces=pieces)
        found = probe.numbers(probe.released(probe.with_canaries(probe.real(2), units)))
        off.append(np.abs(found - probe.whole).max())
    worst = float(np.max(off))
    return Finding(worst <= tolerance(subject), f"off by at most {worst:.1e} C in four ways to cut")


@check(
    "mean-then-clip",
    "A patient's gradient is the mean over the samples, clipped afterwards: several images weigh no more than one.",
)
def mean_then_clip(subject: Subject) -> Finding:
    """Let two samples of a patient pull at two coordinates."""
    if subject.study.privacy.samples_per_patient < 2:
        return Finding(True, "one sample of a patient at most")
    probe = Probe(subject, marks=3)
    samples = probe.with_canaries(probe.real(2), [[1, 2], [3, 3]])
    first, second, both = probe.numbers(probe.released(samples)) / probe.whole
    expected = math.sqrt(0.5)
    off = np.max(np.abs([first - expected, second - expected, both - 1]))
    return Finding(
        bool(off <= tolerance(subject)),
        f"two directions {first:.4f} and {second:.4f} C (√½ expected), one direction {both:.4f} C",
    )


@check("samples-per-patient", "At most K samples of a patient are used in one step.")
def samples_per_patient(subject: Subject) -> Finding:
    """Give a patient ten times K samples and count those that were used."""
    most = subject.study.privacy.samples_per_patient
    marks = 10 * most
    probe = Probe(subject, marks=marks)
    samples = probe.with_canaries(probe.real(2), [range(1, marks + 1)])
    used = int((np.abs(probe.numbers(probe.released(samples))) > 1e-3 * probe.whole / most).sum())
    return Finding(used == most, f"{used} of {marks} samples used, K = {most}")


@check(
    "no-batch-coupling",
    "What a patient contributes does not depend on who else is in the batch.",
)
def no_batch_coupling(subject: Subject) -> Finding:
    """The sum over some patients is the sum over the first half and that over the second."""
    probe = Probe(subject, pieces=1000)
    everybody = probe.real(2 * UNITS)
    half = everybody.units // 2
    first = probe.released(subset(everybody, range(half)))
    second = probe.released(subset(everybody, range(half, everybody.units)))
    off = float(np.linalg.norm(probe.released(everybody) - first - second))
    return Finding(off <= everybody.units * tolerance(subject), f"off by {off:.1e} C")
