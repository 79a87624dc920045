"""The page of what was left out: complete, harmless to open, for the owner's eyes only."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from client.data.cohort import Cohort
from client.data.quarantine import QuarantineLog
from client.data.quarantine_page import MOST_NAMES, advice, write_page

Write = Callable[..., Any]


def test_names_are_shown_as_text_and_in_bounds(tmp_path: Path) -> None:
    log = QuarantineLog()
    for number in range(MOST_NAMES + 5):
        log.add(f"zz/{number}", "truncated")
    log.add("<script>alert(1)</script>\udce9", "cannot be decoded: RLE Lossless")
    write_page(log.result(), tmp_path / "q.html", "scans")
    page = (tmp_path / "q.html").read_text()
    assert f"{MOST_NAMES + 6} files or rows" in page
    assert "and 5 more, see q.csv" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "doctor" in page
    assert stat.S_IMODE((tmp_path / "q.html").stat().st_mode) == 0o600


def test_a_reason_with_details_has_the_advice_of_its_kind() -> None:
    assert advice("damaged: look-up table") == advice("damaged")
    assert advice("something new") != advice("damaged")


def test_it_is_written_beside_the_list(
    build: Callable[..., Cohort], write_ct: Write, tmp_path: Path
) -> None:
    write_ct(tmp_path / "d/ok", np.zeros((8, 8), np.uint16), "zz-1")
    (tmp_path / "d/junk").write_text("junk")
    (tmp_path / "l.csv").write_text("patient_id,label\nzz-1,a\n")
    site = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
    build(site, {"kind": "dicom", "image_size": 8}, ["a", "b"])
    assert "junk" in (tmp_path / ".consilium/quarantine-default.html").read_text()
    assert "junk" in (tmp_path / ".consilium/quarantine-default.csv").read_text()
