"""The glucose archive: five-minute readings of people with type-1 diabetes, drawn from a small model.

Remote-compartment insulin and two-compartment meals in the manner of Bergman's minimal model
(Bergman et al. 1979) and Hovorka et al. (2004), much reduced: enough that the recent past says more
about the next half hour than the last value does.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "glucose"
DAYS = 4
STEP_MINUTES = 5
PER_DAY = 24 * 60 // STEP_MINUTES
START = datetime(2024, 1, 1)
IMPOSSIBLE = (2, 0, 999)


@dataclass(frozen=True)
class Person:
    """One person's physiology.

    Attributes:
        basal: mg/dL that glucose returns to.
        return_rate: share of the way back per step.
        meal_rise: mg/dL that one gram of carbohydrate adds in all.
        insulin_drop: mg/dL that one unit takes away in all.
        dawn: mg/dL per step at the height of the dawn rise.
        grams_per_unit: carbohydrate ratio the person doses by.
        sensor_noise: mg/dL.
    """

    basal: float
    return_rate: float
    meal_rise: float
    insulin_drop: float
    dawn: float
    grams_per_unit: float
    sensor_noise: float


def write(plan: HospitalPlan) -> Archive:
    """Write glucose.csv in long form: patient_id, time (ISO 8601, local), glucose (mg/dL)."""
    people = max(12, plan.patients // 8)
    path = f"{NAME}/glucose.csv"
    (plan.folder / NAME).mkdir()
    with (plan.folder / path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["patient_id", "time", "glucose"])
        for number in range(people):
            writer.writerows(_rows(plan, number))
    extra = (("patient", "patient_id"), ("time", "time"), ("value", NAME))
    return Archive(NAME, "series", path, people, extra=extra)


def _rows(plan: HospitalPlan, number: int) -> list[tuple[str, str, int]]:
    rng = plan.random(NAME, number)
    person = draw_person(rng, plan.index)
    readings = draw_readings(person, rng, DAYS)
    kept = ~_gaps(rng, len(readings))
    odd = rng.random(len(readings)) < 0.0008
    readings[odd] = rng.choice(IMPOSSIBLE, int(odd.sum()))
    start = START + timedelta(minutes=float(rng.integers(0, STEP_MINUTES)))
    identifier = plan.identifier(NAME, number)
    return [
        (
            identifier,
            (start + timedelta(minutes=STEP_MINUTES * float(i))).isoformat(),
            int(readings[i]),
        )
        for i in np.flatnonzero(kept)
    ]


def draw_person(rng: np.random.Generator, site: int) -> Person:
    """Draw one person; sites differ a little in how tightly their people are controlled."""
    grams_per_unit = rng.uniform(8.0, 14.0)
    meal_rise = rng.uniform(2.6, 4.2)
    return Person(
        basal=rng.normal(118 + 7 * (site % 4), 12),
        return_rate=rng.uniform(0.006, 0.014),
        meal_rise=meal_rise,
        insulin_drop=meal_rise * grams_per_unit * rng.uniform(0.75, 0.95),
        dawn=rng.uniform(0.2, 0.9),
        grams_per_unit=grams_per_unit,
        sensor_noise=rng.uniform(1.5, 4.0),
    )


def draw_readings(person: Person, rng: np.random.Generator, days: int) -> np.ndarray:
    """Return integer readings in mg/dL, one every five minutes from midnight."""
    steps = days * PER_DAY
    drive = _meals_and_insulin(person, rng, days)
    hours = np.arange(steps) * STEP_MINUTES / 60 % 24
    drive += person.dawn * np.exp(-0.5 * ((hours - 6.0) / 1.3) ** 2)
    drive += np.convolve(rng.normal(0.0, 0.8, steps), np.full(6, 0.4), mode="same")
    level = np.empty(steps)
    now = person.basal + rng.normal(0.0, 15.0)
    for step in range(steps):
        now += drive[step] + person.return_rate * (person.basal - now)
        now = min(max(now, 45.0), 395.0)
        level[step] = now
    noise = np.convolve(rng.normal(0.0, person.sensor_noise, steps), [0.5, 0.5], mode="same")
    readings: np.ndarray = np.clip(np.rint(level + noise), 40, 400)
    return readings


def _meals_and_insulin(person: Person, rng: np.random.Generator, days: int) -> np.ndarray:
    """Return mg/dL per step from food (fast) and insulin (slow), three meals a day and snacks."""
    steps = days * PER_DAY
    drive = np.zeros(steps + PER_DAY)
    food, insulin = _curve(rng.uniform(35, 55)), _curve(rng.uniform(65, 85))
    for day in range(days):
        for hour, grams in ((7.5, 50), (12.5, 65), (18.8, 70), (15.5, 20), (21.0, 15)):
            if grams <= 20 and rng.random() < 0.5:
                continue
            at = day * PER_DAY + int(np.clip(rng.normal(hour, 0.7), 0, 23.9) * 60 / STEP_MINUTES)
            carbs = grams * rng.uniform(0.6, 1.4)
            units = carbs / person.grams_per_unit * rng.uniform(0.7, 1.2)
            late = max(0, at + int(rng.integers(-3, 4)))
            drive[at : at + len(food)] += person.meal_rise * carbs * food
            drive[late : late + len(insulin)] -= person.insulin_drop * units * insulin
    return drive[:steps]


def _curve(peak_minutes: float) -> np.ndarray:
    """Absorption per step: rises to its peak, then decays; sums to 1."""
    minutes = np.arange(PER_DAY // 2) * STEP_MINUTES
    shape = minutes * np.exp(-minutes / peak_minutes)
    curve: np.ndarray = shape / shape.sum()
    return curve


def _gaps(rng: np.random.Generator, steps: int) -> np.ndarray:
    """Where the sensor was off: single losses, and about one break of hours in two days."""
    lost = rng.random(steps) < 0.01
    for _ in range(rng.poisson(DAYS / 2)):
        start = int(rng.integers(0, steps))
        lost[start : start + int(rng.integers(6, 48))] = True
    mask: np.ndarray = lost
    return mask
