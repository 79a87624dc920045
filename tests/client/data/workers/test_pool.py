"""Workers: every job gets its answer, whatever other jobs do to the process that does them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bad_jobs import do

from client.data.workers import child, pool
from client.data.workers.pool import Limits, outcomes
from client.data.workers.wire import UNREADABLE, Answer, Refused
from client.data.workers.worker import CRASHED, TOO_LONG, Worker
from common.errors import MachineError

QUICK = Limits(seconds=2)


@pytest.fixture(autouse=True)
def _no_worker_left() -> Iterator[None]:
    yield
    pool.end()


def children() -> list[str]:
    """Process ids of this process's children."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in found if "workers.child" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_every_job_is_answered_with_its_numbers() -> None:
    jobs = [("print" if number % 7 == 0 else "fine", number) for number in range(50)]
    found = dict(outcomes(do, jobs))
    assert sorted(found) == list(range(50))
    for number, answer in found.items():
        assert isinstance(answer, Answer)
        assert answer.value[0] == number
        np.testing.assert_array_equal(answer.arrays[0], np.full((2, number), number))
        np.testing.assert_array_equal(answer.arrays[1], np.arange(number))


def test_bad_jobs_are_refused_and_the_others_done() -> None:
    kinds = ["fine", "crash", "unusable", "gone", "odd", "bomb", "crash", "hang", "fine"]
    found = dict(outcomes(do, [(kind, number) for number, kind in enumerate(kinds)], QUICK))
    reasons = [o.reason if isinstance(o, Refused) else "done" for _, o in sorted(found.items())]
    assert reasons == [
        *("done", CRASHED, "a reason", UNREADABLE.reason, "cannot be read: damaged"),
        *("needs too much memory", CRASHED, TOO_LONG, "done"),
    ]


def test_jobs_are_taken_as_they_are_needed() -> None:
    taken = []

    def endless() -> Iterator[tuple[str, int]]:
        for number in range(10**9):
            taken.append(number)
            yield "fine", 1

    answers = outcomes(do, endless())
    for _ in range(20):
        next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(taken) < 200


def test_workers_are_kept_and_one_that_ended_is_replaced() -> None:
    assert len(dict(outcomes(do, [("fine", 1)] * 3))) == 3
    [kept] = children()
    assert len(dict(outcomes(do, [("fine", 1)] * 3))) == 3
    assert children() == [kept]
    os.kill(int(kept), signal.SIGTERM)
    assert len(dict(outcomes(do, [("fine", 1)] * 3))) == 3
    assert kept not in children()


def test_a_worker_that_cannot_begin_is_not_the_files_fault() -> None:
    def function(job: object) -> Answer:
        raise AssertionError

    function.__module__ = "a_module_that_is_not_installed"
    with pytest.raises(MachineError, match="cannot start"):
        dict(outcomes(function, range(3)))
    assert len(dict(outcomes(do, [("fine", 1)] * 3))) == 3


@pytest.mark.parametrize("rested", [True, False])
def test_only_a_worker_that_had_no_work_may_end_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, rested: bool
) -> None:
    """On a machine of many cores all idle ones end at the same moment: that is no failure, however many they are."""
    monkeypatch.setattr("sys.executable", shutil.which("true"))
    worker = Worker(1 << 32, 1 << 16)
    if rested:
        worker.rest()
    worker.send("module:function", 1, [(0, None)])
    assert worker.receive() is None
    assert worker.left() == [(0, None)]
    assert worker.failed is not rested


def test_a_worker_ends_when_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert child.IDLE_SECONDS <= 60
    dict(outcomes(do, [("fine", 1)]))
    assert children()
    pool.end()
    until = time.monotonic() + 5
    while children() and time.monotonic() < until:
        time.sleep(0.05)
    assert not children()
