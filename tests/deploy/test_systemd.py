"""The systemd units: they parse, they are hardened, and what they start exists."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

UNITS = (
    "consilium-coordinator",
    "consilium-site",
    "consilium-site-agent",
    "consilium-site-supernode",
)
PROGRAM = "/opt/consilium/bin/consilium"
WORST = 3.0

systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, deploy: Path) -> Path:
    """Each unit."""
    return deploy / "systemd" / f"{request.param}.service"


def settings(unit: Path) -> dict[str, str]:
    lines = (line for line in unit.read_text().splitlines() if not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_all_units_are_looked_at(deploy: Path) -> None:
    assert {each.stem for each in (deploy / "systemd").glob("*.service")} == set(UNITS)


@systemd
def test_systemd_accepts_it(unit: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    """With a program that is there: `verify` looks for it."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    ended = run("systemd-analyze", "verify", "--man=no", copy)
    assert (ended.returncode, ended.stderr) == (0, "")


@systemd
@pytest.mark.parametrize("drop_in", ["", "gpu.conf", "privileged-port.conf"])
def test_it_is_hardened(
    unit: Path, drop_in: str, deploy: Path, tmp_path: Path, run: Callable[..., Any]
) -> None:
    text = unit.read_text()
    if drop_in:
        added = (deploy / "systemd" / drop_in).read_text().partition("[Service]\n")[2]
        text = text.replace("\n[Install]", added + "\n[Install]")
    copy = tmp_path / unit.name
    copy.write_text(text)
    ended = run("systemd-analyze", "security", "--offline=true", "--no-pager", copy)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", ended.stdout)
    assert found, ended.stderr
    assert float(found[1]) <= WORST


def test_what_it_starts_exists(unit: Path, check_command: Callable[[Sequence[str]], str]) -> None:
    program, *arguments = shlex.split(settings(unit)["ExecStart"])
    assert program == PROGRAM
    assert check_command(arguments) == ""


def test_it_writes_to_its_own_folder_only(unit: Path) -> None:
    said = settings(unit)
    (folder,) = {each for each in shlex.split(said["ExecStart"]) if each.startswith("/var/lib/")}
    assert said["ReadWritePaths"] == said["WorkingDirectory"] == folder
    assert (said["ProtectSystem"], said["User"]) == ("strict", "consilium")


def test_it_stops_in_order(unit: Path) -> None:
    """The supervisor hears SIGTERM first and stops the others; all have time to settle."""
    said = settings(unit)
    assert (said["KillMode"], said["TimeoutStopSec"]) == ("mixed", "2min")


def test_the_clinical_half_may_call_nobody_unless_told(deploy: Path) -> None:
    said = settings(deploy / "systemd" / "consilium-site-agent.service")
    assert (said["IPAddressDeny"], said["IPAddressAllow"]) == ("any", "localhost")
