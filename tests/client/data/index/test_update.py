"""The index: the same as reading everything, whatever happened to the folder or to the pass before."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import RLELossless

from client.data.files import unpack, walk
from client.data.index import update as module
from client.data.index.archive import Archive, archive
from client.data.index.listing import key_of
from client.data.quarantine import QuarantineLog
from common.errors import DataError

Write = Callable[..., Any]
RAMP = (np.arange(64, dtype=np.uint16) * 30).reshape(8, 8)


@pytest.fixture(autouse=True)
def _files_settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED_NS", -(10**12))


@pytest.fixture
def folder(tmp_path: Path, write_ct: Write) -> Path:
    """Two patients in nested folders and an archive, with files that cannot be used."""
    root = tmp_path / "d"
    for number in range(4):
        write_ct(root / f"a/{number}", RAMP, "zz-1", z=number)
    write_ct(root / "a.b/0", RAMP, "zz-2")
    write_ct(tmp_path / "m", RAMP, "zz-2", z=9)
    with zipfile.ZipFile(root / "more.zip", "w") as file:
        file.write(tmp_path / "m", "x/y")
        file.write(tmp_path / "m", "x.z")
    (root / "notes.txt").write_text("hello")
    (root / "broken").symlink_to(root / "nowhere")
    (root / "loop").symlink_to(root)
    return root


def contents(found: Archive) -> tuple[Any, ...]:
    """Everything that an index answers."""
    log = QuarantineLog()
    found.refuse(log)
    slices = [(one.file, one.to_row()) for one in found.everything()]
    by_patient = [(one.file, one.to_row()) for p in found.patients() for one in found.slices(p)]
    return slices, by_patient, list(found.patients()), log.result(), found.fingerprint()


def looked_up(root: Path, place: Path | None = None) -> tuple[int, int, tuple[Any, ...]]:
    with archive(root, "CT", place) as found:
        return found.done.read, found.done.removed, contents(found)


def test_order_and_reasons_are_those_of_a_walk(folder: Path) -> None:
    _, _, (slices, _, patients, left_out, _) = looked_up(folder)
    assert patients == ["zz-1", "zz-2"]
    names = [file.name for file, _ in slices]
    assert names == [file.name for file in unpack(walk(folder)) if file.name in names]
    assert names == ["a/0", "a/1", "a/2", "a/3", "a.b/0", "more.zip/x.z"]
    assert dict(left_out.details) == {
        "broken": "broken link",
        "more.zip/x/y": "duplicate",
        "notes.txt": "not DICOM",
    }


def test_a_second_pass_reads_nothing(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "private/i.sqlite"
    first = looked_up(folder, place)
    assert first[0] == 9
    assert looked_up(folder, place) == (0, 0, first[2])
    assert first[2] == looked_up(folder)[2]
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "change", ["add", "remove", "replace", "move", "archive", "mend", "folder"]
)
def test_a_change_is_seen_and_nothing_else_is_read(
    folder: Path, tmp_path: Path, write_ct: Write, change: str
) -> None:
    place = tmp_path / "private/i.sqlite"
    looked_up(folder, place)
    if change == "add":
        write_ct(folder / "a/00", RAMP, "zz-3")
    elif change == "remove":
        (folder / "a/2").unlink()
    elif change == "replace":
        write_ct(folder / "a/2", RAMP + 1, "zz-2", z=2)
    elif change == "move":
        os.rename(folder / "a/2", folder / "a/9")
    elif change == "archive":
        with zipfile.ZipFile(folder / "more.zip", "a") as file:
            file.write(folder / "a/3", "new")
    elif change == "mend":
        (folder / "nowhere").write_bytes((folder / "a/1").read_bytes())
    else:
        shutil.rmtree(folder / "a")
    read, removed, found = looked_up(folder, place)
    assert found == looked_up(folder)[2]
    assert read <= 3
    assert read or removed


def test_the_same_name_size_and_time_with_other_content(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "private/i.sqlite"
    before = looked_up(folder, place)[2]
    file = folder / "a/2"
    times = file.stat().st_mtime_ns
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times, times))
    read, _, after = looked_up(folder, place)
    assert read == 1
    assert after[-1] != before[-1]  # the fingerprint is of the content


def test_a_fresh_file_is_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_NS", 10**12)
    place = tmp_path / "private/i.sqlite"
    first = looked_up(folder, place)
    again = looked_up(folder, place)
    assert again[0] == 8  # all but the broken link
    assert again[2] == first[2]


def test_a_damaged_or_foreign_index_is_made_anew(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "private/i.sqlite"
    first = looked_up(folder, place)
    place.write_bytes(b"not a database" * 1000)
    assert looked_up(folder, place) == first
    content = bytearray(place.read_bytes())
    content[5000:9000] = b"\xff" * 4000
    place.write_bytes(content)
    assert looked_up(folder, place)[2] == first[2]
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE about SET value = 'an older reader' WHERE name = 'reader'")
    connection.close()
    assert looked_up(folder, place) == first


def test_where_nothing_can_be_written_the_index_is_in_memory(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert looked_up(folder, tmp_path / "file" / "i.sqlite")[2] == looked_up(folder)[2]


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"), archive(tmp_path / "none", "CT"):
        pass


def test_odd_names_and_single_files(tmp_path: Path, write_ct: Write) -> None:
    odd = os.fsdecode(b"caf\xe9 \n.dcm")
    dataset = write_ct(tmp_path / "d" / odd, RAMP, "zz-1")
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "one")
    slices = looked_up(tmp_path / "d")[2][0]
    assert [file.path for file, _ in slices] == [str(tmp_path / "d" / odd)]
    slices = looked_up(tmp_path / "one")[2][0]
    assert [(file.name, file.path) for file, _ in slices] == [("one", str(tmp_path / "one"))]


def test_keys_sort_as_folders_are_walked() -> None:
    names = ["a/x", "a/y/z", "a.txt", "a b/c", "b"]
    walked = sorted(names, key=lambda name: name.split("/"))
    assert sorted(names, key=key_of) == walked


@pytest.mark.slow
def test_a_killed_pass_goes_on_where_it_was(tmp_path: Path, write_ct: Write) -> None:
    root, place = tmp_path / "d", tmp_path / "private/i.sqlite"
    write_ct(root / "0", RAMP, "zz-1")
    for number in range(1, 3000):
        (root / str(number)).write_bytes((root / "0").read_bytes())
    code = (
        "import sys; from pathlib import Path; from client.data.index import update\n"
        "update.SETTLED_NS, update.COMMIT_SECONDS = -10**12, 0.05\n"
        "from client.data.index.archive import archive\n"
        "with archive(Path(sys.argv[1]), 'CT', Path(sys.argv[2])): pass\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(root), str(place)])
    done, until = 0, time.monotonic() + 60
    while done < 100 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
        if place.exists():
            try:
                with sqlite3.connect(f"file:{place}?mode=ro", uri=True) as connection:
                    done = connection.execute("SELECT COUNT(*) FROM files").fetchone()[0]
                connection.close()
            except sqlite3.Error:
                pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    read, _, found = looked_up(root, place)
    assert 100 <= done < 3000
    assert read <= 3000 - done
    assert found == looked_up(root)[2]
