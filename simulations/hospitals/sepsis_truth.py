"""What a trained policy is truly worth in the generated ward, where anybody may try it without harm.

`python -m simulations.hospitals.sepsis_truth RUN` treats new patients by the policy of a finished run of the study
`sepsis-policy`, and beside it as the clinicians of the four hospitals do, at random, and by knowing the ward's model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from client.data.config_base import TextFormat
from client.data.features import Columns, encode
from common.data_spec import EpisodeSpec
from common.errors import RunError
from common.tasks.policy import Policy as PolicyTask
from common.trained import Trained, load_trained
from simulations.hospitals.sepsis import (
    ACTIONS,
    TO_FLUIDS,
    TO_VASOPRESSOR,
    Floats,
    Policy,
    clinicians,
    courses,
    together,
)

PATIENTS = 5000
SEED = 11


def true_value(policy: Policy, patients: int = PATIENTS, seed: int = SEED) -> float:
    """Return the mean worth of an episode under a policy, over new patients.

    Args:
        policy: what is given.
        patients: how many; the standard error is at most one over the root of it.
        seed: of the patients and all that happens to them.
    """
    return float(courses(np.random.default_rng(seed), patients, policy)["reward"].sum()) / patients


def learned(trained: Trained) -> Policy:
    """Return the policy of a finished run.

    Raises:
        RunError: the run's study is no study of policies.
    """
    spec = trained.study.data
    task: object = trained.task
    if not isinstance(task, PolicyTask) or not isinstance(spec, EpisodeSpec):
        raise RunError("The run has learned no policy.", fix="Name a run of sepsis-policy.")

    def policy(chart: pd.DataFrame) -> Floats:
        text = chart.reset_index(drop=True).astype(str)
        states, _ = encode(text, Columns(TextFormat(), "the ward"), spec.features)
        with torch.inference_mode():
            outputs = trained.network(torch.from_numpy(states).unsqueeze(1)).double()
        chances = task.chances(outputs.chunk(2, dim=1)[0])[..., 0]
        return np.asarray(chances)

    return policy


def at_random(chart: pd.DataFrame) -> Floats:
    """Give anything, equally often."""
    return np.full((len(chart), len(ACTIONS)), 1 / len(ACTIONS))


def expert(chart: pd.DataFrame) -> Floats:
    """Give what is short, by the formulas that the chart was made with; not quite the best, but hard to beat."""
    volume = (chart["venous_pressure"].to_numpy() - 8) / 3.5
    tone = (chart["mean_pressure"].to_numpy() - 74 - 5 * np.minimum(volume, 0)) / 9
    return together((volume < -0.3).astype(float), (tone < -0.3).astype(float))


def main(run: Path) -> None:
    """Print the true values."""
    habits = zip(TO_FLUIDS, TO_VASOPRESSOR, strict=True)
    clinical = np.mean([true_value(clinicians(*habit)) for habit in habits])
    print(f"at random   {true_value(at_random):6.3f}")
    print(f"clinicians  {clinical:6.3f}")
    print(f"learned     {true_value(learned(load_trained(run))):6.3f}")
    print(f"expert      {true_value(expert):6.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
