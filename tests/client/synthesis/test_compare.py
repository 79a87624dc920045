"""Likeness, memorisation and usefulness together: sets whose answers are known."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from blobs import blobs, shaken

from client.synthesis.compare import Comparison, compare
from client.synthesis.groups import Group
from common.errors import DataError

CPU = torch.device("cpu")


def compared(drawn: Group, train: Group | None = None) -> Comparison:
    return compare(drawn, train or blobs(150, 2), blobs(150, 3), seed=1, device=CPU)


def test_true_images_look_true_teach_the_same_and_repeat_nobody() -> None:
    found = compared(blobs(90, 1))
    assert found.fid < 0.2 * found.fid_noise
    assert found.fid_real < 0.2 * found.fid_noise
    assert found.auc_drawn == pytest.approx(found.auc_real, abs=0.15)
    assert not found.suspicious
    assert not any("warning" in line for line in found.lines())
    assert json.loads(json.dumps(asdict(found)))["images"] == found.images


def test_repeated_patients_are_seen() -> None:
    train = blobs(200, 2)
    stolen = Group(shaken(train.images[:80], 4), train.labels[:80], np.arange(80))
    found = compared(stolen, train)
    assert found.suspicious
    assert "warning" in found.lines()[-1]


def test_classes_are_compared_as_common_as_the_house_has_them() -> None:
    """Drawn images have equally many of every class; the house's illness may be rare."""
    drawn = blobs(600, 1)
    rare = compare(
        drawn, blobs(300, 2, bright_share=0.1), blobs(300, 3, bright_share=0.1), seed=1, device=CPU
    )
    assert rare.images < 450
    assert rare.fid < 4 * rare.fid_real


def test_without_classes_there_is_no_word_of_a_classifier() -> None:
    groups = [
        replace(group, labels=np.zeros_like(group.labels))
        for group in (blobs(60, 1), blobs(90, 2), blobs(90, 3))
    ]
    found = compare(*groups, seed=1, device=CPU)
    assert found.auc_drawn is None
    assert not any("classifier" in line for line in found.lines())


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="needs 30"):
        compared(blobs(10, 1))
    with pytest.raises(DataError, match="classes as common"):
        compared(blobs(200, 1, bright_share=0.02))
