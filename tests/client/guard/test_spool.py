"""The spool: the same bytes again, or none."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.guard import spool as spool_module
from client.guard.egress import Parcel
from client.guard.spool import Spool
from common.errors import MachineError

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


def test_replies_are_kept_as_far_as_there_is_room_and_only_for_their_owner(tmp_path: Path) -> None:
    one = Spool(tmp_path / "spool", 0)
    one.save("round-0-x", PARCEL)
    (file,) = (tmp_path / "spool").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    spool = Spool(tmp_path / "spool", 3 * file.stat().st_size)
    for round_ in range(1, 6):
        spool.save(f"round-{round_}-x", PARCEL)
    assert [round_ for round_ in range(6) if spool.load(f"round-{round_}-x")] == [3, 4, 5]
    one.save("round-9-x", PARCEL)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["round-9-x.npz"]


def test_a_full_disk_costs_the_old_replies_and_not_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, really = Spool(tmp_path), spool_module.write_atomically
    for round_ in (1, 2):
        spool.save(f"round-{round_}-x", PARCEL)

    def full(path: Path, content: bytes, **keys: Any) -> None:
        if any(tmp_path.glob("*.npz")):
            raise MachineError("The disk is full.")
        really(path, content, **keys)

    monkeypatch.setattr(spool_module, "write_atomically", full)
    spool.save("round-3-x", PARCEL)
    assert [path.stem for path in tmp_path.glob("*.npz")] == ["round-3-x"]


def test_earlier_rounds_are_found_by_number(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for key in ("round-2-a", "round-10-b-again-1", "round-11-c", "other"):
        spool.save(key, PARCEL)
    assert spool.keys_before(11) == ["round-10-b-again-1", "round-2-a"]
    spool.drop("round-2-a")
    assert spool.keys_before(10) == []


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
