"""Subgroups: figures of each group, a true bound, and small groups that cannot be worked out."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import StudyError
from common.study import Study
from common.study_file import dump_study, parse_study
from common.tasks import build_task
from common.tasks.base import Tally
from common.tasks.small_cells import hidden_groups
from common.tasks.subgroups import Subgrouped

Make = Callable[..., Study]
SEX_AND_AGE = ["sex", {"name": "age", "bands": [40, 60]}]


def task_of(make_study: Make, subgroups: list[Any] = SEX_AND_AGE, **evaluation: Any) -> Subgrouped:
    task = build_task(make_study(evaluation={"subgroups": subgroups, **evaluation}))
    assert isinstance(task, Subgrouped)
    return task


def patients(seed: int, count: int = 400) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Outputs, targets, groups: the model knows nothing of women."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, count)
    groups = np.stack([rng.integers(0, 2, count), rng.integers(-1, 3, count)], 1)
    signal = np.where(groups[:, 0] == 0, 0.0, 3.0)
    outputs = np.stack([np.zeros(count), rng.normal(signal * (truth - 0.5), 1.0)], 1)
    return torch.as_tensor(outputs).float(), torch.as_tensor(truth), groups


def tallied(task: Subgrouped, seed: int, count: int = 400) -> Tally:
    outputs, targets, groups = patients(seed, count)
    weights = torch.ones(len(targets))
    return task.tally(outputs, targets, torch.zeros(len(targets), 1), weights, groups)


def rows(task: Subgrouped, tally: Tally) -> dict[str, dict[str, Any]]:
    tables = task.curves(tally)["subgroups"]
    return {f"{t['name']}: {row['name']}": row["figures"] for t in tables for row in t["rows"]}


def test_a_group_that_the_model_fails_is_seen(make_study: Make) -> None:
    task = task_of(make_study)
    found = rows(task, tallied(task, 1))
    assert found["sex: female"]["auc"] == pytest.approx(0.5, abs=0.1)
    assert found["sex: male"]["auc"] > 0.9
    assert found["sex: unknown"] == {}
    assert set(found) >= {
        "age: under 40",
        "age: 40 to under 60",
        "age: 60 and over",
        "age: unknown",
    }


def test_groups_add_up_to_the_whole(make_study: Make) -> None:
    task = task_of(make_study)
    tally = tallied(task, 2)
    for name in ("sex", "age"):
        np.testing.assert_allclose(
            tally.arrays[f"{name}/confusion"].sum(0), tally.arrays["confusion"]
        )
    plain = build_task(make_study())
    outputs, targets, _ = patients(2)
    alone = plain.tally(outputs, targets, torch.zeros(400, 1), torch.ones(400))
    assert task.metrics(tally) == plain.metrics(alone)


@settings(max_examples=50, deadline=None)
@given(
    outputs=arrays(np.float32, (6, 2), elements=st.floats(-1e4, 1e4, width=32)),
    targets=arrays(np.int64, 6, elements=st.integers(0, 1)),
    weights=arrays(np.float64, 6, elements=st.floats(0.0625, 1)),
    group=st.tuples(st.integers(-1, 2), st.integers(-1, 3)),
)
def test_no_unit_exceeds_the_bound(
    make_study: Make,
    outputs: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    group: tuple[int, int],
) -> None:
    task = task_of(make_study, subgroup_bins=3)
    weight = torch.as_tensor(weights / weights.sum())  # one unit of weight 1 in six samples
    groups = np.tile(group, (6, 1))
    whole = task.tally(
        torch.as_tensor(outputs), torch.as_tensor(targets), torch.zeros(6, 1), weight, groups
    )
    assert np.linalg.norm(whole.flat()) <= task.tally_bound + 1e-9
    assert {n: a.shape for n, a in whole.arrays.items()} == dict(task.tally_layout)


def test_the_bound_is_reached_and_grows_with_the_divisions(make_study: Make) -> None:
    for subgroups in (["sex"], SEX_AND_AGE):
        task = task_of(make_study, subgroups)
        wrong = torch.tensor([[-50.0, 50.0]])
        found = task.tally(wrong, torch.tensor([0]), torch.zeros(1, 1), torch.ones(1))
        assert np.linalg.norm(found.flat()) == pytest.approx(task.tally_bound, rel=1e-6)
        assert task.tally_bound == pytest.approx(math.sqrt(3 * (1 + len(subgroups))))


@given(st.lists(st.integers(0, 40), min_size=2, max_size=6), st.integers(2, 12))
def test_small_groups_are_hidden_and_no_difference_gives_them_away(
    counts: list[int], least: int
) -> None:
    hidden = hidden_groups(counts, least)
    gone = [count for count, out in zip(counts, hidden, strict=True) if out]
    shown = [count for count, out in zip(counts, hidden, strict=True) if not out]
    assert all(count == 0 or count >= least for count in shown)
    if gone and any(shown):
        assert len(gone) > 1
        assert sum(gone) >= least
    if all(count == 0 or count >= least for count in counts):
        assert not gone


def test_an_exact_tally_leaves_without_its_small_groups(make_study: Make) -> None:
    task = task_of(make_study)
    tally = task.without_small_groups(tallied(task, 3), [[3, 397, 0], [100, 100, 100, 100]])
    assert not tally.arrays["sex/confusion"].any(), "397 would give away the other three"
    assert not tally.arrays["sex/scores"].any()
    assert tally.arrays["age/confusion"].any((1, 2)).all()
    assert tally.arrays["confusion"].sum() == 400


def test_a_group_below_the_least_is_not_shown(make_study: Make) -> None:
    task = task_of(make_study, smallest_group=150)
    found = rows(task, tallied(task, 4))
    assert found["age: under 40"] == {}
    assert found["sex: male"]["count"] >= 150


def test_a_group_that_noise_hides_is_not_shown(make_study: Make) -> None:
    task = task_of(make_study)
    exact = tallied(task, 5).flat()
    noisy = exact + 60 * np.random.default_rng(1).normal(size=exact.size)
    found = rows(task, Tally.from_flat(noisy, task.tally_layout, 3600.0))
    assert not any(found.values())


def test_what_is_left_out_changes_no_fingerprint_and_what_is_there_travels(
    make_study: Make,
) -> None:
    assert make_study().fingerprint == make_study(evaluation={"subgroups": []}).fingerprint
    study = make_study(evaluation={"subgroups": SEX_AND_AGE})
    assert study.fingerprint != make_study().fingerprint
    again = parse_study(tomllib.loads(dump_study(study)), where="test")
    assert again.fingerprint == study.fingerprint


@pytest.mark.parametrize(
    ("subgroup", "said"),
    [
        ("ward", "'sex', 'age'"),
        ({"name": "ward"}, "groups"),
        ({"name": "ward", "groups": {"unknown": ["x"]}}, "unknown"),
        ({"name": "ward", "groups": {"a": ["x"], "b": ["X"]}}, "two"),
        ({"name": "age", "bands": [60, 40]}, "ascend"),
        ({"name": "age", "band": [60]}, "bands"),
    ],
)
def test_wrong_subgroups_are_refused_with_the_reason(
    make_study: Make, subgroup: Any, said: str
) -> None:
    with pytest.raises(StudyError) as error:
        make_study(evaluation={"subgroups": [subgroup]})
    assert said in f"{error.value.what} {error.value.fix}"
