"""Memorisation: repeated patients are found, and nobody is found where nobody was repeated."""

from __future__ import annotations

import numpy as np
from blobs import blobs, shaken

from client.synthesis.nearness import nearness


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_repeated_patients_are_found() -> None:
    train = blobs(200, 2)
    found = nearness(shaken(train.images[:80], 4), train, blobs(150, 3), rng())
    assert found.copies == 80
    assert found.p_value < 0.01


def test_patients_repeated_now_and_then_are_found() -> None:
    """Copies of few among many new images leave the share as it was, but are counted."""
    train = blobs(200, 2)
    drawn = np.concatenate([shaken(train.images[:3], 4), blobs(150, 5).images])
    assert nearness(drawn, train, blobs(150, 3), rng()).copies == 3


def test_a_patient_who_is_near_to_everything_is_not_memorisation() -> None:
    """All drawn images are alike, so that one patient is the nearest of all: in training in every second lot."""
    drawn = np.repeat(blobs(1, 9).images, 100, axis=0)
    shares = {nearness(drawn, blobs(60, n), blobs(60, n + 50), rng()).share for n in range(6)}
    assert shares == {0.0, 1.0}
    for n in range(6):
        assert nearness(drawn, blobs(60, n), blobs(60, n + 50), rng()).p_value > 0.3


def test_chance_alone_is_rarely_suspected() -> None:
    found = [
        nearness(blobs(60, n).images, blobs(80, n + 50), blobs(70, n + 90), rng())
        for n in range(20)
    ]
    p_values = np.array([each.p_value for each in found])
    assert (p_values < 0.01).sum() <= 1
    assert 0.25 < p_values.mean() < 0.75
    assert sum(each.copies for each in found) == 0


def test_both_sides_have_equally_many_patients() -> None:
    """A larger training set would be nearer by its size alone, and so would patients with more images."""
    found = nearness(blobs(200, 5).images, blobs(900, 6), blobs(90, 7), rng())
    assert 0.35 < found.share < 0.65


def test_equal_images_on_both_sides_hide_no_copies() -> None:
    """An image that was filed under two patients must not make the usual distance zero."""
    train, held_out = blobs(200, 2), blobs(150, 3)
    held_out.images[0] = train.images[0]
    assert nearness(shaken(train.images[:40], 4), train, held_out, rng()).copies == 40
