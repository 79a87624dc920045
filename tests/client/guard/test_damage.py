"""Damage anywhere in the file: read as it was, or called tampered; never a traceback, never fewer charges."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from client.guard.book import Charge
from client.guard.chain import Chain
from client.guard.ledger import Ledger
from common.errors import ConsiliumError, MachineError, TamperedError
from common.privacy.events import GaussianEvent

PAGE = 4096
EVENT = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of several pages, to be copied."""
    ledger = Ledger(tmp_path_factory.mktemp("sound") / "a.ledger", "a", "a")
    for number in range(12):
        spend(ledger, number)
    assert ledger.path.stat().st_size > 3 * PAGE
    return ledger.path


def spend(ledger: Ledger, number: int) -> None:
    made = ledger.reserve(
        f"{number}",
        study="s",
        fingerprint="f" * 64,
        round=number,
        group="train/1",
        event=EVENT,
        delta=1e-3,
        randomness="system",
    )
    ledger.settle(made, steps=10, released="a" * 64)


def damaged(content: bytes) -> Iterator[bytes]:
    """Every page's head byte by byte, its body block by block, and cuts."""
    chance = random.Random(5)
    for place in range(len(content)):
        inside = place % PAGE
        if inside < 16 or place < 100 or (place < PAGE and inside % 17 == 0) or inside % 509 == 0:
            for value in (0, 255, content[place] ^ 1, (content[place] - 1) % 256):
                yield content[:place] + bytes([value]) + content[place + 1 :]
    for place in range(0, len(content), 1024):
        for block in (bytes(1024), chance.randbytes(512), content[:512]):
            yield content[:place] + block + content[place + len(block) :]
    for length in range(0, len(content), 1777):
        yield content[:length]
    yield content + chance.randbytes(PAGE)


def outcome(path: Path) -> tuple[str, list[Charge]]:
    try:
        return "read", Ledger(path, "a", "a").charges()
    except TamperedError as error:
        return "tampered" if error.what and error.fix else "says nothing", []


def test_damage_anywhere_is_seen_or_harmless(sound: Path, tmp_path: Path) -> None:
    whole = Ledger(sound, "a", "a")
    truth, head = whole.charges(), whole.head()
    path = tmp_path / "b.ledger"
    seen = {"read": 0, "tampered": 0}
    for content in damaged(sound.read_bytes()):
        path.write_bytes(content)
        how, charges = outcome(path)
        seen[how] += 1
        assert how == "tampered" or charges == truth
        audited = Chain(path, writable=False).verify()
        assert audited.reason or (audited.entries, audited.head) == (25, head)
        assert audited.intact or how == "tampered"
        for left in ("-journal", "-wal", "-shm"):
            path.with_name(path.name + left).unlink(missing_ok=True)
    assert min(seen.values()) > 100


def test_a_last_page_that_lost_its_newest_entries_shows(sound: Path, tmp_path: Path) -> None:
    """A shorter list of cells on the last page is sound to SQLite's reader, and so is the shorter chain."""
    path = tmp_path / "b.ledger"
    shutil.copy(sound, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER no_delete")
        connection.execute("DELETE FROM entries WHERE seq > 20")
    assert outcome(path)[0] == "tampered"
    assert "lost at the end" in Chain(path).verify().reason


def test_leftovers_of_another_database_do_not_matter(sound: Path, tmp_path: Path) -> None:
    truth = Ledger(sound, "a", "a").charges()
    for left in ("-journal", "-wal", "-shm"):
        for content in (b"", b"nonsense" * 1000, os.urandom(5000)):
            path = tmp_path / f"{len(content)}{left}.ledger"
            shutil.copy(sound, path)
            path.with_name(path.name + left).write_bytes(content)
            assert outcome(path) == ("read", truth)


def test_a_journal_mode_set_by_another_tool_is_read(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.ledger"
    shutil.copy(sound, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    ledger = Ledger(path, "a", "a")
    spend(ledger, 99)
    assert len(ledger.charges()) == 13
    assert Chain(path, writable=False).verify().intact


@pytest.mark.parametrize("content", [b"", b"\0" * PAGE, b"SQLite format 3\0", b"{}\n" * 3000])
def test_another_file_in_its_place(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "b.ledger"
    path.write_bytes(content)
    assert outcome(path)[0] == "tampered"
    assert path.read_bytes() == content


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot be opened"):
        Ledger(tmp_path, "a", "a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.ledger"
    shutil.copy(sound, path)
    path.chmod(0)
    with pytest.raises(ConsiliumError, match="cannot be opened"):
        Ledger(path, "a", "a")
