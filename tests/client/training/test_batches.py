"""Drawing patients: with the public rate, whole, and at most K samples of each."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.training.augment import augment
from client.training.batches import UnitSampler, order_by_unit
from common.augmentations.base import Augmentation
from common.privacy.engine import UnitBatch
from common.privacy.noise import SecureRandom


def sampler(
    counts: list[int], rate: Fraction, per_unit: int, physical: int, seed: int
) -> UnitSampler:
    """Every sample holds its patient's number and its own."""
    unit = np.repeat(np.arange(len(counts)), counts)
    rows = np.stack([unit, np.arange(len(unit))], 1).astype(np.float32)
    shuffled = np.random.default_rng(seed).permutation(len(unit))
    cpu = torch.device("cpu")
    samples = order_by_unit(rows[shuffled], unit[shuffled], unit[shuffled] * 7 - 3, cpu)
    return UnitSampler(samples, rate, per_unit, physical, (), SecureRandom.fixed(seed))


@settings(max_examples=150, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    rate=st.fractions(Fraction(1, 10), 1),
    per_unit=st.integers(1, 10),
    physical=st.integers(1, 20),
    seed=st.integers(0, 999),
)
def test_a_patient_lies_in_one_piece_with_at_most_k_samples(
    counts: list[int], rate: Fraction, per_unit: int, physical: int, seed: int
) -> None:
    drawn = sampler(counts, rate, per_unit, physical, seed)
    seen: set[int] = set()
    for piece in drawn.draw():
        patients = piece.inputs[:, 0].long()
        assert torch.equal(patients, piece.targets.long()), "inputs and targets stay together"
        assert set(piece.unit.tolist()) == set(range(piece.units))
        for unit in range(piece.units):
            own = patients[piece.unit == unit]
            (patient,) = set(own.tolist())
            assert patient not in seen, "no patient straddles two pieces"
            seen.add(patient)
            assert len(own) == min(counts[patient], per_unit)
        assert len(set(piece.inputs[:, 1].tolist())) == len(patients), "no sample twice"
        assert len(patients) <= max(physical, min(per_unit, max(counts))) or piece.units == 1
    if rate == 1:
        assert seen == set(range(len(counts)))


def test_patients_come_with_the_public_rate_one_by_one() -> None:
    drawn = sampler([3] * 40, Fraction(1, 5), 2, 1000, 5)
    taken = np.zeros((2000, 40))
    for step in taken:
        for piece in drawn.draw():
            step[piece.inputs[:, 0].long().numpy()] = 1
    assert taken.mean() == pytest.approx(0.2, abs=0.006)
    assert taken.mean(0).max() < 0.25
    correlation = np.corrcoef(taken.T)[np.triu_indices(40, 1)]
    assert np.abs(correlation).max() < 0.12
    sizes = taken.sum(1)
    assert sizes.std() == pytest.approx(np.sqrt(40 * 0.2 * 0.8), rel=0.06), "not a fixed size"


def test_all_samples_of_a_patient_get_their_turn() -> None:
    drawn = sampler([6], Fraction(1), 2, 9, 1)
    seen = {int(row) for _ in range(60) for piece in drawn.draw() for row in piece.inputs[:, 1]}
    assert seen == set(range(6))


def test_a_step_that_draws_nobody_has_no_piece() -> None:
    drawn = sampler([1], Fraction(1, 10**9), 1, 1, 1)
    assert [list(drawn.draw()) for _ in range(5)] == [[]] * 5


def chosen(*names: str) -> tuple[Augmentation, ...]:
    return tuple(Augmentation(name=name) for name in names)


def images(kinds: tuple[str, ...], physical: int) -> list[torch.Tensor]:
    inputs = np.random.default_rng(0).normal(size=(12, 1, 4, 4)).astype(np.float32)
    samples = order_by_unit(inputs, np.zeros(12), np.arange(12) // 2, torch.device("cpu"))
    drawn = UnitSampler(samples, Fraction(1), 9, physical, chosen(*kinds), SecureRandom.fixed(2))
    pieces: list[UnitBatch] = list(drawn.draw())
    return [piece.inputs for piece in pieces]


@pytest.mark.parametrize("kinds", [(), ("flip",), ("rotate",), ("flip", "rotate")])
def test_augmentation_moves_pixels_and_does_not_depend_on_the_pieces(
    kinds: tuple[str, ...],
) -> None:
    whole, parts = torch.cat(images(kinds, 100)), torch.cat(images(kinds, 3))
    assert torch.equal(whole, parts)
    plain = torch.cat(images((), 100))
    assert torch.equal(whole, plain) == (not kinds)
    assert torch.equal(whole.flatten(1).sort().values, plain.flatten(1).sort().values)


def as_approved(images: torch.Tensor, kinds: tuple[str, ...], seed: int) -> torch.Tensor:
    """What the studies that sites approved first did to images."""
    made = []
    for image, code in zip(images, SecureRandom.fixed(seed).integers(8, len(images)), strict=True):
        quarters = int(code) % 4
        if "rotate" in kinds:
            image = torch.rot90(image, quarters, (1, 2))
        elif quarters % 2:
            image = image.flip(1)
        made.append(image.flip(2) if code >= 4 and "flip" in kinds else image)
    return torch.stack(made)


@pytest.mark.parametrize(
    "kinds", [("flip",), ("rotate",), ("flip", "rotate"), ("rotate", "flip"), ("flip", "flip")]
)
def test_flips_and_turns_are_bit_for_bit_those_of_approved_studies(kinds: tuple[str, ...]) -> None:
    given = torch.randn(200, 2, 6, 6)
    made, _ = augment(given, torch.zeros(200), chosen(*kinds), SecureRandom.fixed(9))
    assert torch.equal(made, as_approved(given, kinds, 9))


def test_images_that_are_not_square_keep_their_shape() -> None:
    wide = torch.randn(64, 1, 3, 5)
    turned, _ = augment(wide, torch.zeros(64), chosen("flip", "rotate"), SecureRandom.fixed(1))
    assert turned.shape == wide.shape


def test_nothing_is_drawn_where_nothing_changes() -> None:
    given, stream = torch.randn(4, 7, 1), SecureRandom.fixed(1)
    assert augment(given, torch.zeros(4), (), stream)[0] is given
    assert augment(given[:0], torch.zeros(0), chosen("jitter"), stream)[0].shape == (0, 7, 1)
    assert stream.uniform(1) == SecureRandom.fixed(1).uniform(1)


def test_masks_of_a_piece_move_with_its_images() -> None:
    masks = np.random.default_rng(0).integers(0, 3, (12, 6, 6)).astype(np.uint8)
    inputs = masks[:, None].astype(np.float32)
    samples = order_by_unit(inputs, masks, np.arange(12) // 2, torch.device("cpu"))
    drawn = UnitSampler(
        samples, Fraction(1), 9, 5, chosen("flip", "rotate"), SecureRandom.fixed(2), views=2
    )
    pieces = list(drawn.draw())
    found, moved = (torch.cat([getattr(p, n) for p in pieces]) for n in ("inputs", "targets"))
    assert torch.equal(found[:, 0], moved.float())
    assert not torch.equal(moved, torch.from_numpy(masks).repeat_interleave(2, 0))


def test_views_of_a_sample_stay_with_its_unit_and_differ() -> None:
    images = np.arange(3 * 16, dtype=np.float32).reshape(3, 1, 4, 4)
    samples = order_by_unit(
        images, np.zeros(3, dtype=np.int64), np.array([0, 0, 1]), torch.device("cpu")
    )
    drawn = UnitSampler(
        samples, Fraction(1), 8, 8, chosen("flip", "rotate"), SecureRandom.fixed(2), views=4
    )
    pieces = list(drawn.draw())
    assert [piece.units for piece in pieces] == [1, 1], "8 samples at once are two of 4 views"
    first = pieces[0]
    assert first.unit.tolist() == [0] * 8
    assert len(first.targets) == 8
    values = [sorted(view.flatten().tolist()) for view in first.inputs]
    assert (
        values
        == [sorted(images[0].flatten().tolist())] * 4 + [sorted(images[1].flatten().tolist())] * 4
    )
    assert len({tuple(view.flatten().tolist()) for view in first.inputs[:4]}) > 1
