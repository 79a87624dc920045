"""The egress guard: what is not exactly what the study declares stays in the house."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from client.guard.egress import LARGEST, LARGEST_STATISTIC, Declared, Parcel, inspect
from common.errors import PolicyError
from common.weights import Layout

LAYOUT = Layout((("a", (2, 3)), ("b", (1,))))
TALLY = 4
DECLARED = Declared(LAYOUT, {"counts": (TALLY - 1,), "sum": (1,)})


def with_value(values: np.ndarray, value: float) -> np.ndarray:
    values = values.copy()
    values[-1] = value
    return values


def look(
    weights: np.ndarray | None, tally: np.ndarray | None, declared: Declared = DECLARED
) -> None:
    """Inspect what was asked for."""
    asked = {"weights": weights is not None, "statistics": tally is not None}
    inspect(Parcel(weights, tally), declared, **asked)


def test_what_is_declared_may_leave() -> None:
    sound, tally = np.full(7, -LARGEST, np.float32), np.full(TALLY, LARGEST_STATISTIC)
    for parts in ((sound, tally), (sound, None), (None, tally), (None, None)):
        look(*parts)


SOUND = np.full(7, 0.5, np.float32)


@pytest.mark.parametrize(
    "values",
    [SOUND[:6], np.r_[SOUND, SOUND], SOUND[None], SOUND.astype(np.float64), SOUND.astype(">f4")]
    + [SOUND.astype(np.int32), np.zeros(0, np.float32), np.array(["x"] * 7)]
    + [with_value(SOUND, value) for value in (np.nan, np.inf, -np.inf, 1.1e6, -3e38)],
)
def test_weights_of_another_size_type_or_range_stay(values: np.ndarray) -> None:
    with pytest.raises(PolicyError):
        look(values, None)


@pytest.mark.parametrize(
    "values",
    [np.zeros(3), np.zeros(5), np.zeros((2, 2)), np.zeros(4, np.float32), np.zeros(4, np.int64)]
    + [with_value(np.zeros(4), value) for value in (np.nan, np.inf, -1e16)],
)
def test_statistics_of_another_size_or_type_stay(values: np.ndarray) -> None:
    with pytest.raises(PolicyError):
        look(None, values)
    with pytest.raises(PolicyError):
        look(SOUND, values)


def test_messages_name_no_value() -> None:
    with pytest.raises(PolicyError) as caught:
        look(with_value(SOUND, 123456789.0), None)
    assert "1234" not in str(caught.value)


def test_the_digest_covers_every_bit_and_its_place() -> None:
    flat = np.zeros(2)
    parcels = [Parcel(SOUND, None), Parcel(None, None), Parcel(None, flat), Parcel(SOUND, flat)]
    parcels += [Parcel(with_value(SOUND, 0.5000001), flat), Parcel(SOUND, with_value(flat, 1e-300))]
    assert len({parcel.digest for parcel in parcels}) == len(parcels)
    assert Parcel(SOUND.copy(), flat.copy()).digest == Parcel(SOUND, flat).digest


def test_a_part_that_nobody_asked_for_stays_and_so_does_half_an_answer() -> None:
    tally = np.zeros(TALLY)
    for parcel, asked in (
        (Parcel(SOUND, tally), {"weights": True, "statistics": False}),
        (Parcel(SOUND, tally), {"weights": False, "statistics": True}),
        (Parcel(SOUND, None), {"weights": True, "statistics": True}),
        (Parcel(None, tally), {"weights": True, "statistics": True}),
    ):
        with pytest.raises(PolicyError):
            inspect(parcel, DECLARED, **asked)


def test_statistics_that_the_policy_keeps_stay() -> None:
    kept = replace(DECLARED, statistics={})
    with pytest.raises(PolicyError):
        look(SOUND, np.zeros(TALLY), kept)
    inspect(Parcel(SOUND, None), kept, weights=True, statistics=True)


@pytest.mark.parametrize(("wire", "size"), [("float32", 7 * 4 + 32), ("bfloat16", 7 * 2 + 32)])
def test_a_reply_larger_than_the_policy_lets_out_stays(wire: str, size: int) -> None:
    parcel = Parcel(SOUND, np.zeros(TALLY))
    for most, stays in ((size, False), (size - 1, True)):
        declared = replace(DECLARED, wire=wire, max_bytes=most)
        assert sum(declared.parts(parcel).values()) == size
        for check in (
            lambda d=declared: inspect(parcel, d, weights=True, statistics=True),
            lambda d=declared: d.check_size(weights=True, statistics=True),
        ):
            if not stays:
                check()
                continue
            with pytest.raises(PolicyError) as caught:
                check()
            assert "max_bytes_per_round" in caught.value.where
