"""What a coordinator keeps of the sites' ledgers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common import witness
from common.errors import MachineError, RunError
from common.witness import Witnessed

ONE = Witnessed("north", 1, "a" * 64, 100)
TWO = Witnessed("south", 1, "b" * 64, 0)


def test_replies_come_back_in_their_order(tmp_path: Path) -> None:
    witness.append(tmp_path, [ONE, TWO])
    witness.append(tmp_path, [])
    witness.append(tmp_path, [ONE])
    assert witness.read(tmp_path) == [[ONE, TWO, ONE]]


def test_the_rounds_records_are_read_too(tmp_path: Path) -> None:
    said = {
        each.site: {"ledger_head": each.head, "bytes_sent": each.bytes_sent} for each in (ONE, TWO)
    }
    (tmp_path / "rounds.jsonl").write_text(json.dumps({"round": 1, "sites": said}) + "\n")
    assert witness.read(tmp_path) == [[ONE, TWO]]
    witness.append(tmp_path, [TWO])
    assert witness.read(tmp_path) == [[TWO], [ONE, TWO]]


@pytest.mark.parametrize("lost", [1, 30, 100])
def test_half_a_line_of_a_crash_is_left_out_and_then_replaced(tmp_path: Path, lost: int) -> None:
    witness.append(tmp_path, [ONE, TWO])
    file = tmp_path / "witness.jsonl"
    file.write_bytes(file.read_bytes()[:-lost])
    assert witness.read(tmp_path)[0][:1] == [ONE]
    witness.append(tmp_path, [ONE])
    assert witness.read(tmp_path) == [[ONE, ONE]]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "3",
        "{}",
        "[" * 9999,
        '{"round": "1", "site": "a", "ledger_head": "x", "bytes_sent": 1}',
        '{"round": 1, "sites": {"a": {"ledger_head": 3, "bytes_sent": 1}}}',
        '{"sites": []}',
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    witness.append(tmp_path, [ONE])
    with (tmp_path / "witness.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError) as caught:
        witness.read(tmp_path)
    assert caught.value.where.endswith("witness.jsonl, line 2")


def test_a_site_cannot_write_more_than_a_head(tmp_path: Path) -> None:
    witness.append(tmp_path, [Witnessed("north", 1, "x\n" * 99_999, 1)])
    (((one,),)) = witness.read(tmp_path)
    assert len(one.head) == 65


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"):
        witness.read(tmp_path)
    with pytest.raises(MachineError):
        witness.append(tmp_path / "none", [ONE])
