"""The generated ward: treatment matters, clinicians are fair but not best, and the estimates agree with the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from client.data.prepare import prepare
from client.site import load_site
from common.models import build_model
from common.study_file import load_study
from common.tasks import build_task
from common.trained import Trained
from simulations.bundled import study_path
from simulations.hospitals import create
from simulations.hospitals.sepsis import ACTIONS, DECISIONS, NAME, Floats, clinicians, courses
from simulations.hospitals.sepsis_truth import at_random, expert, learned, true_value

SECRET = b"a site's secret of 32 bytes....."


def test_treatment_decides_over_life() -> None:
    usual = true_value(clinicians(0.0, 0.0), 2000)
    assert true_value(at_random, 2000) < usual - 0.2
    assert usual < true_value(expert, 2000) - 0.3
    assert true_value(expert, 2000) < 0.95


def test_an_episode_ends_once_with_its_reward() -> None:
    table = courses(np.random.default_rng(1), 300, clinicians(0.0, 0.0))
    last = table.groupby("patient").tail(1)
    assert set(table.reward.drop(last.index)) == {0}
    assert set(last.reward) == {-1, 1}
    assert (last.hours[last.reward > 0] == 4 * (DECISIONS - 1)).all()
    assert table.probability.between(0.009, 0.82).all()
    assert set(table.action) == set(ACTIONS)


def test_probabilities_are_those_that_actions_were_taken_with() -> None:
    table = courses(np.random.default_rng(2), 4000, clinicians(0.0, 0.0))
    shares = (1 / table.probability).groupby(table.action).sum() / len(table)
    assert shares.to_numpy() == pytest.approx(np.ones(4), abs=0.06)


def test_importance_sampling_finds_what_the_ward_gives() -> None:
    """From the clinicians' decisions alone: what a policy that treats the dry a little more is worth."""

    def milder(chart: pd.DataFrame) -> Floats:
        return 0.6 * clinicians(0.0, 0.0)(chart) + 0.4 * expert(chart)

    table = courses(np.random.default_rng(3), 6000, clinicians(0.0, 0.0))
    ours = milder(table)[np.arange(len(table)), table.action.map(ACTIONS.index)]
    weight = np.log(ours / table.probability).groupby(table.patient).sum().pipe(np.exp)
    worth = table.groupby("patient").reward.sum()
    assert np.average(worth, weights=weight) == pytest.approx(true_value(milder), abs=0.05)


def test_the_bundled_study_reads_them_and_its_policy_can_be_tried(tmp_path: Path) -> None:
    (site,) = create(tmp_path / "h", sites=1, patients=60, seed=3, archives=[NAME], workers=1)
    study = load_study(study_path("sepsis-policy"))
    cohort = prepare(load_site(site), study.data, None, SECRET)
    assert cohort.inputs.shape == (60, *study.data.input_shape) == (60, 7, 7)
    assert cohort.targets.shape == (60, 6, 4)
    assert not cohort.notes
    assert not cohort.quarantine.total
    task = build_task(study)
    network = build_model(study, task.outputs)
    with torch.no_grad():
        network.layers[-1].weight.zero_()  # type: ignore[index, operator, union-attr]
        network.layers[-1].bias.copy_(torch.tensor([0.0, 0, 0, 5, 0, 0, 0, 0]))  # type: ignore[index, operator, union-attr]
    policy = learned(Trained(study, task, network, ""))
    chart = pd.DataFrame({f.name: [1.0] for f in study.data.features})  # type: ignore[union-attr]
    assert policy(chart)[0] == pytest.approx([0, 0, 0, 1])
