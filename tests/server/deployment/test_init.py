"""What `init` makes, whom it lets read it, and what `renew` changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.certificates import Pair, describe, issue, make_authority
from common.errors import MachineError, RunError, StudyError
from server.deployment import init, init_cli
from server.deployment.cli import app
from server.deployment.config import parse_server_file
from server.deployment.folder import CoordinatorFolder
from server.deployment.init import Wanted, make, renew, signed_by_us


def settings_of(address: str) -> Wanted:
    content = {"server": {"name": "demo", "address": address}}
    return Wanted(parse_server_file(content, where="test"))


@pytest.fixture
def copied(made: CoordinatorFolder, tmp_path: Path) -> CoordinatorFolder:
    """A coordinator's folder that may be changed."""
    return CoordinatorFolder(Path(shutil.copytree(made.path, tmp_path / "copied")))


@pytest.fixture
def own(tmp_path: Path) -> Pair:
    """A certificate of somebody else's authority for localhost."""
    authority = Pair(tmp_path / "other-ca.crt", tmp_path / "other-ca.key")
    make_authority(authority, "The house's authority")
    pair = Pair(tmp_path / "own.crt", tmp_path / "own.key")
    issue(pair, authority, "localhost", ["localhost"])
    return pair


def test_keys_and_secrets_are_for_their_owner_only(made: CoordinatorFolder) -> None:
    secret = (made.key, made.authority_key, made.loopback_key, made.superexec_secret)
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (made.path, made.tls)} == {0o700}
    assert len(made.superexec_secret.read_bytes()) == 32


def test_the_certificate_is_for_the_address_and_the_loopback(made: CoordinatorFolder) -> None:
    assert describe(made.certificate).matches("localhost")
    assert describe(made.loopback_certificate).matches("127.0.0.1")
    assert describe(made.loopback_certificate).days_left > 3000  # no process has to reload it
    assert signed_by_us(made)


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(RunError, match="not empty"):
        make(tmp_path, settings_of("localhost:8443"))
    assert (tmp_path / "precious").exists()


def test_what_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: CoordinatorFolder) -> None:
        raise MachineError("nginx is not installed.")

    monkeypatch.setattr(init.proxy, "check", refuse)
    with pytest.raises(MachineError):
        make(tmp_path / "new", settings_of("localhost:8443"))
    assert not (tmp_path / "new").exists()


def test_a_certificate_for_another_address_is_refused(tmp_path: Path, own: Pair) -> None:
    wanted = Wanted(settings_of("fl.example.org:8443").settings, own)
    with pytest.raises(StudyError, match=r"not one for 'fl.example.org': it names localhost"):
        make(tmp_path / "new", wanted)


def test_an_own_certificate_is_shown_to_hospitals(tmp_path: Path, own: Pair) -> None:
    folder = make(tmp_path / "new", Wanted(settings_of("localhost:8443").settings, own))
    assert folder.certificate.read_bytes() == own.certificate.read_bytes()
    assert not signed_by_us(folder)
    assert "The house's authority" in init_cli._handover(folder)
    with pytest.raises(StudyError, match="from another authority"):
        renew(folder, None)


def test_renewal_keeps_the_key_and_changes_the_certificate(copied: CoordinatorFolder) -> None:
    key, before = copied.key.read_bytes(), copied.certificate.read_bytes()
    found = renew(copied, None)
    assert copied.key.read_bytes() == key
    assert copied.certificate.read_bytes() != before
    assert found.days_left > 700


def test_a_certificate_that_nginx_refuses_is_taken_back(
    copied: CoordinatorFolder, own: Pair
) -> None:
    before = (copied.certificate.read_bytes(), copied.key.read_bytes())
    with pytest.raises(MachineError, match="nginx does not accept"):
        renew(copied, Pair(own.certificate, copied.loopback_key))
    assert (copied.certificate.read_bytes(), copied.key.read_bytes()) == before


def test_the_command_asks_nothing_with_yes(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--yes"])
    assert isinstance(ended.exception, StudyError)
    assert "--name is missing" in str(ended.exception)


def test_the_command_tells_what_to_hand_over(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    answers = "demo\nlocalhost:8443\n"
    ended = CliRunner().invoke(app, ["init", str(folder)], input=answers)
    assert ended.exit_code == 0, ended.output
    assert describe(folder / "tls" / "ca.crt").fingerprint in ended.output
    assert "outgoing TCP to localhost port 8443" in ended.output
