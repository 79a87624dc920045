"""Files and folders that are made carefully."""

from __future__ import annotations

import stat
from pathlib import Path

from common.files import make_private


def test_a_private_folder_has_private_parents(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b" / "c")
    made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o700] * 3
    make_private(tmp_path / "a" / "b")
