"""The status file: exact figures, which stay at the site."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from client.status import FILE, SiteStatus

STATUS = {
    "patients": 9,
    "train_patients": 6,
    "test_patients": 3,
    "samples": 12,
    "declared_patients": 10,
    "quarantined": 2,
    "quarantine_reasons": {"no label": 2},
    "notes": ("a note",),
    "steps": 4,
    "sigma": 1.5,
    "epsilon": math.inf,
    "delta": 1e-3,
    "bytes_sent": 99,
}


def test_a_status_comes_back(tmp_path: Path) -> None:
    status = SiteStatus(folder=tmp_path, **STATUS)  # type: ignore[arg-type]
    status.write()
    assert SiteStatus.read(tmp_path) == status
    assert "folder" not in (tmp_path / FILE).read_text()


@pytest.mark.parametrize("text", [b"", b"[1]", b"{}", b"\xff", b'{"notes": [], "more": 1}', b"7"])
def test_damage_or_another_version_is_no_status(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    assert SiteStatus.read(tmp_path) is None
    assert SiteStatus.read(tmp_path / "nowhere") is None
