"""The cache of cohorts: bounded, and whole whatever happens to its writers."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from client.data.cohort import Cohort
from client.data.quarantine import Quarantine
from client.data.store import cache as module
from client.data.store.cache import Cache
from client.data.store.entry import size


def cohort(number: int = 0, samples: int = 64) -> Cohort:
    """A cohort whose numbers tell it from others."""
    return Cohort(
        inputs=np.full((samples, 1, 32, 32), number, np.float32),
        targets=np.arange(samples),
        patient=np.arange(samples),
        is_test=np.zeros(samples, np.bool_),
        split_id="declared",
        quarantine=Quarantine({"a reason": 1}, (("zz-1", "a reason"),)),
    )


def left(folder: Path) -> set[str]:
    """What lies in the folder, besides its lock."""
    return {path.name for path in folder.iterdir()} - {"cohorts.lock"}


def test_what_is_saved_is_loaded_mapped_and_private(tmp_path: Path) -> None:
    store = Cache(tmp_path / "c")
    assert store.load("k") is None
    assert store.save("k", cohort(3))
    found = store.load("k")
    assert found is not None
    assert isinstance(found.inputs, np.memmap)
    assert not found.inputs.flags.writeable
    assert (found.inputs == 3).all()
    assert found.quarantine == cohort().quarantine
    assert left(tmp_path / "c") == {"k"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "c/k").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o700


def test_the_entry_unused_longest_makes_room(tmp_path: Path) -> None:
    store = Cache(tmp_path, largest=int(2.5 * size(cohort())))
    for number, key in enumerate("ab"):
        store.save(key, cohort(number))
        os.utime(tmp_path / key, (number, number))
    held = store.load("a")  # used just now, so "b" goes
    assert held is not None
    assert store.save("c", cohort(2))
    assert left(tmp_path) == {"a", "c"}
    os.utime(tmp_path / "a", (1, 1))
    assert store.save("d", cohort(3))
    assert left(tmp_path) == {"c", "d"}
    assert (held.inputs == 0).all()  # who reads an entry that goes can read on


def test_one_that_does_not_fit_is_not_kept_and_drives_nobody_out(tmp_path: Path) -> None:
    store = Cache(tmp_path, largest=2 * size(cohort()))
    assert store.save("a", cohort())
    assert not store.save("b", cohort(samples=1000))
    assert left(tmp_path) == {"a"}


def test_a_full_disk_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        total, free = 1 << 40, 1 << 20

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    assert not Cache(tmp_path).save("a", cohort())
    assert left(tmp_path) == set()


WRITER = """
import sys; from pathlib import Path; import numpy as np
sys.path.insert(0, sys.argv[2])
from test_cache import cohort
from client.data.store import entry; from client.data.store.cache import Cache
whole = entry.write
def write(folder, made):
    whole(folder, made); (folder / "meta.json").unlink(); print("half", flush=True); sys.stdin.read()
if sys.argv[3] == "die": entry.write = write
for number in range(int(sys.argv[4])): Cache(Path(sys.argv[1])).save("k", cohort(number))
"""


def writer(folder: Path, how: str, times: int = 1) -> subprocess.Popen[str]:
    """Start a process that saves an entry `times` times, or stops in the middle of the first."""
    arguments = [str(folder), str(Path(__file__).parent), how, str(times)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_writer_that_dies_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    with writer(tmp_path, "die") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        store = Cache(tmp_path)
        assert store.load("k") is None
        assert store.save("other", cohort())
        assert len([name for name in left(tmp_path) if name.startswith(module._NEW)]) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert store.save("k", cohort(1))
    assert left(tmp_path) == {"k", "other"}


def test_two_writers_and_a_reader(tmp_path: Path) -> None:
    store, seen, until = Cache(tmp_path), 0, time.monotonic() + 60
    with writer(tmp_path, "live", 25) as one, writer(tmp_path, "live", 25) as other:
        while (one.poll() is None or other.poll() is None) and time.monotonic() < until:
            found = store.load("k")
            if found is not None:
                values = np.unique(found.inputs)
                assert len(values) == 1
                seen += 1
        assert (one.wait(), other.wait()) == (0, 0)
    assert seen
    assert left(tmp_path) == {"k"}
