"""Older ledgers: migrated whole or not at all, by whoever writes first, and never by an auditor."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from client.guard import schema
from client.guard.chain import Chain
from client.guard.ledger import Ledger
from client.guard.schema import ORIGIN, SCHEMA_VERSION
from common.errors import MachineError, TamperedError
from common.privacy.events import GaussianEvent

# The schema as Consilium 0.1 wrote it.
VERSION_1 = """
PRAGMA application_id = 1129270867;
PRAGMA user_version = 1;
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TRIGGER no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TRIGGER in_order BEFORE INSERT ON entries
    WHEN NEW.seq IS NOT (SELECT COALESCE(MAX(seq), 0) + 1 FROM entries)
    BEGIN SELECT RAISE(ABORT, 'entries are only added at the end'); END;
"""
EVENT = {
    "type": "gaussian",
    "sampler": "poisson",
    "sampling_rate": "1/4",
    "noise_multiplier": 1.4,
    "clip_norm": 1.0,
    "steps": 10,
}
RESERVED = {
    "key": "1",
    "study": "s",
    "fingerprint": "f",
    "round": 1,
    "group": "train/1",
    "delta": 1e-3,
    "randomness": "system",
    "event": EVENT,
}
CONTENT: list[tuple[str, dict[str, Any]]] = [
    ("open", {"site": "a", "population": "a", "schema": 1}),
    ("policy", {"policy": {"max_epsilon": 8.0, "delta": 1e-3}}),
    ("reserve", RESERVED),
    ("settle", {"key": "1", "steps": 7, "released": "a" * 64}),
    ("reserve", {**RESERVED, "key": "2"}),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of version 1, with a settled and an open reservation."""
    path = tmp_path / "a.ledger"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(VERSION_1)
        previous = ORIGIN
        for seq, (kind, body) in enumerate(CONTENT, start=1):
            at = f"2025-01-0{seq}T10:00:00.000+00:00"
            parts = [seq, at, kind, body, previous]
            text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
            own = hashlib.sha256(text.encode()).hexdigest()
            stored = json.dumps(body, sort_keys=True, separators=(",", ":"))
            row = (seq, at, kind, stored, previous, own)
            connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
            previous = own
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def tables(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()


def settle_the_open_one(path: Path) -> Ledger:
    ledger = Ledger(path, "a", "a")
    made = ledger.reserve(
        "2",
        study="s",
        fingerprint="f",
        round=1,
        group="train/1",
        event=GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10),
        delta=1e-3,
        randomness="system",
    )
    ledger.settle(made, steps=3, released="b" * 64)
    return ledger


def test_the_first_write_migrates_and_says_so(old: Path) -> None:
    before = list(Chain(old, writable=False).read())
    ledger = settle_the_open_one(old)
    after = list(Chain(old, writable=False).read())
    assert after[: len(before)] == before, "no entry is rewritten"
    assert [entry.kind for entry in after[len(before) :]] == ["migrated", "settle"]
    assert after[len(before)].body == {"from": 1, "to": SCHEMA_VERSION}
    assert version(old) == SCHEMA_VERSION
    assert [charge.event.steps for charge in ledger.charges()] == [7, 3]
    assert Ledger(old, "a", "a").charges() == ledger.charges()
    assert Chain(old).verify().intact


def test_a_migrated_file_is_like_a_new_one(old: Path, tmp_path: Path) -> None:
    settle_the_open_one(old)
    new = tmp_path / "new.ledger"
    Ledger(new, "a", "a")
    assert tables(old) == tables(new)


def test_reading_and_auditing_leave_an_old_file_as_it_is(old: Path) -> None:
    content = old.read_bytes()
    old.chmod(0o400)
    assert Chain(old, writable=False).verify().entries == len(CONTENT)
    assert [c.event.steps for c in Ledger(old, "a", "a").charges()] == [7, 10]
    assert old.read_bytes() == content
    assert [file.name for file in old.parent.iterdir()] == [old.name]


LATER = SCHEMA_VERSION + 1
STATEMENTS = sum(len(schema.STEPS[number]) for number in range(2, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("place", range(STATEMENTS + 1))
def test_a_migration_that_fails_in_the_middle_leaves_the_old_file(
    old: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = old.read_bytes()
    broken = list(schema.STEPS[2])
    broken.insert(place, "INSERT INTO nowhere VALUES (1)")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", MappingProxyType({**schema.STEPS, 2: tuple(broken)}))
        with pytest.raises(TamperedError, match="nowhere"):
            settle_the_open_one(old)
    assert old.read_bytes() == content
    assert [c.event.steps for c in settle_the_open_one(old).charges()] == [7, 3]


def test_a_power_cut_in_a_migration_leaves_the_old_version(old: Path) -> None:
    script = f"""
        import os
        from pathlib import Path
        from client.guard import chain
        from client.guard.ledger import Ledger
        upgrade = chain.upgrade
        def cut(connection, before):
            connection.execute("PRAGMA cache_size = 1")
            upgrade(connection, before)
            connection.execute("CREATE TABLE spilled AS SELECT * FROM entries, entries AS other")
            os._exit(9)
        chain.upgrade = cut
        Ledger(Path({str(old)!r}), "a", "a").record_policy({{"max_epsilon": 1.0}})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == 9
    assert [c.event.steps for c in settle_the_open_one(old).charges()] == [7, 3]
    assert ("table", "spilled") not in tables(old)


def test_a_chain_that_does_not_hold_is_not_migrated(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET body = '{}' WHERE seq = 4")
    content = old.read_bytes()
    with pytest.raises(TamperedError, match="Entry 4"):
        Chain(old).write(lambda writer: writer.append("policy", {"policy": {}}))
    assert old.read_bytes() == content


def test_two_processes_migrate_once(old: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from client.guard.ledger import Ledger
        Ledger(Path({str(old)!r}), "a", "a").record_policy({{"max_epsilon": float(sys.argv[1])}})
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    agents = [subprocess.Popen([*command, number]) for number in "12"]
    assert [agent.wait() for agent in agents] == [0, 0]
    kinds = [entry.kind for entry in Chain(old).read()]
    assert kinds.count("migrated") == 1
    assert kinds.count("policy") == 3


def test_whoever_waited_for_the_lock_finds_it_migrated(old: Path) -> None:
    chain = Chain(old)
    with chain._connection(old) as connection:
        chain._migrate(connection)
        chain._migrate(connection)
    assert [entry.kind for entry in chain.read()].count("migrated") == 1


def test_a_later_version_is_left_to_a_later_consilium(old: Path) -> None:
    settle_the_open_one(old)
    Chain(old).write(
        lambda writer: writer.append("migrated", {"from": SCHEMA_VERSION, "to": LATER})
    )
    with closing(sqlite3.connect(old)) as connection:
        connection.execute(f"PRAGMA user_version = {LATER}")
    content = old.read_bytes()
    for use in (lambda: Ledger(old, "a", "a"), lambda: Chain(old, writable=False).verify()):
        with pytest.raises(MachineError, match=f"version {LATER}") as caught:
            use()
        assert "later one" in caught.value.fix
    assert old.read_bytes() == content


@pytest.mark.parametrize("number", [1, 2, 255])
def test_a_damaged_version_is_not_taken_for_another(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.ledger"
    Ledger(path, "a", "a")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")
    with pytest.raises(TamperedError, match="header"):
        Ledger(path, "a", "a")
