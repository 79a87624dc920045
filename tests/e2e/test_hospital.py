"""A hospital's service with real processes: a SuperLink over TLS, the launcher, `site start`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from superlink import SuperLink, free_port, launched, listens, superlink, until

from client.service.fleet import UNKNOWN, ask_enrolment
from client.service.link import LINK_HEADER, LINK_PATH, link_key
from client.setup.answers import Answers
from client.setup.create import create_site
from client.setup.dmz import write_dmz_half
from client.site_folder import SiteFolder

pytestmark = [pytest.mark.slow, pytest.mark.deployment]


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    """A coordinator's SuperLink."""
    with superlink(tmp_path_factory.mktemp("coordinator")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, link: SuperLink) -> SiteFolder:
    """A hospital that knows it."""
    made = SiteFolder(tmp_path / "site")
    answers = Answers(
        name="north",
        server=link.address,
        certificates=link.authority.certificate,
        data_kind="arrays",
        data_path=tmp_path,
        declared_patients=100,
        max_epsilon=1.0,
        runtime=f"127.0.0.1:{free_port()}",
    )
    create_site(made, answers)
    return made


def page(folder: SiteFolder) -> dict[str, Any]:
    """What the SuperNode's link page says; nothing while there is none."""
    text = (folder.path / "site.toml").read_text()
    (address,) = re.findall(r'^runtime = "(.*)"', text, re.MULTILINE)
    key = link_key(folder.superexec_secret.read_bytes())
    try:
        with urlopen(Request(f"http://{address}{LINK_PATH}", headers={LINK_HEADER: key})) as answer:
            said: dict[str, Any] = json.load(answer)
            return said
    except OSError:
        return {}


def in_contact(folder: SiteFolder, node: int) -> Callable[[], bool]:
    """Whether the SuperNode is active and nothing is wrong."""
    return lambda: (said := page(folder)).get("node") == node and not said["problem"]


def test_a_supernode_waits_for_enrolment_and_outlives_outages(
    folder: SiteFolder, link: SuperLink, tmp_path: Path
) -> None:
    log = tmp_path / "supernode.log"
    known = (link.address, link.authority.certificate, folder.node_key)
    assert ask_enrolment(*known).problem == UNKNOWN
    with launched(folder.path, log, "coordinator") as process:
        until(lambda: page(folder).get("problem") == UNKNOWN)
        node = link.enrol(folder.node_key_public)
        until(in_contact(folder, node))
        assert ask_enrolment(*known).known  # and this has not disturbed it
        assert link.online() == {node}
        command = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert folder.superexec_secret.read_text() not in command
        link.stop()
        until(lambda: "nothing listens" in page(folder)["problem"])
        link.start()
        until(in_contact(folder, node))
        process.kill()
        process.wait()
    with launched(folder.path, log, "coordinator") as process:
        until(in_contact(folder, node), 20)  # stock, it would be refused for a minute
        process.terminate()
        assert process.wait(15) == 0
    assert node not in link.online()
    assert "Traceback" not in log.read_text()


def test_a_server_of_another_authority_gets_no_call(folder: SiteFolder, tmp_path: Path) -> None:
    from common.certificates import Pair, make_authority

    other = Pair(tmp_path / "other.crt", tmp_path / "other.key")
    make_authority(other, "an imposter")
    (folder.path / "coordinator-ca.crt").write_bytes(other.certificate.read_bytes())
    with launched(folder.path, tmp_path / "log", "coordinator") as process:
        until(lambda: "authority that this site does not know" in page(folder).get("problem", ""))
        assert page(folder)["contact"] == 0
        assert process.poll() is None


@contextmanager
def started(folder: SiteFolder, out: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`consilium site start`."""
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "common.cli", "site", "start", str(folder.path), *more],
            stdout=file,
            stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def children(out: Path) -> dict[str, int]:
    """The newest process id of each program."""
    found = re.findall(r"(\w+) started \(process (\d+)\)", out.read_text())
    return {name: int(number) for name, number in found}


def test_a_site_starts_restarts_what_dies_and_stops_cleanly(
    folder: SiteFolder, link: SuperLink, tmp_path: Path
) -> None:
    node, out = link.enrol(folder.node_key_public), tmp_path / "out"
    with started(folder, out) as process:
        until(lambda: "agent is ready" in out.read_text() and "in contact" in out.read_text(), 60)
        with started(folder, tmp_path / "second") as second:
            assert second.wait(30) == 7
        assert "runs already" in (tmp_path / "second").read_text()
        before = children(out)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: out.read_text().count("is ready") == 4, 60)
        until(in_contact(folder, node), 30)
        process.terminate()
        assert process.wait(90) == 0
    lines = out.read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines[-3:]] == [
        "agent stopped",
        "supernode stopped",
        "site 'north' stopped",
    ]
    assert node not in link.online()
    assert not any(Path(f"/proc/{pid}").exists() for pid in children(out).values())


def test_one_half_starts_alone(folder: SiteFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(folder, out, "--only", "supernode"):
        until(lambda: "supernode is ready" in out.read_text(), 60)
        assert set(children(out)) == {"supernode"}
    port = int(re.findall(r'runtime = ".*:(\d+)"', (folder.path / "site.toml").read_text())[0])
    assert not listens(port)


def test_the_two_halves_speak_tls(folder: SiteFolder, link: SuperLink, tmp_path: Path) -> None:
    link.enrol(folder.node_key_public)
    file = folder.path / "site.toml"
    file.write_text(
        file.read_text().replace(
            "runtime = ", 'runtime_certificates = ".consilium/tls/ca.crt"\nruntime = '
        )
    )
    dmz = SiteFolder(tmp_path / "dmz")
    write_dmz_half(folder, dmz.path)
    with (
        started(dmz, tmp_path / "one", "--only", "supernode"),
        started(folder, tmp_path / "two", "--only", "agent"),
    ):
        until(lambda: "in contact" in (tmp_path / "one").read_text(), 60)
        until(lambda: "agent is ready" in (tmp_path / "two").read_text(), 60)
        until(lambda: _linked(folder), 30)
    assert set(children(tmp_path / "two")) == {"agent"}


def _linked(folder: SiteFolder) -> bool:
    """Whether the agent knows that its SuperNode reached the coordinator."""
    command = [sys.executable, "-m", "common.cli", "site", "health", str(folder.path)]
    return subprocess.run(command, capture_output=True).returncode == 0
