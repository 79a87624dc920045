"""A clock that is set back is told, and changes no figure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from client.guard import entries as entries_module
from client.guard.book import Book
from client.guard.budget import spent
from client.guard.chain import Chain
from client.guard.clock import backward_clock
from client.guard.ledger import Ledger
from common.privacy.events import GaussianEvent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time of the next entries, as a list of one."""
    now = [datetime(2026, 3, 29, 12, 0, tzinfo=UTC)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now[0]

    monkeypatch.setattr(entries_module, "datetime", Clock)
    return now


def test_a_clock_set_back_changes_nothing_but_is_told(
    tmp_path: Path, clock: list[datetime]
) -> None:
    ledgers = [Ledger(tmp_path / f"{name}.ledger", "a", "a") for name in "xy"]
    event = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10)
    for number, hours in enumerate((1, -48, 2, -1)):
        for ledger, moves in zip(ledgers, (True, False), strict=True):
            clock[0] = datetime(2026, 3, 29, 12 + number, tzinfo=UTC)
            clock[0] += timedelta(hours=hours) if moves else timedelta()
            made = ledger.reserve(
                f"{number}",
                study="s",
                fingerprint="f",
                round=number,
                group="train/1",
                event=event,
                delta=1e-3,
                randomness="system",
            )
            ledger.settle(made, steps=10, released="a" * 64)
    moved, steady = ledgers
    assert moved.charges() == steady.charges()
    assert spent(moved.charges(), 1e-3) == spent(steady.charges(), 1e-3)
    assert Ledger(moved.path, "a", "a").charges() == moved.charges()
    book = Book()
    assert Chain(moved.path, writable=False).verify(book.apply).intact
    assert [back.seq for back in book.setbacks] == [4, 8]
    assert backward_clock(Chain(moved.path).read()) == book.setbacks
    assert "entry 4 says 2026-03-27T13:00" in str(book.setbacks[0])
    assert backward_clock(Chain(steady.path).read()) == []
