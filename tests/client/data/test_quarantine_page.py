"""The page of what was left out: complete, harmless to open, for the owner's eyes only."""

from __future__ import annotations

import ast
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data import quarantine_advice
from client.data.cohort import Cohort
from client.data.quarantine import QuarantineLog
from client.data.quarantine_advice import advice, is_known
from client.data.quarantine_page import MOST_NAMES, write_page
from common.errors import DataError

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


DATA = Path(quarantine_advice.__file__).parent
GATHERED = (
    *("no record key", "no patient id", "no target value", "no time zero", "no age"),
    *("no time of the outcome", "outcome known before the window's end", "impossible value"),
    *("impossible change", "reading without patient id", "reading without a usable time"),
    *("reading without a value", "file: There is no column 'time'", "truncated", "empty file"),
)
"""Reasons that are not written where they are noted."""


def text_of(node: ast.expr) -> str | None:
    """A text as it is written, with X for what is put in."""
    if isinstance(node, ast.JoinedStr):
        parts = [each.value if isinstance(each, ast.Constant) else "X" for each in node.values]
        return "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def reasons() -> Iterator[str]:
    """All reasons that are written in the code that reads data."""
    for file in sorted(DATA.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = ast.unparse(node.func)
            text = text_of(node.args[-1])
            if text is None:
                continue
            if called == "Unusable":
                yield text
            elif called == "UnusableRecording":
                yield f"recording: {text}"
            elif called in ("log.add", "self._log.add", "refuse", "_refused"):
                yield text


def test_every_reason_in_the_code_has_advice_of_its_own() -> None:
    found = {*reasons(), *GATHERED}
    assert len(found) > 80
    assert [reason for reason in sorted(found) if not is_known(reason)] == []


def test_a_recording_has_the_advice_of_its_own_fault() -> None:
    assert "columns" in advice("recording: it has no channel 'II'")
    assert advice("recording: the file is shorter than its header says") == advice("truncated")
    assert advice("file: The text is not in utf-8") != advice("damaged header")
    assert advice("no patient id") != advice("no age") != advice("no pixel data")
    assert advice("no patient id") == advice("no patient id", "records")
    assert advice("no patient id") != advice("no patient id", "dicom")
    assert advice("needs DCMTK (package dcmtk) to be decoded: JPEG") != advice("cannot be decoded")


def test_it_is_written_where_nobody_is_left(build: Callable[..., Cohort], tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/junk").write_text("junk")
    (tmp_path / "l.csv").write_text("patient_id,label\nzz-1,a\n")
    with pytest.raises(DataError, match=r"1 × not DICOM"):
        build(
            'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n',
            {"kind": "dicom", "image_size": 8},
            ["a", "b"],
        )
    assert "junk" in (tmp_path / ".consilium/quarantine-default.html").read_text()
