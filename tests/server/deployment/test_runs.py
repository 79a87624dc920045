"""Starting, stopping and resuming runs, how they stand, and what is handed out of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fake_superlink import FakeSuperLink

from common.bundle import read_bundle
from common.errors import RunError, StudyError
from common.study import Study
from common.study_file import load_study
from server.deployment import submission
from server.deployment.fetching import fetch
from server.deployment.flower_records import FINISHED, PENDING, RUNNING, FlowerRun
from server.deployment.folder import CoordinatorFolder
from server.deployment.pulse import left_pending
from server.deployment.runs import Standing, all_runs, find_run, read_submission
from server.deployment.submission import resume, stop, submit
from server.deployment.watching import Events, ending


@pytest.fixture
def submitted(folder: CoordinatorFolder, superlink: FakeSuperLink, study: Study) -> str:
    """The name of a run that was submitted."""
    submit(folder, study, "first")
    return "first"


def standing(folder: CoordinatorFolder, superlink: FakeSuperLink) -> Standing:
    return find_run(folder, "first", superlink.runs()).standing


def test_the_bundle_holds_the_study_and_nothing_else(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study: Study, submitted: str
) -> None:
    (bundle,) = superlink.bundles
    assert read_bundle(bundle).study.fingerprint == study.fingerprint
    kept = read_submission(folder.run(submitted))
    assert kept.bundle == hashlib.sha256(bundle).hexdigest()
    assert kept.flower == (1,)
    assert load_study(folder.run(submitted).path / "study.toml") == study


def test_a_server_that_does_not_run_leaves_no_folder(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study: Study
) -> None:
    superlink.down = True
    with pytest.raises(RunError, match="does not answer"):
        submit(folder, study, "first")
    assert not folder.run("first").path.exists()


def test_a_refused_start_leaves_no_folder(
    folder: CoordinatorFolder,
    superlink: FakeSuperLink,
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise RunError("The SuperLink refuses.")

    monkeypatch.setattr(superlink, "start_run", refuse)
    with pytest.raises(RunError, match="refuses"):
        submit(folder, study, "first")
    assert not folder.run("first").path.exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65])
def test_a_run_has_a_name_that_is_safe(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study: Study, name: str
) -> None:
    with pytest.raises(StudyError, match="cannot name a run"):
        submit(folder, study, name)
    with pytest.raises(RunError, match="There is no run"):
        find_run(folder, name, [])


def test_a_run_of_the_same_name_is_refused(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study: Study, submitted: str
) -> None:
    with pytest.raises(RunError, match="exists already"):
        submit(folder, study, submitted)


def test_how_a_run_stands(
    folder: CoordinatorFolder, superlink: FakeSuperLink, submitted: str
) -> None:
    assert standing(folder, superlink) is Standing.WAITING
    superlink.change(1, RUNNING)
    assert standing(folder, superlink) is Standing.RUNNING
    superlink.change(1, FINISHED)
    assert standing(folder, superlink) is Standing.INTERRUPTED
    run = folder.run(submitted)
    run.write_json(run.problem, {"what": "Too few sites."})
    assert standing(folder, superlink) is Standing.FAILED
    run.write_json(run.state, {"phase": "finished", "round": 3, "rounds": 3})
    assert standing(folder, superlink) is Standing.FINISHED
    assert all_runs(folder, None)[0].rounds == 3


def test_a_run_of_which_flower_knows_nothing_is_not_called_running(
    folder: CoordinatorFolder, superlink: FakeSuperLink, submitted: str
) -> None:
    assert find_run(folder, submitted, None).standing is Standing.UNKNOWN
    assert find_run(folder, submitted, []).standing is Standing.UNKNOWN


def test_a_stopped_run_is_resumed_as_the_same_study(
    folder: CoordinatorFolder, superlink: FakeSuperLink, submitted: str
) -> None:
    stop(folder, submitted)
    assert standing(folder, superlink) is Standing.STOPPED
    run = folder.run(submitted)
    run.write_json(run.problem, {"what": "old"})
    resume(folder, submitted)
    assert standing(folder, superlink) is Standing.WAITING
    assert superlink.bundles[0] == superlink.bundles[1]
    assert read_submission(run).flower == (1, 2)


def test_a_running_run_is_not_started_twice(
    folder: CoordinatorFolder, superlink: FakeSuperLink, submitted: str
) -> None:
    superlink.change(1, RUNNING)
    with pytest.raises(RunError, match="is running"):
        resume(folder, submitted)


def test_a_changed_study_is_not_resumed(
    folder: CoordinatorFolder, superlink: FakeSuperLink, submitted: str
) -> None:
    stop(folder, submitted)
    file = folder.run(submitted).path / "study.toml"
    file.write_text(file.read_text().replace("rounds = 2", "rounds = 3"))
    with pytest.raises(RunError, match="not the one that was submitted"):
        resume(folder, submitted)


def test_a_folder_that_a_serverapp_holds_is_waited_for(
    folder: CoordinatorFolder,
    superlink: FakeSuperLink,
    submitted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submission, "RELEASED_SECONDS", 0.3)
    stop(folder, submitted)
    with folder.run(submitted).locked(), pytest.raises(RunError, match="Another process"):
        resume(folder, submitted)
    resume(folder, submitted)


def test_results_are_handed_out_when_finished(
    folder: CoordinatorFolder, superlink: FakeSuperLink, submitted: str
) -> None:
    run, there = folder.run(submitted), folder.path / "results"
    with pytest.raises(RunError, match="not finished: it is waiting to start"):
        fetch(folder, submitted, there)
    run.write_json(run.state, {"phase": "finished"})
    run.model.write_bytes(b"weights")
    assert [path.name for path in fetch(folder, submitted, there)] == [
        "model.safetensors",
        "study.toml",
    ]
    with pytest.raises(RunError, match="not an empty folder"):
        fetch(folder, submitted, there)


def test_the_end_of_a_run_has_its_exit_code(
    folder: CoordinatorFolder, superlink: FakeSuperLink, submitted: str
) -> None:
    run = folder.run(submitted)
    run.write_json(run.problem, {"what": "The disk is full.", "where": "x", "fix": "y", "code": 9})
    failed = ending(folder, find_run(folder, submitted, superlink.runs()))
    assert failed is not None
    assert (failed.exit_code, failed.what, failed.fix) == (9, "The disk is full.", "y")
    stop(folder, submitted)
    stopped = ending(folder, find_run(folder, submitted, superlink.runs()))
    assert stopped is not None
    assert stopped.exit_code == 130
    run.write_json(run.state, {"phase": "finished"})
    assert ending(folder, find_run(folder, submitted, superlink.runs())) is None


def test_events_are_read_once_and_whole(folder: CoordinatorFolder) -> None:
    run = folder.run("first")
    run.path.mkdir()
    events = Events(run)
    assert list(events.new()) == []
    with run.progress.open("a") as file:
        file.write('{"event": "ready"}\n{"event": "rou')
        file.flush()
        assert [event["event"] for event in events.new()] == ["ready"]
        file.write('nd"}\nrubbish\n')
        file.flush()
        assert [event["event"] for event in events.new()] == ["round"]
        assert list(events.new()) == []


def test_a_run_that_nobody_starts_is_noticed() -> None:
    now = datetime.now(UTC)
    run = FlowerRun(1, PENDING, "", "", now - timedelta(seconds=11), "ab")
    assert left_pending([run], now) == "a run waits to be started"
    assert left_pending([replace(run, submitted=now)], now) == ""
    assert left_pending([replace(run, status=RUNNING)], now) == ""
