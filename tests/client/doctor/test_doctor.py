"""The doctor: what is wrong is red, with its fix; what is right is green; nothing it meets stops it."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from client.doctor import examine as examining
from client.doctor.checks import machine
from client.doctor.cli import doctor
from client.doctor.examine import CHECKS, examine, exit_code
from client.doctor.findings import Finding, Level, green
from client.guard.ledger import Ledger
from client.service.start import Half, lock_of
from client.setup.answers import Answers
from client.setup.create import create_site
from client.setup.dmz import write_dmz_half
from client.site import load_site
from client.site_folder import SiteFolder
from common.certificates import Pair, issue, make_authority
from common.supervise import locked

OFFLINE = {
    name: check
    for name, check in CHECKS.items()
    if name not in ("network", "enrolment", "ports")  # of the machine that runs the tests
}


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A healthy site, whose coordinator is at a port of loopback."""
    make_authority(Pair(tmp_path / "ca.crt", tmp_path / "ca.key"), "test authority")
    (tmp_path / "patients.csv").write_text("age,label\n1,0\n")
    answers = Answers(
        name="north",
        server="127.0.0.1:1",
        certificates=tmp_path / "ca.crt",
        data_kind="table",
        data_path=tmp_path / "patients.csv",
        declared_patients=100,
        max_epsilon=1.0,
    )
    made = SiteFolder(tmp_path / "site")
    create_site(made, answers)
    return made


def test_each_half_is_asked_what_it_can_know(folder: SiteFolder, tmp_path: Path) -> None:
    write_dmz_half(folder, tmp_path / "dmz")
    quick = {name: CHECKS[name] for name in ("settings", "keys", "data", "ledger", "supernode")}
    looked = {heading for heading, _ in examine(tmp_path / "dmz", quick, half=Half.SUPERNODE)}
    assert looked == {"settings", "keys"}
    found = list(examine(tmp_path / "dmz", quick, half=Half.SUPERNODE))
    assert exit_code(finding for _, finding in found) == 0
    folder.node_key.unlink()
    change(folder, ":9095", ":1")
    found = list(examine(folder.path, quick, half=Half.AGENT))
    (bad,) = (finding for _, finding in found if finding.level is Level.RED)
    assert "SuperNode at 127.0.0.1:1 does not answer" in bad.text


def change(folder: SiteFolder, old: str, new: str) -> None:
    """Edit the site.toml."""
    file = folder.path / "site.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def reds(folder: SiteFolder, *checks: str) -> list[Finding]:
    """The red lines of some checks; each has a fix and a class."""
    chosen = {name: CHECKS[name] for name in checks} if checks else OFFLINE
    found = [finding for _, finding in examine(folder.path, chosen)]
    bad = [finding for finding in found if finding.level is Level.RED]
    assert all(finding.fix and finding.exit_code for finding in bad)
    return bad


def only(found: list[Finding]) -> Finding:
    """The one finding."""
    assert len(found) == 1, found
    return found[0]


def test_a_fresh_site_is_green(folder: SiteFolder) -> None:
    assert reds(folder) == []


def test_a_broken_site_file_is_one_red_line(folder: SiteFolder) -> None:
    change(folder, "max_epsilon", "max_epsilonn")
    found = only(reds(folder))
    assert "max_epsilonn" in found.text
    assert found.exit_code == 2


@pytest.mark.parametrize("name", ["node", "signing", "secret", "superexec.secret"])
def test_a_key_that_is_missing_or_open_is_red(folder: SiteFolder, name: str) -> None:
    path = folder.private / name
    path.chmod(0o640)
    assert "chmod 600" in only(reds(folder, "keys")).fix
    path.unlink()
    assert "is missing" in only(reds(folder, "keys")).text


def test_an_open_folder_is_red(folder: SiteFolder) -> None:
    folder.private.chmod(0o755)
    assert "chmod 700" in only(reds(folder, "keys")).fix


def test_settings_that_make_no_sense(folder: SiteFolder) -> None:
    change(folder, "delta = 1e-5", "delta = 0.01")
    assert "declared patients" in only(reds(folder, "settings")).text


def test_risky_settings_are_amber(folder: SiteFolder) -> None:
    change(folder, "allow_non_private = false", "allow_non_private = true")
    change(folder, 'statistics = "noisy"', 'statistics = "exact"')
    found = [each for _, each in examine(folder.path, {"settings": CHECKS["settings"]})]
    assert [each.level for each in found].count(Level.AMBER) == 2


def test_data_that_is_gone_is_red(folder: SiteFolder, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").unlink()
    found = only(reds(folder, "data"))
    assert (found.exit_code, "does not exist" in found.text) == (5, True)


def test_a_device_that_is_not_there_is_red(folder: SiteFolder) -> None:
    change(folder, 'device = "auto"', 'device = "cuda:97"')
    assert "'cuda:97' is not there" in only(reds(folder, "machine")).text


def test_small_shared_memory_is_amber(folder: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", Path("/proc"))  # has no room at all
    found = [each for _, each in examine(folder.path, {"machine": CHECKS["machine"]})]
    assert any("--shm-size" in each.fix for each in found)


def test_a_disk_without_room_is_red(folder: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert any("disk are free" in each.text for each in reds(folder, "machine"))


def test_another_flower_is_red(folder: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda name: "0.0.1")
    assert "pip install flwr==" in only(reds(folder, "machine")).fix


def test_a_ledger_is_verified(folder: SiteFolder) -> None:
    ledger = Ledger(folder.ledger, "north", "north")
    ledger.record_policy({"max_epsilon": 1.0})
    assert reds(folder, "ledger") == []
    with sqlite3.connect(folder.ledger) as connection:
        (table,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE sql LIKE '%seq%' AND type = 'table'"
        ).fetchone()
        for (trigger,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(f"DELETE FROM {table} WHERE seq = 2")
    connection.close()
    found = only(reds(folder, "ledger"))
    assert (found.exit_code, "hold together" in found.text) == (4, True)


def test_a_locked_ledger_is_red(folder: SiteFolder) -> None:
    Ledger(folder.ledger, "north", "north")
    holder = sqlite3.connect(folder.ledger, isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        assert "ledger cannot be written" in only(reds(folder, "ledger")).text
    finally:
        holder.close()


def test_a_check_that_fails_does_not_stop_the_others(folder: SiteFolder) -> None:
    def broken(patient: object) -> Iterator[Finding]:
        yield green("so far")
        raise ValueError("ZQX-patient-0001")

    found = list(examine(folder.path, {"one": broken, "two": lambda patient: [green("fine")]}))
    assert [heading for heading, _ in found] == ["one", "one", "two"]
    assert "ValueError" in found[1][1].text
    assert "ZQX" not in str(found)


@contextmanager
def coordinator(
    folder: SiteFolder, tmp_path: Path, *, date: str = "", **more: object
) -> Iterator[None]:
    """Something that speaks TLS where the site's coordinator should be."""
    server = Pair(tmp_path / "server.crt", tmp_path / "server.key")
    hosts = more.pop("hosts", ["127.0.0.1"])
    issue(server, Pair(tmp_path / "ca.crt", tmp_path / "ca.key"), "server", hosts, **more)  # type: ignore[arg-type]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    head = f"HTTP/1.1 404 Not Found\r\n{f'Date: {date}' if date else 'X: y'}\r\n\r\n".encode()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        change(folder, "127.0.0.1:1", f"127.0.0.1:{listening.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listening, context, head))
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listening: socket.socket, context: ssl.SSLContext, head: bytes) -> None:
    while True:
        try:
            raw, _ = listening.accept()
        except OSError:
            return
        with raw:
            try:
                with context.wrap_socket(raw, server_side=True) as secure:
                    secure.recv(1000)
                    secure.sendall(head)
            except OSError:
                continue


def test_a_good_coordinator_is_green(folder: SiteFolder, tmp_path: Path) -> None:
    with coordinator(folder, tmp_path, date=formatdate(usegmt=True)):
        assert reds(folder, "network") == []


def test_nobody_listens(folder: SiteFolder) -> None:
    assert "nothing listens" in only(reds(folder, "network")).text


def test_an_unknown_host_name(folder: SiteFolder) -> None:
    change(folder, "127.0.0.1:1", "nowhere.invalid:443")
    assert "host name" in only(reds(folder, "network")).text


def test_an_expired_certificate(folder: SiteFolder, tmp_path: Path) -> None:
    with coordinator(folder, tmp_path, days=-2):
        found = only(reds(folder, "network"))
    assert "expired on 20" in found.text
    assert "renew" in found.fix


def test_a_certificate_for_another_host(folder: SiteFolder, tmp_path: Path) -> None:
    with coordinator(folder, tmp_path, hosts=["fl.example.org"]):
        assert "is for fl.example.org, not for 127.0.0.1" in only(reds(folder, "network")).text


def test_another_authority(folder: SiteFolder, tmp_path: Path) -> None:
    other = Pair(tmp_path / "other.crt", tmp_path / "other.key")
    make_authority(other, "an imposter")
    shutil.copy(other.certificate, folder.path / "coordinator-ca.crt")
    with coordinator(folder, tmp_path):
        assert "does not know (it names 'test authority')" in only(reds(folder, "network")).text


def test_no_tls_at_all(folder: SiteFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        change(folder, "127.0.0.1:1", f"127.0.0.1:{listening.getsockname()[1]}")

        def answer() -> None:
            raw, _ = listening.accept()
            with raw:
                raw.sendall(b"220 hello\r\n")
                raw.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        found = only(reds(folder, "network"))
        thread.join()
    assert "does not speak TLS" in found.text


@pytest.mark.parametrize(("seconds", "level"), [(600, Level.RED), (60, Level.AMBER)])
def test_clocks_that_differ(folder: SiteFolder, tmp_path: Path, seconds: int, level: Level) -> None:
    with coordinator(folder, tmp_path, date=formatdate(time.time() + seconds, usegmt=True)):
        found = [each for _, each in examine(folder.path, {"network": CHECKS["network"]})]
    clock = only([each for each in found if "clock" in each.text])
    assert clock.level is level
    assert "behind" in clock.text


def test_a_missing_certificate_file(folder: SiteFolder) -> None:
    (folder.path / "coordinator-ca.crt").unlink()
    assert "is missing" in only(reds(folder, "network")).text
    assert reds(folder, "enrolment") == []


def test_a_port_that_is_taken_is_red_and_another_is_named(folder: SiteFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        change(folder, "127.0.0.1:9095", f"127.0.0.1:{port}")
        found = only(reds(folder, "ports"))
        assert f"listens at 127.0.0.1:{port}" in found.text
        assert "[connection.coordinator] runtime" in found.fix
        free = int(found.fix.partition("such as 127.0.0.1:")[2].partition(",")[0])
        assert free != port
        assert list(examine(folder.path, {"ports": CHECKS["ports"]}, half=Half.AGENT)) == []
        with locked(lock_of(folder, Half.SUPERNODE)):
            assert reds(folder, "ports") == [], "its own SuperNode listens there"
    change(folder, f"127.0.0.1:{port}", f"127.0.0.1:{free}")
    assert reds(folder, "ports") == []


def test_a_metrics_page_needs_a_port_of_its_own_on_this_machine(folder: SiteFolder) -> None:
    change(folder, "127.0.0.1:9095", f"127.0.0.1:{free_port()}")
    change(folder, '# metrics = "127.0.0.1:9477"', 'metrics = "192.0.2.7:9477"')
    found = only(reds(folder, "ports"))
    assert "no address of this machine" in found.text
    runtime = load_site(folder.path).connections["coordinator"].runtime
    change(folder, "192.0.2.7:9477", runtime)
    assert "name the same port" in only(reds(folder, "ports")).text


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as tried:
        return int(tried.getsockname()[1])


def shown(folder: SiteFolder, *more: str) -> tuple[int, str]:
    """Run the command."""
    app = typer.Typer()
    app.command()(doctor)
    ran = CliRunner().invoke(app, [str(folder.path), *more])
    return ran.exit_code, ran.output


def test_the_command(folder: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: dict[str, Callable[..., object]] = {n: OFFLINE[n] for n in ("settings", "keys", "data")}
    monkeypatch.setattr(examining, "CHECKS", checks)
    monkeypatch.setattr(examine, "__defaults__", (checks,))
    assert shown(folder)[0] == 0
    folder.secret.chmod(0o644)
    code, text = shown(folder)
    assert code == 9
    assert "fix: chmod 600" in text
    code, text = shown(folder, "--json")
    lines = json.loads(text)
    assert code == 9
    assert {line["check"] for line in lines} == {"settings", "keys", "data"}
    assert {"level", "text", "fix", "exit_code", "check"} == set(lines[0])


def test_the_first_red_line_gives_the_exit_code() -> None:
    lines = [green("a"), Finding(Level.RED, "b", "f", 5), Finding(Level.RED, "c", "f", 4)]
    assert exit_code(lines) == 5
    assert exit_code(lines[:1]) == 0
