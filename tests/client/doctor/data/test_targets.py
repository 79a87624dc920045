"""What there is to learn is counted, and what nobody has is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from doctor_house import House, by_level
from trained_runs import study_with

from client.doctor.data.look import StudyLook

AGE = {"name": "age", "minimum": 0, "maximum": 100}
EVENT: dict[str, Any] = {
    "kind": "table",
    "features": [AGE],
    "target": "died",
    "positive": [1],
    "follow_up": {"time": "days", "unit": "d", "edges": [30.0, 90.0, 365.0]},
}


def said(house: House, **sections: Any) -> dict[str, list[str]]:
    """What the doctor says of the cohort, by level."""
    look = StudyLook(study_with(**sections))
    return by_level(house.findings("cohort", look=look))


@pytest.mark.parametrize(
    ("died", "days", "amber"),
    [
        (lambda n: n % 2, lambda n: 10 * n, []),
        (lambda n: 0, lambda n: 10 * n, ["with the event: 0 patients"]),
        (lambda n: 1, lambda n: 400, ["with the event: 0 patients"]),
        (lambda n: 1, lambda n: 0, ["Everybody who trains here has the event in the first"]),
    ],
    ids=["some", "all censored", "all after the last edge", "all at time 0"],
)
def test_an_event_that_nobody_has_or_all_at_once(
    house: House, died: Any, days: Any, amber: list[str]
) -> None:
    rows = [f"P{n},{40 + n % 30},{died(n)},{days(n)}" for n in range(40)]
    (house.folder / "t.csv").write_text("\n".join(["pid,age,died,days", *rows]))
    house.write('kind = "table"\npath = "t.csv"\npatient = "pid"', patients=40)
    found = said(house, task={"name": "survival"}, data=EVENT)
    assert found["red"] == []
    assert [text[: len(start)] for text, start in zip(found["amber"], amber, strict=True)] == amber
    counted = [text for level in found.values() for text in level if text.startswith("with the")]
    assert len(counted) == 1


def test_a_finding_that_nobody_has(house: House) -> None:
    known = np.tile([[1, 0, 0], [0, 0, 1], [-1, 0, 0]], (20, 1))
    images = np.random.default_rng(3).integers(0, 256, (60, 6, 6)).astype(np.uint8)
    np.savez(house.folder / "i.npz", images=images, labels=known, patients=np.arange(60) // 2)
    house.write('kind = "arrays"\npath = "i.npz"', patients=30)
    task = {"name": "multilabel", "findings": ["effusion", "mass", "nodule"]}
    data = {"kind": "arrays", "image_size": 6, "labels": "classes"}
    found = said(house, task=task, data=data)
    assert [text.split(" |")[0] for text in found["amber"]] == [
        "finding 'mass': 0 patients (0 samples) train, 0 patients (0 samples) held out"
    ]
    counted = [text for text in found["green"] if text.startswith("finding")]
    assert [text.split(":")[0] for text in counted] == ["finding 'effusion'", "finding 'nodule'"]
    samples = [int(word) for word in counted[0].replace("(", "").split() if word.isdigit()]
    assert samples[1] + samples[3] == 20, "unknown is not present"


@pytest.mark.parametrize("shown", [0, 2])
def test_images_with_points(house: House, shown: int) -> None:
    points = np.full((40, 1, 3), np.nan)
    if shown:
        points[::shown] = [2, 3, 2]
    images = np.random.default_rng(3).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    np.savez(house.folder / "i.npz", images=images, points=points)
    house.write('kind = "arrays"\npath = "i.npz"', patients=40)
    data = {"kind": "arrays", "image_size": 8, "labels": "points", "structures": ["nodule"]}
    model = {"name": "centre-net", "channels": [4, 4], "width": 4}
    found = said(house, task={"name": "detection"}, model=model, data=data)
    (line,) = (text for text in found["amber" if shown == 0 else "green"] if "nodule" in text)
    assert line.startswith("images with 'nodule'")
    assert ("neither learned nor judged" in line) == (shown == 0)
