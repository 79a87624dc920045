"""Processes run as one service: restarts, stuck programs, stopping, the lock, orphans, logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.errors import RunError
from common.supervise import Program, Supervisor, holder

FOREVER = "import time\nwhile True: time.sleep(1)"
DEAF = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\n"
    + FOREVER
)
PAUSES = {"first_pause": 0.05, "longest_pause": 0.2, "healthy_after": 0.6}


def program(folder: Path, code: str, name: str = "child", **more: object) -> Program:
    """A program that runs some Python; SIGTERM ends it."""
    command = [sys.executable, "-S", "-c", code]
    return Program(name, command, dict(os.environ), folder / f"{name}.log", **more)  # type: ignore[arg-type]


def until(true: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def exists(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def running(
    folder: Path, *programs: Program, **pauses: float
) -> Iterator[tuple[Supervisor, list[str]]]:
    """Supervise programs in a thread; what it says is in the list."""
    said: list[str] = []
    supervisor = Supervisor(programs, folder / "run" / "lock", said.append, **{**PAUSES, **pauses})
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        yield supervisor, said
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def started(said: list[str], name: str = "child") -> list[int]:
    """The process ids of a program so far."""
    head = f"{name} started (process "
    return [int(line[len(head) : -1]) for line in said if line.startswith(head)]


def test_a_program_that_ends_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    dies = program(tmp_path, "import sys; sys.exit(3)")
    with running(tmp_path, dies, healthy_after=60.0) as (supervisor, said):
        until(lambda: len(started(said)) >= 5)
    state = supervisor.states()["child"]
    assert (state.running, state.exit_code) == (False, 3)
    assert state.restarts >= 4
    pauses = [line.split("again in ")[1].split(" s")[0] for line in said if "again in" in line]
    assert pauses[:4] == ["0.05", "0.1", "0.2", "0.2"]
    assert "ended with exit code 3" in said[1]


def test_the_pauses_begin_anew_after_health(tmp_path: Path) -> None:
    marks = str(tmp_path / "marks")
    code = f"import os, time\nn = len(os.listdir({marks!r}))\nopen(f'{marks}/{{n}}', 'w').close()\n"
    (tmp_path / "marks").mkdir()
    once_well = code + "time.sleep(1.2 if n == 2 else 0)"
    with running(tmp_path, program(tmp_path, once_well)) as (_, said):
        until(lambda: len(started(said)) >= 5)
    pauses = [line.split("again in ")[1].split(" s")[0] for line in said if "again in" in line]
    assert pauses[:4] == ["0.05", "0.1", "0.05", "0.1"]


def test_a_program_that_does_not_exist_is_said_to_be_so(tmp_path: Path) -> None:
    missing = Program("ghost", [str(tmp_path / "nothing")], {}, tmp_path / "ghost.log")
    with running(tmp_path, missing) as (supervisor, said):
        until(lambda: supervisor.states()["ghost"].exit_code == 127)
    assert any("ghost cannot be started" in line for line in said)
    assert "No such file" in (tmp_path / "ghost.log").read_text()


def test_a_stuck_program_is_started_again(tmp_path: Path) -> None:
    stuck = {"now": ""}
    probed = program(tmp_path, FOREVER, alive=lambda: stuck["now"], patience=0.4)
    with running(tmp_path, probed) as (supervisor, said):
        until(lambda: supervisor.states()["child"].running)
        stuck["now"] = "no progress for a while"
        until(lambda: supervisor.states()["child"].problem == "no progress for a while")
        until(lambda: len(started(said)) == 2)
        stuck["now"] = ""
        first, second = started(said)
        assert not exists(first)
        assert exists(second)
    assert any("is stuck (no progress for a while)" in line for line in said)


def test_a_short_trouble_is_no_reason_to_restart(tmp_path: Path) -> None:
    answers = iter(["", "briefly", "", "briefly"])
    probed = program(tmp_path, FOREVER, alive=lambda: next(answers, ""), patience=2.0)
    with running(tmp_path, probed) as (supervisor, said):
        until(lambda: next(answers, None) is None)
        until(lambda: not supervisor.states()["child"].problem)
    assert len(started(said)) == 1


def test_a_probe_that_fails_counts_as_stuck(tmp_path: Path) -> None:
    def broken() -> str:
        raise ValueError("probe")

    with running(tmp_path, program(tmp_path, FOREVER, alive=broken, patience=0.3)) as (_, said):
        until(lambda: len(started(said)) >= 2)
    assert any("it cannot be asked (ValueError)" in line for line in said)


def test_the_second_waits_until_the_first_is_ready(tmp_path: Path) -> None:
    mark = tmp_path / "ready"
    first = program(tmp_path, FOREVER, "first", ready=mark.exists)
    with running(tmp_path, first, program(tmp_path, FOREVER, "second")) as (supervisor, said):
        until(lambda: supervisor.states()["first"].running)
        time.sleep(0.3)
        assert not supervisor.states()["second"].running
        mark.touch()
        until(lambda: supervisor.states()["second"].running)
    assert [line for line in said if "stopped" in line] == ["second stopped", "first stopped"]


def test_one_that_never_gets_ready_is_started_again(tmp_path: Path) -> None:
    never = program(tmp_path, FOREVER, ready=lambda: False, patience=0.3)
    with running(tmp_path, never) as (supervisor, said):
        until(lambda: len(started(said)) >= 2)
        assert not supervisor.states()["child"].ready


def test_a_deaf_program_is_killed_after_its_grace(tmp_path: Path) -> None:
    with running(tmp_path, program(tmp_path, DEAF, grace=0.3)) as (supervisor, said):
        until(lambda: "up" in _text(tmp_path / "child.log"))
        before = time.monotonic()
    assert 0.3 <= time.monotonic() - before < 3
    assert supervisor.states()["child"].exit_code == -signal.SIGKILL
    assert not exists(started(said)[0])


def test_a_hurry_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    with running(tmp_path, program(tmp_path, DEAF, grace=60)) as (supervisor, _):
        until(lambda: "up" in _text(tmp_path / "child.log"))
        threading.Timer(0.3, supervisor.kill).start()
        before = time.monotonic()
    assert time.monotonic() - before < 5


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys, time\n"
        f"c = subprocess.Popen([sys.executable, '-S', '-c', {DEAF!r}])\n"
        "print('grandchild', c.pid, flush=True)\ntime.sleep(60)"
    )
    with running(tmp_path, program(tmp_path, parent)):
        until(lambda: "grandchild" in _text(tmp_path / "child.log"))
        text = _text(tmp_path / "child.log")
        grandchild = int(text.split("grandchild ")[1].split()[0])
        assert exists(grandchild)
    until(lambda: not exists(grandchild))


def test_a_second_start_is_refused_and_a_left_over_file_is_not_in_the_way(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "lock"
    lock.parent.mkdir()
    lock.write_text("4242\n")
    assert holder(lock) is None
    with running(tmp_path, program(tmp_path, FOREVER)) as (supervisor, _):
        until(lambda: supervisor.states()["child"].running)
        assert holder(lock) == os.getpid()
        second = Supervisor([program(tmp_path, FOREVER)], lock, print)
        with pytest.raises(RunError, match=f"as process {os.getpid()}"):
            second.run(threading.Event())
    assert holder(lock) is None


SERVICE = """\
import os, sys
from pathlib import Path
from common.supervise import Program, Supervisor, run_in_foreground
folder = Path(sys.argv[1])
code = sys.argv[2]
child = Program("child", [sys.executable, "-S", "-c", code], dict(os.environ), folder / "child.log", grace=30)
run_in_foreground(Supervisor([child], folder / "lock", lambda line: print(line, flush=True)))
print("good bye", flush=True)
"""


@contextmanager
def service(folder: Path, code: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service in a process of its own, and the process id of its child."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(folder), code], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            child = int(process.stdout.readline().rpartition("process ")[2].rstrip(")\n"))
            until(lambda: "up" in _text(folder / "child.log"))
            yield process, child
        finally:
            process.kill()


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with service(tmp_path, DEAF) as (process, child):
        assert exists(child)
        process.kill()
        until(lambda: not exists(child), 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with service(tmp_path, "print('up', flush=True)\n" + FOREVER) as (process, child):
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read().splitlines() == ["child stopped", "good bye"]
        assert not exists(child)


def test_a_second_signal_kills(tmp_path: Path) -> None:
    with service(tmp_path, DEAF) as (process, child):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert exists(child)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not exists(child)


def test_a_large_log_is_set_aside(tmp_path: Path) -> None:
    talks = "import time\nfor i in range(60): print('x' * 99, flush=True); time.sleep(0.002)\ntime.sleep(60)"
    with running(tmp_path, program(tmp_path, talks, largest_log=1000)):
        until((tmp_path / "child.log.3").exists)
    sizes = [path.stat().st_size for path in tmp_path.glob("child.log*")]
    assert len(sizes) == 4
    assert max(sizes) <= 1000
    assert (tmp_path / "child.log").stat().st_mode & 0o077 == 0


def test_a_log_that_cannot_be_written_does_not_stop_the_program(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = tmp_path / "done"
    talks = (
        f"print('x' * 300_000, flush=True)\nopen({str(done)!r}, 'w')\nimport time\ntime.sleep(60)"
    )
    with running(tmp_path, program(tmp_path / "file", talks)):
        until(done.exists)


def test_no_file_of_ours_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with running(tmp_path, program(tmp_path, "pass")) as (_, said):
        until(lambda: len(started(said)) >= 3)
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
