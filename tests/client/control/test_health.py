"""Health means progress: each trouble is found, said with its fix, and fails the right probes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as dtime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from processes import wait_until

from client.control.checks import device, storage
from client.control.checks.certificates import (
    certificate_notes,
    certificate_reasons,
    days_left,
    relied_on,
)
from client.control.checks.links import link_reasons
from client.control.checks.rounds import hours_notes, round_reasons, will_reasons
from client.control.checks.storage import disk_notes, disk_reasons, log_reasons, spool_reasons
from client.control.health import Health, Probe, Reason, Stillness
from client.control.monitor import MachineChecks, Monitor
from client.guard.chain import Chain
from client.service.state import Doing, Link, ServiceState, Snapshot, Work
from client.site import Connection, Service, Site
from client.site_folder import SiteFolder
from common.certificates import Pair, make_authority

NOW = 1_770_000_000.0
GOOD = Link("tum", "tum:443", polled=NOW - 1, contact=NOW - 5)


class Clock:
    """A monotonic clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock."""
    return Clock()


def links(*found: Link, still: Stillness | None = None, at: float = NOW) -> list[Reason]:
    """The reasons of some links of a service that started an hour ago."""
    snapshot = Snapshot("north", NOW - 3600, links={link.connection: link for link in found})
    return list(link_reasons(snapshot, at, still or Stillness()))


def test_a_link_in_use_is_fine() -> None:
    assert links(GOOD) == []
    assert links(replace(GOOD, contact=0.0)) == [], "a stock SuperNode tells nothing"


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (
            replace(GOOD, contact=NOW - 91),
            "has not reached the coordinator 'tum' (tum:443) for 91 s",
        ),
        (replace(GOOD, contact=NOW - 7300, problem="No route."), "for 2 h: No route."),
        (replace(GOOD, contact=0.0, problem="no route"), "since the start: no route."),
        (replace(GOOD, polled=NOW - 31, problem="refused"), "does not reach its SuperNode"),
        (replace(GOOD, polled=0.0), "does not reach its SuperNode"),
        (replace(GOOD, contact=NOW + 60), "the clock was set back"),
        (replace(GOOD, polled=NOW + 60), "does not reach its SuperNode"),
    ],
)
def test_a_lost_link_is_said_with_its_fix(link: Link, said: str) -> None:
    (reason,) = links(link)
    assert said in reason.problem
    assert "doctor" in reason.fix
    assert reason.probes == {Probe.READY, Probe.PROGRESS}


def test_one_lost_coordinator_of_two_leaves_the_site_ready() -> None:
    other = replace(GOOD, connection="lmu", contact=NOW - 500)
    (reason,) = links(GOOD, other)
    assert reason.probes == {Probe.PROGRESS}


def test_without_any_coordinator_there_is_nothing_to_do() -> None:
    (reason,) = links()
    assert "[connection]" in reason.fix
    assert Probe.READY in reason.probes


def test_a_service_that_has_just_started_is_not_healthy_yet_but_not_stuck() -> None:
    snapshot = Snapshot("north", NOW - 2, links={"tum": Link("tum", "tum:443")})
    (reason,) = link_reasons(snapshot, NOW, Stillness())
    assert "not reached yet" in reason.problem
    assert Probe.LIVE not in reason.probes


def test_a_dead_executor_is_stuck_whatever_the_clock_says(clock: Clock) -> None:
    still = Stillness(clock)
    assert links(GOOD, still=still) == []
    clock.now += 31
    (reason,) = links(GOOD, still=still, at=NOW - 0.5)
    assert "stood still for 31 s" in reason.problem
    assert Probe.LIVE in reason.probes


def test_a_contact_that_does_not_change_is_noticed_though_the_clock_was_set_back(
    clock: Clock,
) -> None:
    still = Stillness(clock)
    links(GOOD, still=still)
    clock.now += 91
    (reason,) = links(replace(GOOD, polled=NOW - 0.5), still=still)
    assert "has not reached the coordinator" in reason.problem


TRAINING = Work("tum", "small", "f" * 64, 3, Doing.TRAINING, 4, 9, began=NOW, moved=NOW)


def rounds(*work: Work, still: Stillness) -> list[Reason]:
    """The reasons of some tasks, with a patience of 60 s."""
    snapshot = Snapshot("north", NOW, work={each.connection: each for each in work})
    return list(round_reasons(snapshot, 60.0, still))


def test_a_round_without_a_step_is_stuck(clock: Clock) -> None:
    still = Stillness(clock)
    assert rounds(TRAINING, still=still) == []
    clock.now += 59
    assert rounds(TRAINING, still=still) == []
    clock.now += 2
    (reason,) = rounds(TRAINING, still=still)
    assert "step 4 of 9, without progress for 1 min" in reason.problem
    assert "stall_minutes" in reason.fix
    assert Probe.LIVE in reason.probes
    assert rounds(replace(TRAINING, step=5), still=still) == []


def test_a_jump_of_the_clock_stalls_no_round(clock: Clock) -> None:
    still = Stillness(clock)
    rounds(TRAINING, still=still)
    clock.now += 1
    assert rounds(replace(TRAINING, moved=NOW - 99_999, step=5), still=still) == []


def test_preparing_data_for_long_is_told_but_not_restarted(clock: Clock) -> None:
    still = Stillness(clock)
    work = replace(TRAINING, doing=Doing.DESCRIBING, round=0, step=0, steps=0)
    rounds(work, still=still)
    clock.now += 61
    (reason,) = rounds(work, still=still)
    assert reason.probes == {Probe.PROGRESS}


def test_waiting_for_the_device_is_fine_while_somebody_uses_it(clock: Clock) -> None:
    still = Stillness(clock)
    queued = replace(TRAINING, connection="lmu", doing=Doing.QUEUED)
    rounds(TRAINING, queued, still=still)
    clock.now += 61
    assert rounds(replace(TRAINING, step=5), queued, still=still) == []
    assert len(rounds(queued, still=still)) == 1


def test_paused_stopping_and_a_machine_problem_are_reasons() -> None:
    now = Snapshot("north", NOW, paused=True, stopping=True, problem="The disk is full.")
    found = {reason.check: reason for reason in will_reasons(now)}
    assert set(found) == {"paused", "stopping", "task"}
    assert "answered: The disk is full." in found["task"].problem
    assert all(reason.fix and Probe.LIVE not in reason.probes for reason in found.values())


def test_outside_the_hours_is_a_note_and_no_fault() -> None:
    assert list(hours_notes(None)) == list(hours_notes("20:00-06:00", dtime(23))) == []
    assert "20:00-06:00" in next(hours_notes("20:00-06:00", dtime(12)))


@pytest.fixture
def logs(folder: SiteFolder) -> SiteFolder:
    """A site with a ledger and an egress log."""
    for path in (folder.ledger, folder.egress_log):
        Chain(path).create("open", {"site": "north"})
    return folder


def test_logs_that_can_be_locked_are_fine_and_unchanged(logs: SiteFolder) -> None:
    before = {path: path.read_bytes() for path in logs.private.glob("site.*")}
    assert len(before) == 2
    assert list(log_reasons(logs)) == []
    assert {path: path.read_bytes() for path in logs.private.glob("site.*")} == before


def test_before_the_first_study_there_are_no_logs(folder: SiteFolder) -> None:
    assert list(log_reasons(folder)) == []
    assert not folder.ledger.exists()


@pytest.mark.parametrize("which", ["ledger", "egress"])
def test_a_locked_log_is_said_and_the_lock_of_others_stays(
    logs: SiteFolder, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setattr(storage, "LOCK_SECONDS", 0.05)
    path = logs.ledger if which == "ledger" else logs.egress_log
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        (reason,) = log_reasons(logs)
        assert reason.check == which
        assert "locked by another process" in reason.problem
        assert reason.fix
        other.execute("COMMIT")
    assert list(log_reasons(logs)) == []


def test_a_damaged_ledger_and_a_read_only_folder_are_said(
    logs: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.ledger.write_bytes(b"no database" * 1000)
    assert "damaged" in next(log_reasons(logs)).problem
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "no permission" in next(log_reasons(logs)).problem


def test_a_disk_that_is_full_or_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(disk_reasons(tmp_path, least=1)) == []
    assert "MiB of disk are free" in next(disk_reasons(tmp_path, least=1 << 60)).problem
    assert "cannot be read" in next(disk_reasons(tmp_path / "gone")).problem
    assert list(disk_notes(tmp_path / "gone")) == []
    monkeypatch.setattr(
        storage.shutil, "disk_usage", lambda path: SimpleNamespace(free=storage.LEAST_FREE)
    )
    assert "gets full" in next(disk_notes(tmp_path))
    monkeypatch.setattr(storage.os, "statvfs", lambda path: SimpleNamespace(f_files=9, f_favail=0))
    assert "inodes" in next(disk_reasons(tmp_path)).problem


def test_the_spool_is_tried_and_left_empty(folder: SiteFolder) -> None:
    assert list(spool_reasons(folder)) == []
    assert list(folder.states.iterdir()) == []
    folder.states.rmdir()
    assert list(spool_reasons(folder)) == [], "before the first study the private folder counts"
    folder.private.rmdir()
    (reason,) = spool_reasons(folder)
    assert "none leaves" in reason.problem


def fake_torch(count: int, error: str = "", *, initialised: bool = True) -> Any:
    """A torch with some GPUs."""

    def memory(index: int) -> tuple[int, int]:
        if error:
            raise RuntimeError(error)
        return 1, 1

    cuda = SimpleNamespace(
        is_initialized=lambda: initialised, mem_get_info=memory, device_count=lambda: count
    )
    return SimpleNamespace(cuda=cuda)


def test_a_gpu_that_goes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    check = device.DeviceCheck("auto")
    monkeypatch.setitem(sys.modules, "torch", fake_torch(2))
    assert list(check.reasons()) == []
    monkeypatch.setitem(sys.modules, "torch", fake_torch(1))
    assert "shows 1, 2 are needed" in next(check.reasons()).problem
    monkeypatch.setitem(sys.modules, "torch", fake_torch(2, "CUDA error: device lost.\nmore"))
    assert "CUDA error: device lost." in next(check.reasons()).problem


@pytest.mark.parametrize(
    ("configured", "count", "fine"),
    [
        ("auto", 0, True),
        ("cpu", 0, True),
        ("cuda", 0, False),
        ("cuda:1", 1, False),
        ("cuda:1", 2, True),
    ],
)
def test_a_configured_gpu_must_be_there(
    monkeypatch: pytest.MonkeyPatch, configured: str, count: int, fine: bool
) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(count, initialised=False))
    assert (list(device.DeviceCheck(configured).reasons()) == []) == fine


def test_before_torch_is_loaded_it_is_not_loaded_for_a_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert list(device.DeviceCheck("cuda").reasons()) == []
    assert "torch" not in sys.modules


def test_certificates_that_end_are_said(tmp_path: Path) -> None:
    authority = Pair(tmp_path / "ca.crt", tmp_path / "ca.key")
    make_authority(authority, "coordinator", days=30)
    files = {"of the authority of coordinator 'tum'": authority.certificate}
    now = datetime.now(UTC)
    assert list(certificate_reasons(files)) == list(certificate_notes(files)) == []
    soon = now + timedelta(days=20)
    assert "expires in 10 days" in next(certificate_notes(files, soon))
    assert list(certificate_reasons(files, soon)) == []
    (reason,) = certificate_reasons(files, now + timedelta(days=33))
    assert "expired 3 days ago" in reason.problem
    assert "renew" in reason.fix
    assert days_left(tmp_path / "none") == float("inf")


def test_the_certificates_at_hand_are_found(site: Site, folder: SiteFolder, tmp_path: Path) -> None:
    assert relied_on(site, folder) == {}
    connection = Connection(
        server="tum:443", certificates=tmp_path / "a", runtime_certificates=tmp_path / "b"
    )
    far = replace(site, connections={"tum": connection}, service=Service(control="host:1"))
    assert set(relied_on(far, folder).values()) == {
        tmp_path / "a",
        tmp_path / "b",
        folder.tls / "control-server.crt",
    }


def test_the_machine_is_checked_as_a_whole(site: Site, folder: SiteFolder) -> None:
    assert MachineChecks(site, folder)() == Health((), MachineChecks(site, folder)().notes)
    folder.states.rmdir()
    folder.private.rmdir()
    assert {"ledger", "disk", "spool"} <= {r.check for r in MachineChecks(site, folder)().reasons}


@pytest.fixture
def state() -> ServiceState:
    """A service in contact."""
    now = time.time()
    return ServiceState("north", {"tum": replace(GOOD, polled=now, contact=now)})


def test_checks_that_hang_or_fail_never_leave_healthy_standing(
    state: ServiceState, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("client.control.monitor.EVERY", 0.01)
    monkeypatch.setattr("client.control.monitor.OVERDUE", 0.5)
    behave: list[Callable[[], Health]] = [Health]
    monitor = Monitor(state, 60.0, lambda: behave[0]())
    monitor.start()
    wait_until(lambda: monitor.health().passes(Probe.PROGRESS))

    def broken() -> Health:
        raise RuntimeError("unforeseen")

    go = threading.Event()

    def hanging() -> Health:
        go.wait(20)
        return Health()

    for bad in (broken, hanging):
        behave[0] = bad
        wait_until(lambda: not monitor.health().passes(Probe.READY))
        assert "do not come back" in monitor.health().reasons[-1].problem
        behave[0] = Health
        if bad is hanging:
            go.set()
        wait_until(lambda: monitor.health().passes(Probe.PROGRESS))
    monitor.stop()
    assert caplog.text.count("RuntimeError: unforeseen") == 1, "once, not every turn"


def test_the_monitor_tells_its_listener(state: ServiceState) -> None:
    told: list[Health] = []
    monitor = Monitor(state, 60.0, Health, told.append)
    monitor.start()
    wait_until(lambda: bool(told))
    monitor.stop()
    assert told[0].passes(Probe.PROGRESS)
