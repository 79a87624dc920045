"""The chain: any edit shows, nothing is half-written, storage errors are told apart from forgery."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from client.guard import chain as chain_module
from client.guard.chain import Chain
from client.guard.entries import BrokenChain, Entry, Writer
from client.guard.schema import ORIGIN
from common.errors import MachineError, TamperedError

LENGTH = 6
FIELDS = ("seq", "at", "kind", "body", "previous", "hash")


def filled(path: Path, length: int = LENGTH) -> Chain:
    chain = Chain(path)
    chain.create("open", {"site": "a"})

    def more(writer: Writer) -> None:
        for n in range(1, length):
            writer.append("note", {"n": n, "µ": [1.5, None, True]})

    chain.write(more)
    return chain


def edit(path: Path, statement: str, *values: object) -> None:
    """What somebody with the file and a database tool can do."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for name in ("no_update", "no_delete", "in_order"):
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        connection.execute(statement, values)


def test_entries_come_back_as_written(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")
    entries = list(chain.read())
    assert [entry.seq for entry in entries] == list(range(1, LENGTH + 1))
    assert entries[0].previous == ORIGIN
    assert entries[2].body == {"n": 2, "µ": [1.5, None, True]}
    found = chain.verify()
    assert found.intact
    assert (found.entries, found.head) == (LENGTH, entries[-1].hash)


def test_the_documented_hash_needs_only_the_standard_library(tmp_path: Path) -> None:
    for one in filled(tmp_path / "a.log").read():
        parts = [one.seq, one.at, one.kind, one.body, one.previous]
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == one.hash


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound log, to be copied."""
    return filled(tmp_path_factory.mktemp("sound") / "a.log").path


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, LENGTH),
    st.sampled_from(FIELDS),
    st.one_of(
        st.sampled_from(["flip", "space", "blob", "empty", "upper"]),
        st.text(),
        st.integers(-5, 50),
        st.floats(allow_nan=False),
        st.binary(max_size=5),
    ),
)
@example(seq=LENGTH, name="seq", value=0)
@example(seq=LENGTH, name="seq", value=-(2**63))
def test_any_edit_of_one_field_shows(sound: Path, seq: int, name: str, value: Any) -> None:
    path = sound.with_name("edited.log")
    path.write_bytes(sound.read_bytes())
    chain = Chain(path)
    old = getattr(raw(path, seq), name)
    if isinstance(old, str) and isinstance(value, str):
        value = TRICKS[value](old) if value in TRICKS else value
    try:
        edit(path, f"UPDATE entries SET {name} = ? WHERE seq = ?", value, seq)
    except sqlite3.IntegrityError:
        return  # the file itself refuses: another row has the number, or it is no number
    unchanged = raw_value(path, name, seq) == (old, type(old).__name__)
    found = chain.verify()
    assert found.intact == unchanged
    if not unchanged:
        assert found.broken_at is not None
        assert found.broken_at <= seq
        assert found.reason


TRICKS: dict[str, Callable[[str], Any]] = {
    "flip": lambda old: old[:-2] + chr(ord(old[-2]) ^ 1) + old[-1:],
    "space": lambda old: old.replace(":", ": ") + " ",
    "blob": lambda old: old.encode(),
    "empty": lambda _: "",
    "upper": lambda old: old.upper(),
}


def raw(path: Path, seq: int) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT * FROM entries WHERE seq = ?", (seq,)).fetchone()
        return type("Row", (), dict(row))


def raw_value(path: Path, name: str, seq: int) -> tuple[Any, str] | None:
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute(f"SELECT {name} FROM entries WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else (row[0], type(row[0]).__name__)


@pytest.mark.parametrize(
    ("statement", "broken_at", "reason"),
    [
        ("DELETE FROM entries WHERE seq = 3", 3, "missing"),
        ("DELETE FROM entries WHERE seq = 1", 1, "missing"),
        ("DELETE FROM entries", 1, "lost at the end"),
        ("DELETE FROM entries WHERE seq > 4", 5, "lost at the end"),
        ("DELETE FROM newest", 7, "lost at the end"),
        ("UPDATE newest SET hash = 'x'", 7, "lost at the end"),
        ("UPDATE entries SET previous = hash WHERE seq = 4", 4, "does not follow"),
        ("UPDATE entries SET body = '{}' WHERE seq = 5", 5, "changed"),
        ("UPDATE entries SET body = 'nonsense' WHERE seq = 5", 5, "changed"),
        ("UPDATE entries SET body = '[1]' WHERE seq = 5", 5, "changed"),
        ("UPDATE entries SET body = x'ff' WHERE seq = 5", 5, "changed"),
        ("UPDATE entries SET body = CAST(x'ff' AS TEXT) WHERE seq = 5", 5, "damaged"),
        ("UPDATE entries SET seq = 99 WHERE seq = 6", 6, "missing"),
        ("UPDATE entries SET seq = -2 WHERE seq = 6", 1, "missing"),
        ("DROP TABLE entries", 1, "no such table"),
    ],
)
def test_the_first_break_is_named(
    tmp_path: Path, statement: str, broken_at: int, reason: str
) -> None:
    chain = filled(tmp_path / "a.log")
    edit(chain.path, statement)
    found = chain.verify()
    assert (found.intact, found.broken_at) == (False, broken_at)
    assert reason in found.reason


def test_a_swap_of_two_bodies_shows(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")
    edit(
        chain.path,
        "UPDATE entries SET body = (SELECT body FROM entries AS other"
        " WHERE other.seq = 7 - entries.seq) WHERE seq IN (3, 4)",
    )
    assert chain.verify().broken_at == 3


def test_the_cut_of_the_newest_entries_shows_only_to_who_knows_the_head(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")
    last = chain.verify()
    edit(chain.path, "DELETE FROM entries WHERE seq > 4")
    edit(chain.path, "UPDATE newest SET (seq, hash) = (SELECT 4, hash FROM entries WHERE seq = 4)")
    assert chain.verify().intact
    with pytest.raises(BrokenChain, match="gone or changed"):
        list(chain.read(after=last.entries, previous=last.head))


def test_an_entry_cannot_hide_from_who_asks_for_the_newest(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")
    known = list(chain.read())[3]
    edit(chain.path, "UPDATE entries SET seq = 0 WHERE seq = 6")
    with pytest.raises(BrokenChain, match="missing"):
        list(chain.read(after=known.seq, previous=known.hash))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET kind = 'x' WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 6",
        "INSERT INTO entries SELECT 9, at, kind, body, previous, hash FROM entries WHERE seq = 2",
        "INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE seq = 2",
        "INSERT INTO entries SELECT 7, at, kind, body, previous, hash FROM entries WHERE seq = 2",
    ],
)
def test_an_honest_connection_only_appends(tmp_path: Path, statement: str) -> None:
    chain = filled(tmp_path / "a.log")
    with (
        closing(sqlite3.connect(chain.path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="entries are"),
    ):
        connection.execute(statement)
    assert chain.verify().entries == LENGTH


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    chain = filled(tmp_path / "new" / "a.log")
    assert stat.S_IMODE(chain.path.stat().st_mode) == 0o600
    assert [each.name for each in chain.path.parent.iterdir()] == ["a.log"]


def test_creating_again_keeps_what_is_there(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")
    before = chain.verify()
    Chain(chain.path).create("open", {"site": "b"})
    assert chain.verify() == before


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    chains = [filled(tmp_path / f"{n}.log") for n in range(20)]
    for chain in chains:
        assert isinstance(next(iter(chain.read())), Entry)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("content", [b"", b"not a database" * 100, os.urandom(9000)])
def test_another_file_is_not_a_log(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(content)
    chain = Chain(path)
    chain.create("open", {"site": "a"})
    with pytest.raises(TamperedError):
        list(chain.read())
    with pytest.raises(TamperedError):
        chain.write(lambda writer: writer.append("note", {}))
    assert not chain.verify().intact
    assert path.read_bytes() == content


def test_damaged_pages_show(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log", 200)
    content = bytearray(chain.path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = os.urandom(4096)
    chain.path.write_bytes(content)
    assert not chain.verify().intact


def test_a_database_of_another_program_is_not_a_log(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")
    with closing(sqlite3.connect(chain.path)) as connection:
        connection.execute("PRAGMA application_id = 1")
    assert "not a log" in chain.verify().reason


def test_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")
    with closing(sqlite3.connect(chain.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(MachineError, match="version 99"):
        chain.write(lambda writer: writer.append("note", {}))


def test_a_lock_that_stays_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_module, "_BUSY_SECONDS", 0.05)
    chain = filled(tmp_path / "a.log")
    with closing(sqlite3.connect(chain.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MachineError, match="locked"):
            chain.write(lambda writer: writer.append("note", {}))
    chain.write(lambda writer: writer.append("note", {}))
    assert chain.verify().entries == LENGTH + 1


def test_a_full_disk_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = filled(tmp_path / "a.log")
    before = chain.verify()
    connect = sqlite3.connect

    def small(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.execute("PRAGMA max_page_count = 3")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(MachineError, match="disk is full"):
        chain.write(lambda writer: writer.append("note", {"long": "x" * 100_000}))
    monkeypatch.undo()
    assert chain.verify() == before


def test_a_missing_folder_or_file_is_the_machines_fault(tmp_path: Path) -> None:
    with pytest.raises(MachineError):
        list(Chain(tmp_path / "none.log").read())
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError):
        Chain(tmp_path / "file" / "a.log").create("open", {})


def test_a_failed_change_leaves_nothing(tmp_path: Path) -> None:
    chain = filled(tmp_path / "a.log")

    def broken(writer: Writer) -> None:
        writer.append("note", {"lost": True})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chain.write(broken)
    assert chain.verify().entries == LENGTH


@pytest.mark.parametrize("length", [1, 5000])
def test_a_power_cut_in_the_middle_of_a_write_is_undone(tmp_path: Path, length: int) -> None:
    """With many entries SQLite has already written into the file, so that the journal is needed."""
    chain = filled(tmp_path / "a.log")
    script = f"""
        import os
        from pathlib import Path
        from client.guard.chain import Chain
        def change(writer):
            writer._connection.execute("PRAGMA cache_size = 5")
            for n in range({length}):
                writer.append("note", {{"n": n}})
            os._exit(9)
        Chain(Path({str(chain.path)!r})).write(change)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == 9
    if length > 1:
        with pytest.raises(MachineError, match="interrupted write"):
            Chain(chain.path, writable=False).verify()
    assert chain.verify().entries == LENGTH
    assert Chain(chain.path, writable=False).verify().entries == LENGTH
