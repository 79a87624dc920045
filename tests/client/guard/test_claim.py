"""One ledger for one data source: the claim beside the data, copies, moves, and what an audit of several sees."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from client.guard import claim as claim_module
from client.guard.chain import Chain
from client.guard.claim import Owner, claim
from client.guard.ledger import Ledger
from client.guard.sources import DataSource, location, shared_sources
from common.errors import BudgetError, MachineError, TamperedError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "archive" / "ct"
    folder.mkdir(parents=True)
    return folder


def owner(tmp_path: Path, name: str) -> Owner:
    ledger = Ledger(tmp_path / f"{name}.ledger", name, name)
    return Owner(ledger.identity, ledger.path, name)


def marker(data: Path) -> Path:
    return data.parent / f".{data.name}.consilium-claim"


def test_the_first_ledger_claims_and_keeps_its_claim(tmp_path: Path, data: Path) -> None:
    first = owner(tmp_path, "north")
    number = claim(data, "", first)
    assert number
    assert claim(data, "", first) == number
    assert json.loads(marker(data).read_text())["site"] == "north"
    assert list(data.iterdir()) == [], "beside the data, not among them"


def test_a_second_ledger_is_refused_and_both_are_named(tmp_path: Path, data: Path) -> None:
    claim(data, "", owner(tmp_path, "north"))
    content = marker(data).read_bytes()
    with pytest.raises(BudgetError) as caught:
        claim(data, "", owner(tmp_path, "south"))
    for name in ("north.ledger", "south.ledger", "'north'", "'south'"):
        assert name in caught.value.what
    assert marker(data).read_bytes() == content


def test_another_name_of_the_data_is_the_same_data(tmp_path: Path, data: Path) -> None:
    claim(data, "", owner(tmp_path, "north"))
    link = tmp_path / "elsewhere"
    link.symlink_to(data)
    (data / "2023").mkdir()
    for path in (link, data / ".." / "ct", data / "2023"):
        with pytest.raises(BudgetError):
            claim(path, "", owner(tmp_path, "south"))


def test_data_that_move_with_their_claim_stay_claimed(tmp_path: Path, data: Path) -> None:
    first = owner(tmp_path, "north")
    number = claim(data, "", first)
    moved = tmp_path / "new-disk" / "ct"
    shutil.move(data.parent, moved.parent)
    assert claim(moved, "", first) == number
    with pytest.raises(BudgetError):
        claim(moved, "", owner(tmp_path, "south"))


def test_a_ledger_that_moved_keeps_its_claim_and_a_copy_does_not(
    tmp_path: Path, data: Path
) -> None:
    first = owner(tmp_path, "north")
    number = claim(data, "", first)
    moved = tmp_path / "moved.ledger"
    shutil.copy(first.path, moved)
    with pytest.raises(BudgetError, match="twice") as caught:
        claim(data, "", replace(first, path=moved))
    assert "north.ledger" in caught.value.what
    first.path.unlink()
    assert claim(data, "", replace(first, path=moved)) == number
    assert json.loads(marker(data).read_text())["path"] == str(moved)


def test_parts_of_one_file_have_ledgers_of_their_own(tmp_path: Path, data: Path) -> None:
    north, south = owner(tmp_path, "north"), owner(tmp_path, "south")
    assert claim(data, "1/2", north) != claim(data, "2/2", south)
    with pytest.raises(BudgetError):
        claim(data, "1/2", south)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"claim": 3}', b"\xff\xfe"])
def test_a_damaged_claim_frees_nothing(tmp_path: Path, data: Path, content: bytes) -> None:
    marker(data).write_bytes(content)
    with pytest.raises(TamperedError, match="damaged"):
        claim(data, "", owner(tmp_path, "north"))
    assert marker(data).read_bytes() == content


def test_a_claim_that_cannot_be_read_frees_nothing(tmp_path: Path, data: Path) -> None:
    marker(data).mkdir()
    with pytest.raises(MachineError, match="cannot be read"):
        claim(data, "", owner(tmp_path, "north"))


@pytest.mark.parametrize("code", [13, 30])
def test_a_folder_that_takes_no_claim(
    tmp_path: Path, data: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(claim_module, "publish", refuse)
    assert claim(data, "", owner(tmp_path, "north")) is None


def test_a_full_disk_is_not_taken_for_a_folder_that_takes_no_claim(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(claim_module, "publish", refuse)
    with pytest.raises(MachineError, match="full"):
        claim(data, "", owner(tmp_path, "north"))


SOURCE = DataSource("ct", "dicom", "", location(Path("/data/ct")), "c" * 32, "claimed")


def test_a_source_is_noted_once_and_when_it_changes(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "a", "a")
    moved = replace(SOURCE, location=location(Path("/data/new")))
    for source in (SOURCE, SOURCE, moved, moved):
        ledger.record_source(source)
        Ledger(ledger.path, "a", "a").record_source(source)
    bodies = [entry.body for entry in Chain(ledger.path).read() if entry.kind == "source"]
    assert [DataSource.from_json(body) for body in bodies] == [SOURCE, moved]
    assert "/data" not in json.dumps(bodies)


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["a", "b"], True),
        (["a", "", "b"], True),
        (["a", "a"], False),
        (["", "a", ""], False),
        (["a", "", "a"], False),
    ],
)
def test_the_same_data_never_become_another_population(
    tmp_path: Path, names: list[str], refused: bool
) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "a", "a")
    *before, last = [replace(SOURCE, population=name) for name in names]
    for source in before:
        ledger.record_source(source)
    renamed = replace(last, dataset="scans")
    moved = replace(last, location=location(Path("/else")), claim=None)
    for source in (last, renamed, moved):
        if refused:
            with pytest.raises(BudgetError, match="second budget"):
                ledger.record_source(source)
        else:
            ledger.record_source(source)


def test_an_audit_of_several_ledgers_names_data_that_two_of_them_have() -> None:
    elsewhere = replace(SOURCE, location=location(Path("/else")), claim="d" * 32)
    moved = replace(SOURCE, location=location(Path("/moved")))
    simulated = replace(SOURCE, standing="simulated", claim=None)
    for other in (SOURCE, moved, replace(SOURCE, claim=None, standing="not writable")):
        (said,) = shared_sources([("x", [elsewhere, SOURCE]), ("y", [other, other])])
        assert "'ct' is charged in x and in y" in said
    assert shared_sources([("x", [SOURCE]), ("y", [elsewhere]), ("z", [simulated])]) == []
    assert shared_sources([("x", [SOURCE, SOURCE])]) == []
    unclaimed = replace(SOURCE, claim=None)
    assert shared_sources([("x", [unclaimed]), ("y", [replace(elsewhere, claim=None)])]) == []
