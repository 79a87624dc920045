"""The egress guard: what is not exactly what the study declares stays in the house."""

from __future__ import annotations

import numpy as np
import pytest

from client.guard.egress import LARGEST, Parcel, inspect
from common.errors import PolicyError
from common.weights import Layout

LAYOUT = Layout((("a", (2, 3)), ("b", (1,))))
TALLY = 4


def with_value(values: np.ndarray, value: float) -> np.ndarray:
    values = values.copy()
    values[-1] = value
    return values


def test_what_is_declared_may_leave() -> None:
    sound, tally = np.full(7, -LARGEST, np.float32), np.full(TALLY, 1e300)
    for parcel in (Parcel(sound, tally), Parcel(sound, None), Parcel(None, tally)):
        inspect(parcel, LAYOUT, TALLY)


SOUND = np.full(7, 0.5, np.float32)


@pytest.mark.parametrize(
    "values",
    [SOUND[:6], np.r_[SOUND, SOUND], SOUND[None], SOUND.astype(np.float64), SOUND.astype(">f4")]
    + [SOUND.astype(np.int32), np.zeros(0, np.float32), np.array(["x"] * 7)]
    + [with_value(SOUND, value) for value in (np.nan, np.inf, -np.inf, 1.1e6, -3e38)],
)
def test_weights_of_another_size_type_or_range_stay(values: np.ndarray) -> None:
    with pytest.raises(PolicyError):
        inspect(Parcel(values, None), LAYOUT, TALLY)


@pytest.mark.parametrize(
    "values",
    [np.zeros(3), np.zeros(5), np.zeros((2, 2)), np.zeros(4, np.float32), np.zeros(4, np.int64)]
    + [with_value(np.zeros(4), value) for value in (np.nan, np.inf)],
)
def test_statistics_of_another_size_or_type_stay(values: np.ndarray) -> None:
    with pytest.raises(PolicyError):
        inspect(Parcel(None, values), LAYOUT, TALLY)
    with pytest.raises(PolicyError):
        inspect(Parcel(SOUND, values), LAYOUT, TALLY)


def test_messages_name_no_value() -> None:
    with pytest.raises(PolicyError) as caught:
        inspect(Parcel(with_value(SOUND, 123456789.0), None), LAYOUT, TALLY)
    assert "1234" not in str(caught.value)


def test_the_digest_covers_every_bit_and_its_place() -> None:
    flat = np.zeros(2)
    parcels = [Parcel(SOUND, None), Parcel(None, None), Parcel(None, flat), Parcel(SOUND, flat)]
    parcels += [Parcel(with_value(SOUND, 0.5000001), flat), Parcel(SOUND, with_value(flat, 1e-300))]
    assert len({parcel.digest for parcel in parcels}) == len(parcels)
    assert Parcel(SOUND.copy(), flat.copy()).digest == Parcel(SOUND, flat).digest
    assert Parcel(SOUND, flat).size == 7 * 4 + 2 * 8
