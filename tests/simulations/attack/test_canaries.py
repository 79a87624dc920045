"""Canaries: whatever happens to patients happens to them, and patients do not notice them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from client.training.augment import augment
from client.training.batches import Samples
from common.augmentations.base import Augmentation
from common.privacy.noise import SecureRandom
from simulations.attack.canaries import MarkedNetwork, MarkedWorkspace, marked, subset
from simulations.attack.probe import Probe
from simulations.attack.subject import Subject

Make = Callable[..., Subject]
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


@pytest.mark.parametrize("engine", ["bookkeeping", "hooks"])
@pytest.mark.parametrize("style", ["flat", "per-layer", "automatic"])
def test_a_canary_moves_one_coordinate_by_c_and_nothing_else(
    make_subject: Make, engine: str, style: str
) -> None:
    subject = make_subject(privacy={"engine": engine, "clipping": style, "clip_norm": 0.02})
    probe = Probe(subject, marks=4)
    alone = probe.released(marked(probe.real(0), [[3, 3]]))
    assert probe.numbers(alone) == pytest.approx([0, 0, probe.whole, 0], abs=1e-4)
    assert np.linalg.norm(alone) == pytest.approx(probe.whole, abs=1e-4)


@pytest.mark.parametrize("engine", ["bookkeeping", "hooks"])
def test_patients_are_trained_on_as_if_there_were_no_canaries(
    make_subject: Make, engine: str
) -> None:
    subject = make_subject(privacy={"engine": engine})
    plain, with_marks = Probe(subject), Probe(subject, marks=3)
    expected = plain.released(plain.real(6))
    found = with_marks.released(marked(with_marks.real(6), [[1], [2, 2]]))
    assert found[: len(expected)] == pytest.approx(expected, abs=1e-5)
    assert with_marks.numbers(found) == pytest.approx([1, 1, 0], abs=1e-4)


@pytest.mark.parametrize("shape", [(2, 5, 5), (6, 3), (7,)])
def test_a_mark_survives_flips_and_reaches_the_table(shape: tuple[int, ...]) -> None:
    real = Samples(torch.rand(3, *shape), torch.zeros(3).long(), np.array([0, 1, 3]))
    samples = marked(real, [[5], [4000, 1]])
    kinds = [Augmentation(name=name) for name in ("flip", "rotate") if len(shape) == 3]
    turned, _ = augment(samples.inputs, samples.targets, kinds, SecureRandom.fixed(1))
    network = MarkedNetwork(torch.nn.Flatten(), 4000)
    with torch.no_grad():
        network.marks.weight.copy_(torch.arange(4001.0)[:, None])
    outputs = network(turned)
    assert outputs[:, -1].tolist() == outputs[:, -2].tolist() == [0, 0, 0, 5, 4000, 1]
    assert samples.offsets.tolist() == [0, 1, 3, 4, 6]
    if len(shape) < 3:
        assert torch.equal(outputs[:3, :-2], real.inputs.flatten(1))


def test_units_are_picked_with_their_first_samples() -> None:
    samples = Samples(torch.arange(6.0)[:, None], torch.arange(6), np.array([0, 1, 4, 6]))
    picked = subset(samples, [2, 1], most=2)
    assert picked.targets.tolist() == [4, 5, 1, 2]
    assert picked.offsets.tolist() == [0, 2, 4]
    assert subset(samples, []).units == 0


def test_the_numbers_are_read_from_packed_weights(make_subject: Make) -> None:
    space: Any = Probe(make_subject(), marks=3).space
    assert isinstance(space, MarkedWorkspace)
    weights = np.arange(space.layout.size, dtype=np.float32)
    assert space.numbers(weights).tolist() == weights[-3:].tolist()
