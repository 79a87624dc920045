"""The commands about runs, as people and scripts call them."""

from __future__ import annotations

import json
import re
import shlex
import threading
from pathlib import Path

import pytest
from click.testing import Result
from fake_superlink import FakeSuperLink
from typer.main import get_command
from typer.testing import CliRunner

from common.errors import ConsiliumError
from common.study import Study
from common.study_file import dump_study
from server.deployment import runs_cli, watching
from server.deployment.cli import app
from server.deployment.flower_records import FINISHED
from server.deployment.folder import CoordinatorFolder

QUICKSTART = Path(__file__).parents[3] / "docs" / "coordinator-quickstart.md"


def call(*arguments: object) -> Result:
    """Call `consilium server …`."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def study_file(tmp_path: Path, study: Study) -> Path:
    """The study as a file."""
    file = tmp_path / "study-to-submit.toml"
    file.write_text(dump_study(study))
    return file


def test_submit_prints_what_hospitals_compare(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study: Study, study_file: Path
) -> None:
    said = call("submit", study_file, folder.path).output
    assert study.fingerprint in said
    assert superlink.started[0].bundle in said
    assert "it waits for 2 sites, and 0 are enrolled" in said
    assert (folder.runs / "small").is_dir()


def test_submit_checks_the_study_first(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study_file: Path
) -> None:
    wrong = call("submit", study_file, folder.path, "--set", "model.name=lstm")
    assert isinstance(wrong.exception, ConsiliumError)
    assert superlink.started == []
    assert list(folder.runs.iterdir()) == []


def test_runs_are_listed_with_what_they_wait_for(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study_file: Path
) -> None:
    assert "No run yet" in call("runs", folder.path).output
    call("submit", study_file, folder.path, "--run", "first")
    run = folder.run("first")
    state = {"phase": "round", "round": 1, "rounds": 2, "waiting_for": ["hospital-2"]}
    run.write_json(run.state, state)
    said = call("runs", folder.path).output
    assert "round 1 of 2" in said
    assert "waits for hospital-2" in said
    (listed,) = json.loads(call("runs", folder.path, "--json").output)
    assert (listed["standing"], listed["round"]) == ("waiting to start", 1)


def test_watch_ends_with_the_run(
    folder: CoordinatorFolder,
    superlink: FakeSuperLink,
    study_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "EVERY", 0.01)
    call("submit", study_file, folder.path, "--run", "first")
    run = folder.run("first")

    def finish() -> None:
        run.progress.write_text('{"at": "T", "event": "round", "round": 1}\n')
        run.write_json(run.state, {"phase": "finished"})

    timer = threading.Timer(0.1, finish)
    timer.start()
    ended = call("watch", folder.path, "first")
    timer.join()
    assert ended.exit_code == 0, ended.output
    lines = ["the run is waiting to start", "round 1: asked nobody", "Finished. Take the model"]
    assert all(told in line for told, line in zip(lines, ended.output.splitlines(), strict=True))
    assert "consilium server fetch" in ended.output
    as_json = call("watch", folder.path, "first", "--json").output
    assert [json.loads(line)["event"] for line in as_json.splitlines()] == ["round"]


def test_watch_says_who_is_awaited_after_a_silence(
    folder: CoordinatorFolder,
    superlink: FakeSuperLink,
    study_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("EVERY", 0.01), ("REMINDER", 0.02)):
        monkeypatch.setattr(watching, name, value)
    call("submit", study_file, folder.path, "--run", "first")
    run = folder.run("first")
    run.write_json(run.state, {"phase": "round", "round": 1, "waiting_for": ["slow"]})
    timer = threading.Timer(0.2, run.write_json, (run.state, {"phase": "finished"}))
    timer.start()
    ended = call("watch", folder.path, "first")
    timer.join()
    assert "round 1: still waiting for slow" in ended.output


def test_watch_ends_when_the_server_is_gone(
    folder: CoordinatorFolder,
    superlink: FakeSuperLink,
    study_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("EVERY", 0.01), ("ASK_EVERY", 0.0), ("PATIENCE", 0.05)):
        monkeypatch.setattr(watching, name, value)
    call("submit", study_file, folder.path, "--run", "first")
    superlink.down = True
    ended = call("watch", folder.path, "first")
    assert "does not answer" in str(ended.exception)


def test_a_failed_run_ends_with_its_own_code(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study_file: Path
) -> None:
    call("submit", study_file, folder.path, "--run", "first")
    superlink.change(1, FINISHED)
    run = folder.run("first")
    run.write_json(run.problem, {"what": "The disk is full.", "code": 9})
    ended = call("watch", folder.path, "first")
    assert isinstance(ended.exception, ConsiliumError)
    assert (ended.exception.exit_code, ended.exception.what) == (9, "The disk is full.")


@pytest.mark.parametrize("command", [runs_cli.stop, runs_cli.resume])
def test_a_finished_run_stays_finished(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study_file: Path, command: object
) -> None:
    call("submit", study_file, folder.path, "--run", "first")
    run = folder.run("first")
    run.write_json(run.state, {"phase": "finished"})
    ended = call(getattr(command, "__name__", ""), folder.path, "first")
    assert "The run is finished" in str(ended.exception)


def test_an_unknown_run_is_answered_with_the_nearest(
    folder: CoordinatorFolder, superlink: FakeSuperLink, study_file: Path
) -> None:
    call("submit", study_file, folder.path, "--run", "first")
    for command in ("watch", "stop", "resume"):
        assert "Did you mean 'first'" in str(call(command, folder.path, "frist").exception)


def test_every_command_of_the_quickstart_is_one_that_exists() -> None:
    text = QUICKSTART.read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    written = [line[2:] for block in blocks for line in block.splitlines()]
    written += re.findall(r"`(consilium server [a-z]+ [^`]*)`", text)
    words = [shlex.split(line)[2:] for line in written if line.startswith("consilium server ")]
    assert len(words) > 10
    group = get_command(app)
    for name, *arguments in words:
        command = group.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, list(arguments))
