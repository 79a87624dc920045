"""A submitted run: what it tells while it goes on, how it ends, and how it goes on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, RecordDict
from flwr.serverapp import ServerApp

from common.errors import RunError, SitesError
from server.app import app
from server.deployed import run_deployed
from server.report.run_folder import read_run
from server.run_folder import RunFolder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONSILIUM_COORDINATOR", str(tmp_path))
    (tmp_path / "runs").mkdir()
    nodes = {"ada": {"node": 10}, "bea": {"node": 11}, "cy": {"node": 12}}
    (tmp_path / "sites.json").write_text(json.dumps(nodes))
    return tmp_path


def submitted(home: Path, study: Any) -> RunFolder:
    folder = RunFolder(home / "runs" / "first")
    folder.create(study)
    return folder


def go(grid: Any, study: Any, **config: str) -> None:
    said = {"run": "first", "fingerprint": study.fingerprint} | config
    run_deployed(grid, Context(1, 1, {}, RecordDict(), said))


def state(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.state.read_text())
    return content


def events(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.progress.read_text().splitlines()]


def test_the_bundle_finds_its_app() -> None:
    assert isinstance(app, ServerApp)


def test_a_run_tells_its_progress_and_ends_with_model_figures_and_report(
    home: Path, bench: Any, sites: Any, grid_of: Any
) -> None:
    simulated = bench()
    simulated.start(sites())
    folder = submitted(home, simulated.study)
    go(grid_of(sites(), simulated.study), simulated.study)
    assert folder.model.read_bytes() == simulated.model
    assert state(folder) == {
        "phase": "finished",
        "round": 4,
        "rounds": 3,
        "waiting_for": [],
        "problem": "",
    }
    told = [event["event"] for event in events(folder)]
    assert told.count("round_finished") == 3
    assert told.count("site") == 12
    assert told[-1] == "finished"
    assert not folder.problem.exists()
    assert not list(folder.incoming.glob("*"))
    assert (folder.path / "report.html").stat().st_size > 1000
    run = read_run(folder.path)
    assert not run.metrics.simulation
    assert run.metrics.sites["bea"].declared_patients == 250
    assert run.metrics.sites["bea"].bytes_sent == 3 * 34 * 4 + 2 * 13 * 8


def test_a_failed_round_says_why_and_a_resumed_one_asks_only_who_is_missing(
    home: Path, bench: Any, sites: Any, grid_of: Any
) -> None:
    whole = bench(federation={"min_sites": 3})
    whole.start(sites())
    folder = submitted(home, whole.study)
    three = sites()
    three[1].faults[2] = lambda _: None
    with pytest.raises(SitesError):
        go(grid_of(three, whole.study), whole.study)
    problem = json.loads(folder.problem.read_text())
    assert "2 of 3 sites answered" in problem["what"]
    assert "bea: the site did not answer" in problem["fix"]
    assert state(folder)["phase"] == "failed"
    assert state(folder)["round"] == 2
    assert sorted(p.stem for p in folder.incoming.glob("round-0002/*.json")) == ["ada", "cy"]

    again = sites()
    go(grid_of(again, whole.study), whole.study)
    assert [[r for r, _, _ in site.asked] for site in again] == [[3, 4], [2, 3, 4], [3, 4]]
    assert folder.model.read_bytes() == whole.model
    assert not folder.problem.exists()
    assert state(folder)["phase"] == "finished"


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_a_stopped_process_leaves_a_run_that_goes_on(
    home: Path, bench: Any, sites: Any, grid_of: Any, stop: type[BaseException]
) -> None:
    whole = bench()
    whole.start(sites())
    folder = submitted(home, whole.study)
    three = sites()

    def die(_: Any) -> Any:
        raise stop

    three[2].faults[2] = die
    with pytest.raises(stop):
        go(grid_of(three, whole.study), whole.study)
    assert state(folder)["phase"] == "stopped"
    go(grid_of(sites(), whole.study), whole.study)
    assert folder.model.read_bytes() == whole.model
    assert [r["round"] for r in folder.read_rounds()] == [1, 2, 3]


def test_an_error_that_nobody_foresaw_is_written_down(
    home: Path, bench: Any, sites: Any, grid_of: Any
) -> None:
    made = bench()
    folder = submitted(home, made.study)
    grid = grid_of(sites(), made.study)
    grid.push_messages = None
    with pytest.raises(TypeError):
        go(grid, made.study)
    assert "unforeseen TypeError" in json.loads(folder.problem.read_text())["what"]
    assert state(folder)["phase"] == "failed"


def test_a_finished_run_that_lost_its_report_only_makes_the_report(
    home: Path, bench: Any, sites: Any, grid_of: Any
) -> None:
    made = bench()
    folder = submitted(home, made.study)
    go(grid_of(sites(), made.study), made.study)
    (folder.path / "report.html").unlink()
    again = sites()
    go(grid_of(again, made.study), made.study)
    assert (folder.path / "report.html").exists()
    assert all(site.asked == [] for site in again)


@pytest.mark.parametrize("name", ["", "../first", "a/b", ".first", "x" * 200])
def test_a_run_whose_name_is_no_name_is_refused(home: Path, bench: Any, name: str) -> None:
    with pytest.raises(RunError, match="names no run"):
        go(None, bench().study, run=name)


def test_another_study_than_the_runs_is_refused(home: Path, bench: Any) -> None:
    made = bench()
    submitted(home, made.study)
    with pytest.raises(RunError, match="different studies"):
        go(None, bench(training={"learning_rate": 0.3}).study)


def test_without_a_coordinators_folder_nothing_runs(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONSILIUM_COORDINATOR", raising=False)
    with pytest.raises(RunError, match="coordinator's folder"):
        go(None, bench().study)


def test_a_line_that_a_crash_cut_short_spoils_no_other(home: Path, bench: Any) -> None:
    from server.progress import Progress

    folder = submitted(home, bench().study)
    folder.progress.write_text('{"event": "half')
    Progress(folder, 3).stopped()
    lines = folder.progress.read_text().splitlines()
    assert lines[0] == '{"event": "half'
    assert json.loads(lines[1])["event"] == "stopped"
