"""Interrupted runs go on by themselves, but not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_superlink import FakeSuperLink

from common.study import Study
from server.deployment.flower_records import FINISHED, RUNNING
from server.deployment.folder import CoordinatorFolder
from server.deployment.keeper import Keeper
from server.deployment.locks import held
from server.deployment.pulse import Pulse, Seen
from server.deployment.runs import Standing, find_run
from server.deployment.submission import resume, stop, submit


@pytest.fixture
def submitted(folder: CoordinatorFolder, superlink: FakeSuperLink, study: Study) -> str:
    """The name of a run that was submitted."""
    submit(folder, study, "first")
    return "first"


class Kept:
    """A keeper that never pauses, and what it said."""

    def __init__(self, folder: CoordinatorFolder, superlink: FakeSuperLink) -> None:
        self.superlink = superlink
        self.pulse = Pulse(folder)
        self.pulse.superlink_answers = lambda: not superlink.down  # type: ignore[method-assign]
        self.said: list[str] = []
        self.keeper = Keeper(folder, self.pulse, self.said.append)

    def look(self, status: str = FINISHED) -> int:
        """Have the newest run in a status, the keeper look, and return how many runs there are then."""
        self.superlink.change(len(self.superlink.started), status)
        self.pulse.seen = Seen(1.0, (), self.superlink.runs())
        self.keeper.look()
        return len(self.superlink.started)


@pytest.fixture
def kept(
    folder: CoordinatorFolder, superlink: FakeSuperLink, monkeypatch: pytest.MonkeyPatch
) -> Kept:
    """A keeper."""
    monkeypatch.setattr("server.deployment.keeper.PAUSES", (0.0, 0.0, 0.0))
    return Kept(folder, superlink)


def test_it_resumes(kept: Kept, submitted: str) -> None:
    assert kept.look() == 2
    assert "it is resumed" in kept.said[0]


def test_it_gives_up(
    folder: CoordinatorFolder, superlink: FakeSuperLink, kept: Kept, submitted: str
) -> None:
    assert [kept.look() for _ in range(5)] == [2, 3, 4, 4, 4]
    run = find_run(folder, submitted, superlink.runs())
    assert run.standing is Standing.FAILED
    assert "interrupted 3 times" in run.problem


def test_a_run_that_comes_further_is_kept_up(
    folder: CoordinatorFolder, kept: Kept, submitted: str
) -> None:
    for round_ in range(1, 6):
        run = folder.run(submitted)
        run.write_json(run.state, {"phase": "round", "round": round_, "rounds": 9})
        assert kept.look() == round_ + 1


def test_it_leaves_stopped_and_failed_runs_alone(
    folder: CoordinatorFolder, kept: Kept, submitted: str
) -> None:
    stop(folder, submitted)
    assert kept.look() == 1
    resume(folder, submitted)
    run = folder.run(submitted)
    run.write_json(run.problem, {"what": "Too few sites."})
    assert kept.look() == 2


def test_it_waits_for_the_superlink(superlink: FakeSuperLink, kept: Kept, submitted: str) -> None:
    superlink.down = True
    assert kept.look() == 1


def test_a_serverapp_that_vanishes_is_replaced_before_flower_notices(
    folder: CoordinatorFolder, kept: Kept, submitted: str
) -> None:
    with folder.run(submitted).locked():
        assert kept.look(RUNNING) == 1
    assert kept.look(RUNNING) == 2


def test_a_serverapp_that_is_still_being_loaded_is_waited_for(kept: Kept, submitted: str) -> None:
    kept.keeper.look()  # the server has been there for a while
    assert [kept.look(RUNNING) for _ in range(3)] == [1, 1, 1]


def test_a_run_from_before_a_restart_of_the_server_is_resumed_at_once(
    kept: Kept, submitted: str
) -> None:
    assert kept.look(RUNNING) == 2


def test_a_lock_is_seen_without_being_taken(
    folder: CoordinatorFolder, submitted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = folder.run(submitted)
    lock = run.path / ".lock"
    assert held(lock) is False
    with run.locked():
        assert held(lock) is True
    assert held(lock) is False
    monkeypatch.setattr("server.deployment.locks.LOCKS", tmp_path / "none")
    assert held(lock) is None
