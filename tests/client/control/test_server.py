"""The control plane over real gRPC on a Unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from processes import wait_until

from client.control.client import Place, connected
from client.control.server import ControlServer
from client.control.service import WATCHERS
from client.guard.chain import Chain
from client.service.state import Doing, Link, Work
from client.site_folder import SiteFolder
from common.errors import MachineError, RunError, StudyError
from common.proto import site_control_pb2 as pb

SHA = "ab" * 32


def status_of(place: Place) -> pb.SiteStatus:
    """Ask for the status."""
    with connected(place) as stub:
        return stub.Status(pb.StatusRequest(), timeout=10).status


def test_status_shows_work_links_and_health(place: Place, running: Any) -> None:
    running.state.work("tum", Work("tum", "small", "f" * 64, 3, Doing.TRAINING, 4, 9))
    wait_until(lambda: status_of(place).health.progress)
    status = status_of(place)
    assert (status.site, status.work[0].round, status.work[0].step) == ("north", 3, 4)
    assert status.links[0].node == 2**63 + 5
    assert status.health.live
    assert status.health.ready
    assert not status.health.reasons


def test_before_the_machine_was_checked_nothing_is_called_healthy(
    running: Any, monkeypatch: pytest.MonkeyPatch, start: Callable[..., ControlServer]
) -> None:
    go = threading.Event()
    monkeypatch.setattr(
        "client.control.monitor.disk_reasons", lambda folder: (go.wait(10) and ()) or ()
    )
    place = Place(Path(start().address))
    before = status_of(place).health
    go.set()
    assert not before.ready
    assert before.reasons[0].check == "checks"
    wait_until(lambda: status_of(place).health.progress)


def test_pause_and_resume(place: Place, running: Any) -> None:
    with connected(place) as stub:
        paused = stub.Pause(pb.PauseRequest(), timeout=10).status
        assert paused.paused
        assert not paused.health.ready
        assert paused.health.live
        assert "site resume" in next(r.fix for r in paused.health.reasons if r.check == "paused")
        assert not stub.Resume(pb.ResumeRequest(), timeout=10).status.paused


def test_studies_are_listed_approved_and_revoked(place: Place) -> None:
    with connected(place) as stub:
        (listed,) = stub.Studies(pb.StudiesRequest(), timeout=10).studies
        assert (listed.bundle, listed.study, listed.standing) == (SHA, "small", "pending")
        approved = stub.Approve(pb.ApproveRequest(bundle="abab", by=" Dr.  A "), timeout=10).study
        assert (approved.standing, approved.by) == ("approved", "Dr. A")
        assert (
            stub.Revoke(pb.RevokeRequest(bundle=SHA, by="B"), timeout=10).study.standing
            == "revoked"
        )


@pytest.mark.parametrize("by", ["", "  ", "x" * 300, "a\x1b[31mb"])
def test_a_decision_needs_a_name(place: Place, running: Any, by: str) -> None:
    with pytest.raises(StudyError, match="who decides"), connected(place) as stub:
        stub.Approve(pb.ApproveRequest(bundle=SHA, by=by), timeout=10)
    assert running.record.standing == "pending"


def test_errors_keep_their_words_and_their_code(place: Place) -> None:
    with pytest.raises(StudyError) as caught, connected(place) as stub:
        stub.Approve(pb.ApproveRequest(bundle="ffff", by="A"), timeout=10)
    assert (caught.value.what, caught.value.where) == ("No study 'ffff'.", "inbox")
    assert caught.value.fix == "See the list."


def test_unforeseen_errors_tell_no_details(place: Place, running: Any) -> None:
    running.studies = lambda: [object()]
    with pytest.raises(MachineError, match="did not expect"), connected(place) as stub:
        stub.Studies(pb.StudiesRequest(), timeout=10)


def test_budget_is_remembered_until_the_ledger_changes(
    place: Place, running: Any, folder: SiteFolder
) -> None:
    with connected(place) as stub:
        for _ in range(3):
            (line,) = stub.Budget(pb.BudgetRequest(), timeout=10).lines
        assert (line.epsilon, line.limit, line.left) == (1.25, 8.0, 6.75)
        assert running.asked == 1
        Chain(folder.ledger).create("open", {"site": "north"})
        stub.Budget(pb.BudgetRequest(), timeout=10)
        assert running.asked == 2


def test_egress_gives_the_newest_entries_of_a_chain_that_holds(
    place: Place, folder: SiteFolder
) -> None:
    log = Chain(folder.egress_log)
    log.create("open", {"site": "north"})
    for number in range(5):
        body = {"study": "small", "round": number, "sha256": SHA, "bytes": 10, "resent": number > 3}
        body["parts"] = {"weights": 10}
        log.write(lambda writer, body=body: writer.append("reply", body))
    with connected(place) as stub:
        reply = stub.Egress(pb.EgressRequest(limit=2), timeout=10)
        assert (reply.total, [each.round for each in reply.entries]) == (6, [3, 4])
        assert [each.resent for each in reply.entries] == [False, True]
        assert (reply.entries[0].kind, reply.entries[0].bytes) == ("reply", 10)
        assert dict(reply.entries[0].parts) == {"weights": 10}
        assert not stub.Egress(pb.EgressRequest(after=6), timeout=10).entries


def test_a_cut_egress_log_is_told(place: Place, folder: SiteFolder) -> None:
    folder.egress_log.write_bytes(b"not a log" * 500)
    with pytest.raises(Exception, match="log"), connected(place) as stub:
        stub.Egress(pb.EgressRequest(), timeout=10)


def test_watch_streams_events_and_changes(place: Place, running: Any) -> None:
    with connected(place) as stub:
        stream = stub.Watch(pb.WatchRequest(seconds=0.1), timeout=20)
        assert next(stream).status.site == "north"
        running.state.tell("round", "Round 1 was answered.", connection="tum", study="small")
        running.state.update(lambda now: replace(now, answered=7))
        seen: list[pb.WatchReply] = []
        while not any(each.status.answered == 7 for each in seen):
            seen.append(next(stream))
        assert [each.event.text for each in seen if each.HasField("event")] == [
            "Round 1 was answered."
        ]
        stream.cancel()


def test_watchers_that_leave_give_their_place_back(place: Place) -> None:
    def all_places() -> bool:
        try:
            with connected(place) as stub:
                streams = [stub.Watch(pb.WatchRequest(), timeout=30) for _ in range(WATCHERS)]
                for stream in streams:
                    next(stream)
                with pytest.raises(grpc.RpcError) as caught:
                    next(stub.Watch(pb.WatchRequest(), timeout=10))
                assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert stub.Status(pb.StatusRequest(), timeout=10).status.site == "north"
        except MachineError:
            return False
        return True

    assert all_places()

    def again() -> bool:
        time.sleep(0.6)  # twice a second the service looks who still watches
        return all_places()

    wait_until(again)


def test_stopping_ends_watchers_and_removes_the_socket(
    start: Callable[..., ControlServer], folder: SiteFolder
) -> None:
    server = start()
    ended = threading.Event()

    def watch() -> None:
        try:
            with connected(Place(folder.control_socket)) as stub:
                for _ in stub.Watch(pb.WatchRequest(), timeout=30):
                    watching.set()
        except MachineError:
            pass
        ended.set()

    watching = threading.Event()
    thread = threading.Thread(target=watch)
    thread.start()
    assert watching.wait(10)
    began = time.monotonic()
    server.stop(3.0)
    assert ended.wait(5)
    assert time.monotonic() - began < 5
    thread.join()
    assert sorted(path.name for path in folder.running.iterdir()) == ["control.lock"]


def test_a_slow_call_holds_up_nobody(place: Place, running: Any) -> None:
    running.holding = threading.Event()
    with ThreadPoolExecutor(4) as pool, connected(place) as stub:
        slow = [stub.Budget.future(pb.BudgetRequest(), timeout=20) for _ in range(4)]
        many = [
            pool.submit(lambda: stub.Status(pb.StatusRequest(), timeout=5).status.site)
            for _ in range(40)
        ]
        assert {each.result() for each in many} == {"north"}
        running.holding.set()
        assert all(each.result().lines for each in slow)
    assert running.asked == 1


def test_garbage_and_half_open_connections_change_nothing(place: Place) -> None:
    held = []
    for content in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"\x00" * 70_000):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(5)
        raw.connect(str(place.socket))
        with contextlib.suppress(BrokenPipeError):
            raw.sendall(content)
        held.append(raw)
    assert status_of(place).site == "north"
    for raw in held:
        raw.close()
    assert status_of(place).site == "north"


def test_a_request_beyond_bounds_is_refused(place: Place) -> None:
    with pytest.raises(MachineError), connected(place) as stub:
        stub.Approve(pb.ApproveRequest(bundle="x" * 100_000, by="A"), timeout=10)
    assert status_of(place).site == "north"


def test_socket_and_folder_are_private(place: Place, folder: SiteFolder) -> None:
    assert place.socket == folder.control_socket
    assert stat.S_IMODE(folder.control_socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.running.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.running / "control.inner").stat().st_mode) == 0o700


def test_a_second_service_is_refused_and_the_first_goes_on(
    start: Callable[..., ControlServer], folder: SiteFolder
) -> None:
    start()
    with pytest.raises(RunError, match="runs already"):
        start()
    assert status_of(Place(folder.control_socket)).site == "north"


def test_a_stale_socket_is_replaced(
    start: Callable[..., ControlServer], folder: SiteFolder
) -> None:
    folder.running.mkdir(parents=True)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(folder.control_socket))
    stale.close()
    (folder.running / "control.inner").mkdir()
    (folder.running / "control.inner" / "grpc.sock").touch()
    start()
    assert status_of(Place(folder.control_socket)).site == "north"


def test_what_is_no_socket_is_left_alone(
    start: Callable[..., ControlServer], folder: SiteFolder
) -> None:
    folder.running.mkdir(parents=True)
    folder.control_socket.write_text("mine")
    with pytest.raises(RunError, match="no socket"):
        start()
    assert folder.control_socket.read_text() == "mine"


def test_a_long_path_is_no_obstacle(running: Any, site: Any, tmp_path: Path) -> None:
    from client.control.server import serve

    far = SiteFolder(tmp_path / ("a" * 90) / ("b" * 90))
    far.states.mkdir(parents=True)
    server = serve(running, site=site, folder=far)
    try:
        assert status_of(Place(far.control_socket)).site == "north"
    finally:
        server.stop(0.5)


def probe(place: Place, name: str) -> int:
    """Ask the standard health service."""
    with grpc.insecure_channel(f"unix:{place.socket}") as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        return int(HealthStub(channel).Check(request, timeout=10).status)


def test_the_standard_health_service_follows(place: Place, running: Any) -> None:
    serving, not_serving = 1, 2
    wait_until(lambda: probe(place, "") == serving)
    assert {
        name: probe(place, name) for name in ("", "live", "ready", "progress")
    } == dict.fromkeys(("", "live", "ready", "progress"), serving)
    running.state.link(Link("tum", "tum.example:443", polled=time.time(), problem="no route"))
    assert [probe(place, name) for name in ("live", "ready", "progress", "")] == [
        serving,
        not_serving,
        not_serving,
        not_serving,
    ]
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        probe(place, "other")
