"""Pseudonyms are keyed: stable at a site, and nothing to anybody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import UID

from client.guard.pseudonyms import Pseudonyms, pseudonyms_of
from common.errors import MachineError

ONE, OTHER = Pseudonyms(b"1" * 32), Pseudonyms(b"2" * 32)


def test_the_same_for_the_same_and_unlike_others() -> None:
    assert ONE.patient("007") == ONE.patient("007") != ONE.patient("7")
    assert ONE.patient("007") != OTHER.patient("007")
    assert ONE.name("series", "1.2") != ONE.name("instance", "1.2"), "purposes are apart"
    assert len({ONE.patient(str(number)) for number in range(5000)}) == 5000


def test_uids_are_uids() -> None:
    made = {ONE.uid(f"1.2.{number}") for number in range(2000)}
    assert len(made) == 2000
    assert all(UID(uid).is_valid and len(uid) <= 64 for uid in made)


def test_days() -> None:
    days = [ONE.days(str(number)) for number in range(3000)]
    assert min(days) >= 1
    assert max(days) <= 3650
    assert len(set(days)) > 1000


def test_a_site_gets_a_secret_and_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "private" / "secret"
    assert pseudonyms_of(file).patient("x") == pseudonyms_of(file).patient("x")
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) == 32
    file.write_bytes(b"short")
    with pytest.raises(MachineError, match="damaged"):
        pseudonyms_of(file)
