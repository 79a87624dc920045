"""The site's own memory of its ledger: an older copy is refused, a crash never makes the memory run ahead."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from client.guard import anchor as anchor_module
from client.guard.ledger import Ledger
from common.errors import MachineError, TamperedError
from common.privacy.events import GaussianEvent

EVENT = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / ".a.ledger.head", tmp_path / "state" / "ledger-head.json"


def opened(tmp_path: Path, files: tuple[Path, Path]) -> Ledger:
    return Ledger(tmp_path / "a.ledger", "a", "a", anchors=files)


def spend(ledger: Ledger, key: str) -> None:
    made = ledger.reserve(
        key,
        study="s",
        fingerprint="f",
        round=1,
        group="train/1",
        event=EVENT,
        delta=1e-3,
        randomness="system",
    )
    ledger.settle(made, steps=10, released="a" * 64)


def test_the_memory_follows_every_settlement(tmp_path: Path, files: tuple[Path, Path]) -> None:
    ledger = opened(tmp_path, files)
    assert not any(file.exists() for file in files)
    for key in "12":
        spend(ledger, key)
        for file in files:
            assert json.loads(file.read_text())["head"] == ledger.head()
    assert len(opened(tmp_path, files).charges()) == 2


@pytest.mark.parametrize("lost", [0, 1, None])
def test_an_older_copy_is_refused_by_either_memory(
    tmp_path: Path, files: tuple[Path, Path], lost: int | None
) -> None:
    ledger = opened(tmp_path, files)
    spend(ledger, "1")
    backup = ledger.path.read_bytes()
    spend(ledger, "2")
    newest = ledger.path.read_bytes()
    ledger.path.write_bytes(backup)
    if lost is not None:
        files[lost].unlink()
    with pytest.raises(TamperedError, match="older copy") as caught:
        opened(tmp_path, files)
    assert "audit witness" in caught.value.fix
    ledger.path.write_bytes(newest)
    assert len(opened(tmp_path, files).charges()) == 2


def test_an_older_copy_that_was_charged_on_is_refused(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    ledger = opened(tmp_path, files)
    spend(ledger, "1")
    backup = ledger.path.read_bytes()
    spend(ledger, "2")
    ledger.path.write_bytes(backup)
    unaware = Ledger(ledger.path, "a", "a")
    for key in "345":
        spend(unaware, key)
    with pytest.raises(TamperedError, match="older copy"):
        opened(tmp_path, files)


def test_a_ledger_that_is_gone_is_not_made_anew(tmp_path: Path, files: tuple[Path, Path]) -> None:
    spend(opened(tmp_path, files), "1")
    (tmp_path / "a.ledger").unlink()
    with pytest.raises(TamperedError, match="missing, and it had 3 entries"):
        opened(tmp_path, files)
    assert not (tmp_path / "a.ledger").exists()


def test_a_memory_that_lags_is_no_reason_to_stop(
    tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the two writes."""
    ledger = opened(tmp_path, files)
    spend(ledger, "1")
    before = [file.read_text() for file in files]

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(anchor_module, "write_atomically", crash)
        with pytest.raises(KeyboardInterrupt):
            spend(ledger, "2")
    assert [file.read_text() for file in files] == before
    again = opened(tmp_path, files)
    assert [charge.settled for charge in again.charges()] == [True, True]
    spend(again, "3")
    assert json.loads(files[1].read_text())["head"] == again.head()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"entries": 0, "head": "x"}', '{"entries": 1}']
)
def test_a_damaged_memory_is_no_memory_of_nothing(
    tmp_path: Path, files: tuple[Path, Path], content: str
) -> None:
    spend(opened(tmp_path, files), "1")
    files[1].write_text(content)
    with pytest.raises(TamperedError, match="memory"):
        opened(tmp_path, files)


def test_a_memory_that_cannot_be_written_stops_the_reply(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    ledger = opened(tmp_path, files)
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(MachineError):
        spend(ledger, "1")
    assert [charge.settled for charge in ledger.charges()] == [True], "charged, though nothing left"
