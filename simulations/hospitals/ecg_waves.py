"""The waves of a generated electrocardiogram: each heartbeat a few bells in time, one height a lead.

In the manner of McSharry, Clifford, Tarassenko and Smith (2003, "A dynamical model for generating synthetic
electrocardiogram signals"), without their differential equations: a rhythm is a list of beats, a beat a list of bells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "V1")
RHYTHMS = ("sinus", "atrial-fibrillation", "ventricular-ectopy", "av-block")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wave:
    """A bell: its place from the beat's own moment, its width (one standard deviation) and its height in each lead.

    Attributes:
        at: seconds.
        width: seconds.
        heights: mV, in the order of `LEADS`.
    """

    at: float
    width: float
    heights: tuple[float, float, float]


ATRIAL = (Wave(-0.16, 0.022, (0.08, 0.14, 0.06)),)
VENTRICULAR = (
    Wave(-0.028, 0.009, (-0.06, -0.10, 0.10)),
    Wave(0.0, 0.012, (0.65, 1.05, 0.22)),
    Wave(0.030, 0.012, (-0.12, -0.22, -0.80)),
    Wave(0.27, 0.050, (0.18, 0.28, -0.08)),
)
ECTOPIC = (
    Wave(0.0, 0.034, (0.80, -1.10, 0.85)),
    Wave(0.085, 0.032, (-0.25, 0.45, -0.35)),
    Wave(0.31, 0.070, (-0.30, 0.40, -0.30)),
)
ESCAPE = (
    Wave(0.0, 0.026, (0.60, 0.75, -0.60)),
    Wave(0.30, 0.060, (-0.15, -0.20, 0.22)),
)
Beat = tuple[float, tuple[Wave, ...]]
"""A moment in seconds, and what is seen then."""


@dataclass(frozen=True)
class Heart:
    """One patient's heart.

    Attributes:
        rate: beats a minute.
        variability: of the time between two sinus beats, as a share of it.
        scale: of all heights, by lead.
        breadth: of all widths.
        noise: of the electrodes and muscles, mV.
        wander: of the base line, mV.
    """

    rate: float
    variability: float
    scale: tuple[float, float, float]
    breadth: float
    noise: float
    wander: float


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draw one patient's."""
    one, two, three = np.exp(rng.normal(0.0, 0.35, len(LEADS)))
    return Heart(
        rate=rng.uniform(58, 98),
        variability=rng.uniform(0.015, 0.12),
        scale=(float(one), float(two), float(three)),
        breadth=rng.uniform(0.85, 1.2),
        noise=rng.uniform(0.03, 0.12),
        wander=rng.uniform(0.05, 0.25),
    )


def draw_beats(rhythm: str, heart: Heart, rng: np.random.Generator, seconds: float) -> list[Beat]:
    """Return the beats of a recording of so many seconds, in any order."""
    draw = {
        "sinus": _sinus,
        "atrial-fibrillation": _fibrillation,
        "ventricular-ectopy": _ectopy,
        "av-block": _block,
    }[rhythm]
    return draw(heart, rng, seconds)


def draw_signal(
    rhythm: str, heart: Heart, rng: np.random.Generator, seconds: float, rate_hz: float
) -> Floats:
    """Return a recording in mV, `[seconds × rate_hz, leads]`, with its noise."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    signal = rendered(draw_beats(rhythm, heart, rng, seconds), times, heart)
    if rhythm == "atrial-fibrillation":
        signal += _fibrillatory(rng, times)
    wander = np.sin(2 * np.pi * (rng.uniform(0.15, 0.4) * times + rng.random()))
    signal += heart.wander * wander[:, None] * rng.uniform(0.4, 1.0, len(LEADS))
    noisy: Floats = signal + rng.normal(0.0, heart.noise, signal.shape)
    return noisy


def rendered(beats: Sequence[Beat], times: Floats, heart: Heart) -> Floats:
    """Return the sum of all bells at the times, `[T, leads]` in mV."""
    signal = np.zeros((len(times), len(LEADS)))
    for moment, waves in beats:
        for wave in waves:
            width = wave.width * heart.breadth
            centre = moment + wave.at
            low, high = np.searchsorted(times, [centre - 4 * width, centre + 4 * width])
            bell = np.exp(-0.5 * ((times[low:high] - centre) / width) ** 2)
            signal[low:high] += bell[:, None] * np.multiply(wave.heights, heart.scale)
    return signal


def _moments(heart: Heart, rng: np.random.Generator, seconds: float, spread: float) -> Floats:
    """Return moments from before the recording to past its end, at the heart's rate."""
    mean = 60.0 / heart.rate
    count = int(seconds / mean * 1.6) + 6
    gaps = np.clip(mean * (1 + spread * rng.normal(0.0, 1.0, count)), 0.33, None)
    moments: Floats = np.cumsum(gaps) - 2 * mean - rng.uniform(0, mean)
    return moments


def _sinus(heart: Heart, rng: np.random.Generator, seconds: float) -> list[Beat]:
    moments = _moments(heart, rng, seconds, heart.variability)
    return [(float(moment), ATRIAL + VENTRICULAR) for moment in moments]


def _fibrillation(heart: Heart, rng: np.random.Generator, seconds: float) -> list[Beat]:
    """No atrial wave, and no two intervals alike."""
    moments = _moments(heart, rng, seconds, rng.uniform(0.10, 0.25))
    return [(float(moment), VENTRICULAR) for moment in moments]


def _ectopy(heart: Heart, rng: np.random.Generator, seconds: float) -> list[Beat]:
    """Every second to fourth beat comes early, from the ventricle, and a pause follows it."""
    every, early = int(rng.integers(2, 5)), rng.uniform(0.3, 0.45) * 60.0 / heart.rate
    moments = _moments(heart, rng, seconds, heart.variability)
    return [
        (float(moment - early), ECTOPIC)
        if n % every == 0
        else (float(moment), ATRIAL + VENTRICULAR)
        for n, moment in enumerate(moments)
    ]


def _block(heart: Heart, rng: np.random.Generator, seconds: float) -> list[Beat]:
    """Atria beat on; of their beats some do not reach the ventricles (second degree), or none does (third)."""
    atria = _moments(heart, rng, seconds, heart.variability)
    beats: list[Beat] = [(float(moment), ATRIAL) for moment in atria]
    if rng.random() < 0.5:
        every = int(rng.integers(2, 4))
        delay = rng.uniform(0.0, 0.08)
        return beats + [(float(m + delay), VENTRICULAR) for n, m in enumerate(atria) if n % every]
    own = _moments(replace(heart, rate=rng.uniform(34, 46)), rng, seconds, 0.02)
    return beats + [(float(moment), ESCAPE) for moment in own]


def _fibrillatory(rng: np.random.Generator, times: Floats) -> Floats:
    """Return the fine waves of fibrillating atria, `[T, leads]`: 5 to 8 a second, swelling and fading."""
    rate, swell = rng.uniform(5.0, 8.0), rng.uniform(0.3, 0.8)
    phase = 2 * np.pi * (rate * times + 0.15 * np.sin(2 * np.pi * 0.7 * times) + rng.random())
    height = 1 + 0.5 * np.sin(2 * np.pi * (swell * times + rng.random()))
    waves = rng.uniform(0.02, 0.07) * height * np.sin(phase)
    fine: Floats = waves[:, None] * np.array([0.5, 1.0, 1.2])
    return fine
