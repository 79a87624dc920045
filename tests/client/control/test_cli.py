"""`consilium site status|watch|pause|resume|budget|health`."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import run_fresh, start, wait, wait_until
from typer.testing import CliRunner, Result

from client.control.cli import budget, health, pause, resume, status, watch
from client.control.client import Place
from client.control.server import ControlServer
from client.service.state import Doing, Link, Work
from client.site import Site
from common.certificates import Pair, issue, make_authority
from common.errors import MachineError, StudyError

COMMANDS = {each.__name__: each for each in (status, watch, pause, resume, budget, health)}


def call(name: str, *arguments: object) -> Result:
    """Run a command in this process."""
    import typer

    app = typer.Typer()
    app.command()(COMMANDS[name])
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "160"})


@pytest.fixture
def healthy(place: Place, site: Site) -> Path:
    """The folder of a healthy running site."""
    wait_until(lambda: call("health", site.folder).exit_code == 0)
    return site.folder


def test_status_for_people(healthy: Path, running: Any) -> None:
    running.state.work("tum", Work("tum", "small", "f" * 64, 3, Doing.TRAINING, 4, 9))
    shown = call("status", healthy)
    assert shown.exit_code == 0
    for words in ("north: healthy", "tum.example:443", "4 of 9", "training", "small"):
        assert words in shown.output


def test_status_names_every_trouble_with_its_fix(healthy: Path, running: Any) -> None:
    link = Link("tum", "tum:443", polled=time.time(), problem="[red]no route[/red] :boom:")
    running.state.link(link)
    shown = call("status", healthy)
    assert shown.exit_code == 0
    assert "not healthy" in shown.output
    assert "[red]no route[/red] :boom:" in shown.output, "what others wrote is text, not markup"
    assert "fix:" in shown.output


def test_status_for_machines(healthy: Path, running: Any) -> None:
    running.state.update(lambda now: replace(now, bytes_sent=2**40))
    found = json.loads(call("status", healthy, "--json").output)
    assert found["bytes_sent"] == 2**40
    assert found["health"]["progress"] is True
    assert found["links"][0]["node"] == 2**63 + 5
    assert found["work"] == []
    assert found["paused"] is False


def test_pause_and_resume(healthy: Path, running: Any) -> None:
    running.state.work("tum", Work("tum", "small", "f" * 64, 3, Doing.TRAINING, 4, 9))
    assert "round in hand is finished first" in call("pause", healthy).output
    assert running.state.snapshot().paused
    assert "paused" in call("status", healthy).output
    assert json.loads(call("resume", healthy, "--json").output)["paused"] is False


def test_budget(healthy: Path, running: Any) -> None:
    running.lines.append(replace(running.lines[0], population="children", spent=math.inf))
    shown = call("budget", healthy).output
    for words in ("whole site", "1.25", "children", "∞", "small"):
        assert words in shown
    lines = json.loads(call("budget", healthy, "--json").output)["lines"]
    assert [line["epsilon"] for line in lines] == [1.25, "inf"]


@pytest.mark.parametrize(
    ("probe", "code"), [("live", 0), ("ready", 0), ("progress", 1), ("other", 2)]
)
def test_health_has_exit_codes_for_probes(
    healthy: Path, running: Any, probe: str, code: int
) -> None:
    good = replace(running.state.snapshot().links["tum"], connection="lmu")
    running.state.link(good)
    running.state.link(Link("tum", "tum:443", polled=time.time(), problem="no route"))
    shown = call("health", healthy, "--probe", probe)
    assert shown.exit_code == code
    if code < 2:
        assert "ready, but not all is well" in call("status", healthy).output
        assert "no route" in shown.output
        found = json.loads(call("health", healthy, "--probe", probe, "--json").output)
        assert found["passes"] is (code == 0)
        assert found["probe"] == probe
        assert found["reasons"][0]["check"] == "link"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_stopped_service_is_said(site: Site, name: str) -> None:
    ended = call(name, site.folder)
    assert isinstance(ended.exception, MachineError)
    assert ended.exception.exit_code == 9
    assert "not running" in ended.exception.what
    assert "site start" in ended.exception.fix


def test_where_it_is_may_be_told(place: Place, tmp_path: Path) -> None:
    assert call("status", tmp_path, "--socket", place.socket).exit_code == 0
    ended = call("status", tmp_path, "--socket", "a", "--address", "b:1")
    assert isinstance(ended.exception, StudyError)


def test_another_host_is_called_with_the_sites_certificates(
    start: Callable[..., ControlServer], site: Site, folder: Any, tmp_path: Path
) -> None:
    folder.tls.mkdir()
    authority = Pair(folder.tls / "ca.crt", folder.tls / "ca.key")
    make_authority(authority, "site authority")
    for name, hosts in (("control-server", ["127.0.0.1"]), ("control-client", [])):
        issue(Pair(folder.tls / f"{name}.crt", folder.tls / f"{name}.key"), authority, name, hosts)
    server = start(control="127.0.0.1:0")
    assert call("status", site.folder, "--address", server.address).exit_code == 0
    elsewhere = ("--address", server.address, "--certificates", folder.tls)
    assert call("status", tmp_path, *elsewhere).exit_code == 0
    text = site.file.read_text() + f'[service]\ncontrol = "{server.address}"\n'
    site.file.write_text(text)
    assert call("status", site.folder).exit_code == 0
    server.stop(0.1)
    ended = call("status", site.folder)
    assert isinstance(ended.exception, MachineError)


def test_watch_prints_what_happens_until_the_service_stops(
    start: Callable[..., ControlServer], running: Any, site: Site
) -> None:
    server = start()
    running.state.tell("study", "A study arrived.", connection="tum", study="small")
    results: dict[str, Result] = {}

    def follow() -> None:
        results["lines"] = call("watch", site.folder, "--json")

    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(0.5)
    running.state.tell("round", "Round 1 was answered.", connection="tum", study="small")
    time.sleep(0.8)
    server.stop(2.0)
    thread.join(10)
    lines = [json.loads(line) for line in results["lines"].output.splitlines()]
    events = [line["event"]["text"] for line in lines if "event" in line]
    assert events == ["A study arrived.", "Round 1 was answered."]
    assert any("status" in line for line in lines)
    ended = results["lines"].exception
    assert isinstance(ended, MachineError)


def test_the_commands_work_as_processes(healthy: Path, running: Any, tmp_path: Path) -> None:
    """As Kubernetes calls them: exit codes, no traceback; Ctrl-C ends watching in peace."""
    import signal

    running.state.tell("study", "A study arrived.", connection="tum", study="small")
    assert run_fresh("site", "health", healthy, cwd=tmp_path).code == 0
    watching = start("site", "watch", healthy, cwd=tmp_path)
    assert watching.stdout is not None
    assert "A study arrived." in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    assert wait(watching).code == 0
    running.pause()
    ended = run_fresh("site", "health", healthy, cwd=tmp_path)
    assert ended.code == 1
    assert "site resume" in ended.text
    stopped = run_fresh("site", "status", healthy, "--socket", tmp_path / "none", cwd=tmp_path)
    assert stopped.code == 9
    assert "site start" in stopped.text
