"""Episodes: decisions in order, the next state beside each, and nothing after a hole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from client.data.episodes.config import EpisodeDataset
from client.data.episodes.source import EpisodeSource, new_states
from client.data.samples import RawSamples
from common.data_spec import EpisodeSpec
from common.errors import DataError

SPEC: dict[str, Any] = {
    "kind": "episodes",
    "features": [{"name": "pressure", "minimum": 0, "maximum": 200}],
    "actions": {"wait": ["no"], "treat": ["yes", "more"]},
    "reward_minimum": -1,
    "reward_maximum": 1,
    "probability": "chance",
    "decisions": 3,
}
HEADER = "who,stay,hour,pressure,action,reward,chance"


def load(
    tmp_path: Path, rows: list[str], spec: dict[str, Any] | None = None, **site: Any
) -> RawSamples:
    return EpisodeSource().load(
        dataset(tmp_path, rows, **site), EpisodeSpec(**SPEC | (spec or {})), None
    )


def dataset(tmp_path: Path, rows: list[str], header: str = HEADER, **site: Any) -> EpisodeDataset:
    path = tmp_path / "d.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    keys = {"patient": "who", "episode": "stay", "order": "hour", "declared_patients": 10}
    return EpisodeDataset(kind="episodes", path=path, **keys | site)


def test_decisions_are_put_in_order_and_the_last_one_ends(tmp_path: Path) -> None:
    found = load(tmp_path, ["a,1,8,200,more,1,0.5", "a,1,4,100,no,0,0.25", "b,1,0,0,yes,-9,1"])
    assert found.inputs[0, :, 0].tolist() == [0, 1, 0, 0]
    assert found.targets[0].tolist() == [[0, 0, 0, 0.25], [1, 1, 1, 0.5], [-1, 0, 0, 0]]
    assert found.targets[1].tolist() == [[1, -1, 1, 1], [-1, 0, 0, 0], [-1, 0, 0, 0]]
    assert list(found.patients) == ["a", "b"]


def test_a_long_episode_is_cut_and_goes_on(tmp_path: Path) -> None:
    rows = [f"a,1,{hour},{hour * 10},no,0,1" for hour in range(10, 15)]
    found = load(tmp_path, rows)
    assert found.inputs[0, :, 0] * 100 + 100 == pytest.approx([100, 110, 120, 130])
    assert found.targets[0, :, 2].tolist() == [0, 0, 0]
    exact = load(tmp_path, rows[:3])
    assert exact.targets[0, :, 2].tolist() == [0, 0, 1]
    assert exact.inputs[0, 3].tolist() == [0]


def test_a_patient_may_have_several_episodes(tmp_path: Path) -> None:
    rows = ["a,1,0,100,no,0,1", "a,2,0,100,no,0,1", "a,1,1,100,no,0,1"]
    assert list(load(tmp_path, rows).patients) == ["a", "a"]
    one = load(tmp_path, rows, episode=None)
    assert (one.targets[0, :, 0] >= 0).sum() == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,1,1,100,never,0,1", "no action of the study"),
        ("a,1,1,100,no,,1", "no reward"),
        ("a,1,1,100,no,0,0", "no probability between 0 and 1"),
        ("a,1,,100,no,0,1", "no place in the order"),
    ],
)
def test_an_episode_with_a_hole_is_left_out_as_a_whole(
    tmp_path: Path, row: str, reason: str
) -> None:
    whole = ["a,1,0,100,no,0,1", "a,2,0,100,no,0,1", "b,1,0,100,no,0,1", ",1,0,100,no,0,1"]
    found = load(tmp_path, [*whole, row])
    assert len(found.inputs) == 2
    assert found.quarantine.counts == {reason: 1, "no patient id": 1}
    assert "a" not in {name for name, _ in found.quarantine.details}


def test_what_was_not_logged_is_not_asked_for(tmp_path: Path) -> None:
    found = load(tmp_path, ["a,1,0,100,no,1,none"], {"probability": None})
    assert found.targets[0, 0].tolist() == [0, 1, 1, 0]
    with pytest.raises(DataError, match="no column 'dose'"):
        load(tmp_path, ["a,1,0,100,no,1,1"], {"action": "dose"})
    site = {"columns": {"dose": "action"}, "replace": {"dose": {"no": "more"}}}
    assert load(tmp_path, ["a,1,0,100,no,1,1"], {"action": "dose"}, **site).targets[0, 0, 0] == 1


def test_new_states_need_neither_actions_nor_rewards(tmp_path: Path) -> None:
    given = dataset(tmp_path, ["a,100", "b,", "a,200", ",0"], "who,pressure")
    found, rows = new_states(given, EpisodeSpec(**SPEC))
    assert found.inputs[:, 0, 0].tolist() == [0, 0, 1]
    assert not found.inputs[:, 1:].any()
    assert (list(found.patients), rows.tolist()) == (["a", "b", "a"], [1, 2, 3])
    assert found.quarantine.counts == {"no patient id": 1}


def test_new_states_have_what_the_study_requires(tmp_path: Path) -> None:
    given = dataset(tmp_path, ["a,100", "b,", "a,200"], "who,pressure")
    required = {"features": [{**SPEC["features"][0], "required": True}]}
    found, rows = new_states(given, EpisodeSpec(**SPEC | required))
    assert (rows.tolist(), found.quarantine.counts) == ([1, 3], {"no pressure": 1})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"actions": {"wait": [0], "treat": [0]}}, "two actions"),
        ({"reward_minimum": 1}, "less than reward_maximum"),
        ({"reward": "pressure"}, "listed twice"),
        ({"actions": {"wait": [0]}}, "at least 2"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EpisodeSpec(**SPEC | change)
