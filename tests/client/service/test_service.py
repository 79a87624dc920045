"""A site's agent in front of Flower's own runtime API: what it answers, and what it refuses."""

from __future__ import annotations

import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.supercore.constant import TaskType
from runtime_api import RuntimeApi

from client.service.agent_process import AgentService
from client.service.desk import DESCRIBE, TRAIN
from client.service.executor import Runtime
from client.service.state import Link
from client.site import Site
from common import wire
from common.bundle import make_bundle
from common.study import Study

SECRET = b"shared secret"
Hospital = Callable[..., Site]
MakeStudy = Callable[..., Study]


@contextmanager
def serving(site: Site) -> Iterator[AgentService]:
    service = AgentService(site)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def request(study: Study, service: AgentService, round_: int = 1) -> RecordDict:
    size = service._agents.get(study).space.layout.size
    said = wire.Instructions(study.fingerprint, round_, False)
    return wire.request(said, np.zeros(size, np.float32))


def approve(service: AgentService, study: Study) -> None:
    service.running._studies.take_file(study)
    service.running.approve(study.name, "a doctor")


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    return make_study()


def events(service: AgentService, kind: str) -> list[str]:
    return [each.text for each in service.running.state.events() if each.kind == kind]


def refused(api: RuntimeApi, identity: str) -> tuple[int, str]:
    error = api.reply(identity).error
    return error.code, error.reason or ""


def test_an_unapproved_study_is_refused_and_waits_in_the_inbox(
    hospital: Hospital, api: RuntimeApi, study: Study
) -> None:
    with serving(hospital(api.address)) as service:
        run = api.new_run(make_bundle(study))
        for kind in (DESCRIBE, TRAIN):
            code, reason = refused(api, api.ask(run, kind))
            assert code == wire.SITE_ERROR + 6
            assert reason == "the site has not approved this study"
        (record,) = service.running.studies()
        assert (record.standing, record.connection) == ("pending", "default")
        assert record.study == study
        assert len(events(service, "study")) == 1, "told once, not with every message"
        assert service.running.state.snapshot().refused == 2


def test_an_approved_study_is_described_and_trained(
    hospital: Hospital, api: RuntimeApi, study: Study
) -> None:
    with serving(hospital(api.address)) as service:
        run = api.new_run(make_bundle(study))
        refused(api, api.ask(run, DESCRIBE))
        service.running.approve(study.name, "a doctor")
        told = wire.read_introduction(api.reply(api.ask(run, DESCRIBE)).content)
        assert (told.site, told.declared_patients) == ("north", 40)
        identity = api.ask(run, TRAIN, request(study, service))
        answer = wire.read_reply(api.reply(identity).content)
        assert answer.weights is not None
        assert answer.weights.any()
        again = wire.read_reply(api.reply(api.ask(run, TRAIN, request(study, service))).content)
        np.testing.assert_array_equal(answer.weights, again.weights)
        charges = service.running.budget()[0]
        assert charges.studies == ("small",)
        assert 0 < charges.spent < charges.limit
        end = time.monotonic() + 10.0
        while len(events(service, "sent")) < 2 and time.monotonic() < end:
            time.sleep(
                0.02
            )  # a reply is there a moment before the service has noted that it was sent
        snapshot = service.running.state.snapshot()
        assert snapshot.answered == 3
        assert snapshot.bytes_sent > 2 * answer.size
        assert events(service, "round") == ["Round 1 of 'small' was trained: 3 steps."]
        assert len(events(service, "sent")) == 2
        assert snapshot.problem == ""
        assert snapshot.links["default"].polled > 0


def test_a_bundle_with_code_is_refused_and_nothing_of_it_is_kept(
    hospital: Hospital, api: RuntimeApi, study: Study
) -> None:
    content = BytesIO(make_bundle(study))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("client/app.py", "open('/tmp/hostile', 'w')")
    with serving(hospital(api.address)) as service:
        code, _ = refused(api, api.ask(api.new_run(content.getvalue()), TRAIN))
        assert code == wire.SITE_ERROR + 6
        assert service.running.studies() == []
        assert "carries no code" in events(service, "refused")[0]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + bytes(100)])
def test_a_garbage_bundle_is_refused(hospital: Hospital, api: RuntimeApi, content: bytes) -> None:
    with serving(hospital(api.address)):
        code, _ = refused(api, api.ask(api.new_run(content), DESCRIBE))
        assert code == wire.SITE_ERROR + 6


def test_other_messages_and_other_tasks_are_not_for_a_site(
    hospital: Hospital, api: RuntimeApi, study: Study
) -> None:
    with serving(hospital(api.address)) as service:
        approve(service, study)
        run = api.new_run(make_bundle(study))
        other = api.ask(api.new_run(b"x"), DESCRIBE, task_type=TaskType.AGENT_APP)
        for kind in ("query", "train.other", "evaluate.x", "query.shell"):
            code, _ = refused(api, api.ask(run, kind))
            assert code == wire.SITE_ERROR + 6
        with pytest.raises(AssertionError, match="no reply"):
            api.reply(other, timeout=0.3)


def test_a_request_larger_than_the_model_is_not_held(
    hospital: Hospital, api: RuntimeApi, study: Study
) -> None:
    with serving(hospital(api.address)) as service:
        approve(service, study)
        large = RecordDict({"arrays": ArrayRecord({"flat": Array(np.zeros(3 << 20, np.float32))})})
        run = api.new_run(make_bundle(study))
        code, _ = refused(api, api.ask(run, TRAIN, large))
        assert code == wire.SITE_ERROR + 6
        assert "larger" in events(service, "refused")[0]
        assert service.running.budget()[0].spent == 0


def test_a_damaged_request_is_refused(hospital: Hospital, api: RuntimeApi, study: Study) -> None:
    with serving(hospital(api.address)) as service:
        approve(service, study)
        run = api.new_run(make_bundle(study))
        code, _ = refused(api, api.ask(run, TRAIN, request(study, service), damage=True))
        assert code == wire.SITE_ERROR + 6
        code, _ = refused(api, api.ask(run, TRAIN, RecordDict()))
        assert code == wire.SITE_ERROR + 6


def test_a_revoked_study_trains_no_more(hospital: Hospital, api: RuntimeApi, study: Study) -> None:
    with serving(hospital(api.address)) as service:
        approve(service, study)
        run = api.new_run(make_bundle(study))
        assert api.reply(api.ask(run, DESCRIBE)).has_content()
        content = request(study, service)
        service.running.revoke(study.name, "a doctor")
        code, reason = refused(api, api.ask(run, TRAIN, content))
        assert (code, reason) == (wire.SITE_ERROR + 6, "the site has not approved this study")
        assert service.running.budget()[0].spent == 0


def test_a_paused_site_takes_nothing_until_it_is_resumed(
    hospital: Hospital, api: RuntimeApi, study: Study
) -> None:
    site = hospital(api.address)
    with serving(site) as service:
        service.running.pause()
    with serving(site) as service:
        assert service.running.state.snapshot().paused
        identity = api.ask(api.new_run(make_bundle(study)), DESCRIBE)
        with pytest.raises(AssertionError, match="no reply"):
            api.reply(identity, timeout=0.5)
        service.running.resume()
        assert api.reply(identity).has_error()


def test_a_supernode_that_comes_later_or_again_is_found(
    hospital: Hospital, api: RuntimeApi, study: Study
) -> None:
    port = api.port
    api.stop()
    with serving(hospital(f"127.0.0.1:{port}")) as service:
        wait_for(lambda: "does not answer" in link(service).problem)
        for _ in range(2):
            later = RuntimeApi(b"shared secret", port)
            try:
                assert later.reply(later.ask(later.new_run(b"x"), DESCRIBE)).has_error()
                wait_for(lambda: link(service).problem == "")
            finally:
                later.stop()


def test_another_secret_is_told_as_such(hospital: Hospital) -> None:
    strict = RuntimeApi(b"another secret")
    try:
        with serving(hospital(strict.address)) as service:
            wait_for(lambda: "secret" in link(service).problem)
    finally:
        strict.stop()


def test_describing_another_study_does_not_wait_behind_a_training(
    hospital: Hospital, make_study: MakeStudy
) -> None:
    first, second = RuntimeApi(), RuntimeApi()
    more = f'[connection.other]\nserver = "elsewhere:443"\nruntime = "{second.address}"'
    site = hospital(first.address, more=more)
    long = make_study(training={"local_steps": 100_000}, privacy={"noise_multiplier": 40.0})
    short = make_study(study={"name": "short"})
    try:
        with serving(site) as service:
            for each in (long, short):
                approve(service, each)
            busy = first.ask(first.new_run(make_bundle(long)), TRAIN, request(long, service))
            wait_for(lambda: any(w.step for w in service.running.state.snapshot().work.values()))
            run = second.new_run(make_bundle(short))
            assert second.reply(second.ask(run, DESCRIBE)).has_content()
            assert not first.state.get_messages_legacy(is_reply=True), "still training"
            del busy
    finally:
        first.stop()
        second.stop()


def test_stopping_ends_the_training_tells_the_coordinator_and_settles(
    hospital: Hospital, api: RuntimeApi, make_study: MakeStudy
) -> None:
    long = make_study(training={"local_steps": 100_000}, privacy={"noise_multiplier": 40.0})
    with serving(hospital(api.address)) as service:
        approve(service, long)
        identity = api.ask(api.new_run(make_bundle(long)), TRAIN, request(long, service))
        wait_for(lambda: any(w.step for w in service.running.state.snapshot().work.values()))
        began = time.monotonic()
        service.stop()
        assert time.monotonic() - began < 5
        code, _ = refused(api, identity)
        assert code == wire.SITE_ERROR + 130
        assert service.running.budget()[0].spent == 0
        assert threading.active_count() < 40


def test_a_supernode_killed_mid_task_gets_the_same_bytes_when_it_asks_again(
    hospital: Hospital, api: RuntimeApi, make_study: MakeStudy
) -> None:
    long = make_study(training={"local_steps": 2000}, privacy={"noise_multiplier": 10.0})
    with serving(hospital(api.address)) as service:
        approve(service, long)
        content = request(long, service)
        api.ask(api.new_run(make_bundle(long)), TRAIN, content)
        wait_for(lambda: any(w.step for w in service.running.state.snapshot().work.values()))
        port = api.port
        api.stop()
        wait_for(lambda: not service.running.state.snapshot().work)
        spent = service.running.budget()[0].spent
        assert spent > 0, "it was trained and settled, although nobody was there to take it"
        later = RuntimeApi(SECRET, port)
        try:
            began = time.monotonic()
            run = later.new_run(make_bundle(long))
            first = wire.read_reply(later.reply(later.ask(run, TRAIN, content)).content)
            second = wire.read_reply(later.reply(later.ask(run, TRAIN, content)).content)
            assert first.weights is not None
            np.testing.assert_array_equal(first.weights, second.weights)
            assert service.running.budget()[0].spent == spent
            assert time.monotonic() - began < 20
        finally:
            later.stop()


def test_a_message_that_waited_until_its_round_was_over_costs_nothing(
    hospital: Hospital, api: RuntimeApi, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site was paused, say, while its SuperNode held the question."""
    with serving(hospital(api.address)) as service:
        approve(service, study)
        run = api.new_run(make_bundle(study))
        content = request(study, service)
        with monkeypatch.context() as patched:
            patched.setattr(Runtime, "time_there", lambda self: time.time() + 3600.0)
            code, reason = refused(api, api.ask(run, TRAIN, content))
        assert code == wire.SITE_ERROR + 130
        assert "deadline" in reason
        assert service.running.budget()[0].spent == 0
        assert wire.read_reply(api.reply(api.ask(run, TRAIN, content)).content).weights is not None
        assert service.running.budget()[0].spent > 0


def test_two_coordinators_add_up_in_one_ledger(hospital: Hospital, make_study: MakeStudy) -> None:
    first, second = RuntimeApi(SECRET), RuntimeApi(SECRET)
    more = f'[connection.other]\nserver = "elsewhere:443"\nruntime = "{second.address}"'
    studies = [make_study(), make_study(study={"name": "other"})]
    try:
        with serving(hospital(first.address, more=more)) as service:
            for each in studies:
                approve(service, each)
            asked = [
                api.ask(api.new_run(make_bundle(each)), TRAIN, request(each, service))
                for api, each in zip((first, second), studies, strict=True)
            ]
            for api, identity in zip((first, second), asked, strict=True):
                assert wire.read_reply(api.reply(identity).content).weights is not None
            (line,) = service.running.budget()
            assert set(line.studies) == {"small", "other"}
    finally:
        first.stop()
        second.stop()


def test_the_runtime_api_is_reached_over_tls_and_only_with_its_certificate(
    hospital: Hospital, tmp_path: Path, study: Study
) -> None:
    good, bad = certificate(tmp_path, "good"), certificate(tmp_path, "bad")
    api = RuntimeApi(SECRET, certificate=good[0], key=good[1])
    try:
        for shown, works in ((good[0], True), (bad[0], False)):
            site = hospital(api.address, more=f'runtime_certificates = "{shown}"')
            with serving(site) as service:
                if works:
                    assert refused(api, api.ask(api.new_run(b"x"), DESCRIBE))
                else:
                    wait_for(lambda: "does not answer" in link(service).problem)
    finally:
        api.stop()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    made, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run([*command, "-keyout", key, "-out", made], check=True, capture_output=True)
    return made, key


def link(service: AgentService) -> Link:
    return service.running.state.snapshot().links["default"]


def wait_for(true: Callable[[], bool], timeout: float = 20.0) -> None:
    until = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
