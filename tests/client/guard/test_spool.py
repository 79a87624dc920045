"""The spool: the same bytes again, or none."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from client.guard.egress import Parcel
from client.guard.spool import Spool

PARCEL = Parcel(np.arange(5, dtype=np.float32), np.array([1.5, np.pi]))


@pytest.mark.parametrize(
    "parcel",
    [PARCEL, Parcel(PARCEL.weights, None), Parcel(None, PARCEL.tally), Parcel(None, None)],
)
def test_a_reply_comes_back_bit_for_bit(tmp_path: Path, parcel: Parcel) -> None:
    spool = Spool(tmp_path / "spool")
    spool.save("round-1-abc", parcel)
    back = Spool(tmp_path / "spool").load("round-1-abc")
    assert back is not None
    assert back.digest == parcel.digest
    assert (back.weights is None, back.tally is None) == (
        parcel.weights is None,
        parcel.tally is None,
    )


def test_only_the_last_reply_is_kept_and_only_for_its_owner(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for round_ in range(3):
        spool.save(f"round-{round_}/x", PARCEL)
    (file,) = (tmp_path / "spool").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert spool.load("round-1/x") is None
    assert spool.load("round-2/x") is not None


def test_what_was_never_kept_is_not_there(tmp_path: Path) -> None:
    assert Spool(tmp_path / "nowhere").load("round-1") is None


def test_a_damaged_reply_is_no_reply(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.save("k", PARCEL)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for length in (0, 1, 3, 30, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert spool.load("k") is None
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        loaded = spool.load("k")  # never an exception; the ledger's digest tells what it is worth
        assert loaded is None or isinstance(loaded, Parcel)
