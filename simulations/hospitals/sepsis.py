"""The sepsis archive: what clinicians gave in the first hours of septic shock, and whether the patient lived.

The model is ours, and much reduced. Two hidden quantities, how full the vessels are and how tight, are off their
ideal 0 in either direction; infection pulls both down until antibiotics have worked, fluids raise the first and a
vasopressor the second, and too much of either harms as too little does. Organs fail with the square of both. What is
charted follows from them with noise. Clinicians of each hospital have a habit of their own, look at the blood
pressure more than at the veins, and are not always of one mind, so that every treatment is given to someone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "sepsis"
ACTIONS = ("none", "fluids", "vasopressor", "both")
DECISIONS = 6
HOURS = 4
TO_FLUIDS = (0.0, 0.6, -0.3, 0.2)
TO_VASOPRESSOR = (0.0, -0.3, 0.6, 0.2)

Floats = NDArray[np.float64]
Policy = Callable[[pd.DataFrame], Floats]
"""From charts, one row a patient, to the probability of each of `ACTIONS`, [patients, 4]."""


@dataclass
class Ward:
    """Patients in shock, each quantity [patients].

    Attributes:
        age: in years.
        volume: how full the vessels are; 0 is right, below is dry, above is overloaded.
        tone: how tight they are; 0 is right, below is too wide, above too narrow.
        infection: what still pulls both down.
        litres: of fluids given so far.
        organs: failed so far; drives the risk of dying.
    """

    age: Floats
    volume: Floats
    tone: Floats
    infection: Floats
    litres: Floats
    organs: Floats

    @classmethod
    def admit(cls, rng: np.random.Generator, patients: int) -> Ward:
        """Return newly admitted patients."""
        return cls(
            age=np.clip(rng.normal(64, 14, patients), 18, 95),
            volume=rng.normal(-0.5, 0.9, patients),
            tone=rng.normal(-0.5, 0.9, patients),
            infection=rng.gamma(4.0, 0.25, patients),
            litres=np.zeros(patients),
            organs=rng.gamma(2.0, 0.25, patients),
        )

    def chart(self, rng: np.random.Generator, hours: int) -> pd.DataFrame:
        """Return what is measured now, one row a patient."""
        size = len(self.age)
        pressure = 74 + 9 * self.tone + 5 * np.minimum(self.volume, 0) + rng.normal(0, 2.5, size)
        rate = 92 - 9 * self.volume + 6 * self.infection + rng.normal(0, 5, size)
        venous = 8 + 3.5 * self.volume + rng.normal(0, 1, size)
        lactate = np.exp(0.3 + 0.45 * self.organs + rng.normal(0, 0.15, size))
        return pd.DataFrame(
            {
                "hours": np.full(size, hours),
                "age": self.age.round(),
                "mean_pressure": np.clip(pressure, 30, 130).round(),
                "heart_rate": np.clip(rate, 35, 190).round(),
                "venous_pressure": np.clip(venous, -4, 28).round(1),
                "lactate": np.clip(lactate, 0.4, 25).round(1),
                "litres": self.litres.round(1),
            }
        )

    def treat(self, rng: np.random.Generator, action: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Pass one period under a treatment each, and return who died in it."""
        fluids, vasopressor = np.isin(action, (1, 3)), np.isin(action, (2, 3))
        size = len(self.age)
        self.volume += 0.8 * fluids - 0.25 * self.infection + rng.normal(0, 0.15, size)
        self.tone += 0.8 * vasopressor - 0.25 * self.infection + rng.normal(0, 0.15, size)
        self.litres += fluids
        self.infection *= 0.75
        self.organs = 0.85 * self.organs + 0.22 * (self.volume**2 + self.tone**2)
        risk = -5.2 + 1.5 * self.organs + 0.025 * (self.age - 64)
        died: NDArray[np.bool_] = rng.random(size) < 1 / (1 + np.exp(-risk))
        return died

    def only(self, keep: NDArray[np.bool_]) -> Ward:
        """Return some of the patients."""
        return Ward(**{name: value[keep] for name, value in vars(self).items()})


def write(plan: HospitalPlan) -> Archive:
    """Write decisions.csv: one row a decision, with the chart before it and its reward after."""
    path = f"{NAME}/decisions.csv"
    (plan.folder / NAME).mkdir()
    rng, site = plan.random(NAME), plan.index % len(TO_FLUIDS)
    table = courses(rng, plan.patients, clinicians(TO_FLUIDS[site], TO_VASOPRESSOR[site]))
    identifiers = [plan.identifier(NAME, number) for number in range(plan.patients)]
    table.insert(0, "patient_id", [identifiers[number] for number in table.pop("patient")])
    table.to_csv(plan.folder / path, index=False, lineterminator="\n")
    keys = (("patient", "patient_id"), ("order", "hours"))
    return Archive(NAME, "episodes", path, plan.patients, extra=keys)


def courses(rng: np.random.Generator, patients: int, policy: Policy) -> pd.DataFrame:
    """Treat patients by a policy until they die or the shock is over.

    The reward is 1 for who is alive after the last decision, -1 for who dies, and 0 in between.

    Args:
        rng: of everything drawn.
        patients: how many.
        policy: what is given.

    Returns:
        one row a decision, sorted by patient: number of the patient, chart, action, its probability, reward.
    """
    ward, number, rows = Ward.admit(rng, patients), np.arange(patients), []
    for decision in range(DECISIONS):
        chart = ward.chart(rng, decision * HOURS)
        chance = policy(chart)
        drawn = (chance.cumsum(1) < rng.random((len(number), 1))).sum(1)
        action = np.minimum(drawn, len(ACTIONS) - 1)
        died = ward.treat(rng, action)
        after = 1.0 if decision == DECISIONS - 1 else 0.0
        rows.append(
            chart.assign(
                patient=number,
                action=np.array(ACTIONS)[action],
                probability=chance[np.arange(len(number)), action].round(4),
                reward=np.where(died, -1.0, after),
            )
        )
        ward, number = ward.only(~died), number[~died]
    return pd.concat(rows).sort_values(["patient", "hours"], ignore_index=True)


def clinicians(to_fluids: float, to_vasopressor: float) -> Policy:
    """Return how a hospital's clinicians treat: by blood pressure and lactate, with a habit of their own.

    Args:
        to_fluids: how readily they give fluids, in log odds.
        to_vasopressor: how readily they give a vasopressor.
    """

    def policy(chart: pd.DataFrame) -> Floats:
        low = (70 - chart["mean_pressure"].to_numpy()) / 8
        dry = (7 - chart["venous_pressure"].to_numpy()) / 6
        fluids = _chance(to_fluids + 0.6 * low + 0.5 * dry)
        vasopressor = _chance(to_vasopressor - 0.2 + 0.9 * low)
        return together(fluids, vasopressor)

    return policy


def _chance(log_odds: Floats) -> Floats:
    return np.clip(1 / (1 + np.exp(-log_odds)), 0.1, 0.9)


def together(fluids: Floats, vasopressor: Floats) -> Floats:
    """Return the probability of each of `ACTIONS` where the two are decided on their own."""
    neither = (1 - fluids) * (1 - vasopressor)
    one = [fluids * (1 - vasopressor), (1 - fluids) * vasopressor]
    return np.stack([neither, *one, fluids * vasopressor], axis=1)
