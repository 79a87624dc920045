"""Who is enrolled, who is refused, and how each site stands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_superlink import FakeSuperLink
from typer.testing import CliRunner

from common.errors import RunError, StudyError
from common.keys import fingerprint
from server.deployment import sites
from server.deployment.cli import app
from server.deployment.folder import CoordinatorFolder


def test_an_enrolled_site_is_kept_by_name(
    folder: CoordinatorFolder, superlink: FakeSuperLink, public_keys: list[str]
) -> None:
    site = sites.enrol(folder, "hospital-1", public_keys[0])
    kept = json.loads(folder.sites.read_text())
    assert kept == {
        "hospital-1": {
            "public_key": public_keys[0],
            "fingerprint": fingerprint(public_keys[0]),
            "node": superlink.keys[public_keys[0]],
            "enrolled": site.enrolled,
        }
    }
    assert sites.read_sites(folder) == {"hospital-1": site}


def test_a_name_and_a_key_are_taken_once(
    folder: CoordinatorFolder, superlink: FakeSuperLink, public_keys: list[str]
) -> None:
    sites.enrol(folder, "hospital-1", public_keys[0])
    with pytest.raises(StudyError, match="'hospital-1' is enrolled already, with the key SHA256:"):
        sites.enrol(folder, "hospital-1", public_keys[1])
    with pytest.raises(StudyError, match="enrolled already, as 'hospital-1'"):
        sites.enrol(folder, "hospital-2", public_keys[0])
    assert list(superlink.keys) == public_keys[:1]


@pytest.mark.parametrize("name", ["", "a b", "../x", "-a", "a_b", "x" * 65])
def test_a_name_is_one_that_a_site_can_have(
    folder: CoordinatorFolder, superlink: FakeSuperLink, public_keys: list[str], name: str
) -> None:
    with pytest.raises(StudyError, match="letters, digits and dashes"):
        sites.enrol(folder, name, public_keys[0])


def test_an_enrolment_that_fails_leaves_no_site(
    folder: CoordinatorFolder, superlink: FakeSuperLink, public_keys: list[str]
) -> None:
    superlink.down = True
    with pytest.raises(RunError, match="does not answer"):
        sites.enrol(folder, "hospital-1", public_keys[0])
    assert sites.read_sites(folder) == {}


def test_a_removed_site_is_gone(
    folder: CoordinatorFolder, superlink: FakeSuperLink, public_keys: list[str]
) -> None:
    sites.enrol(folder, "hospital-1", public_keys[0])
    with pytest.raises(StudyError, match="Did you mean 'hospital-1'"):
        sites.remove(folder, "hospitl-1")
    sites.remove(folder, "hospital-1")
    assert (sites.read_sites(folder), superlink.known) == ({}, [])


def test_how_sites_stand(
    folder: CoordinatorFolder, superlink: FakeSuperLink, public_keys: list[str]
) -> None:
    for name, key in zip(("a", "b"), public_keys, strict=True):
        sites.enrol(folder, name, key)
    superlink.known[0] = replace(superlink.known[0], standing="online")
    assert [line.standing for line in sites.lines(folder, superlink.nodes())] == ["online", "never"]
    assert [line.standing for line in sites.lines(folder, None)] == ["unknown", "unknown"]


def test_a_damaged_list_is_said(folder: CoordinatorFolder) -> None:
    folder.sites.write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        sites.read_sites(folder)


class TestCommand:
    """`consilium server enrol` and `sites`."""

    @pytest.fixture
    def key_file(self, tmp_path: Path, public_keys: list[str]) -> Path:
        """A site's node.pub."""
        file = tmp_path / "node.pub"
        file.write_text(public_keys[0] + " node@somewhere\n")
        return file

    def enrol(self, *arguments: object, typed: str = "") -> str:
        """Run the command and return what it prints, or the error."""
        words = [str(argument) for argument in arguments]
        ended = CliRunner().invoke(app, ["enrol", *words], input=typed)
        return ended.output + str(ended.exception or "")

    def test_nobody_compared(
        self, folder: CoordinatorFolder, superlink: FakeSuperLink, key_file: Path
    ) -> None:
        said = self.enrol(folder.path, key_file, "--name", "a")
        assert "Nobody has compared the fingerprint" in said
        assert superlink.keys == {}

    def test_another_fingerprint(
        self, folder: CoordinatorFolder, superlink: FakeSuperLink, key_file: Path
    ) -> None:
        said = self.enrol(
            folder.path, key_file, "--name", "a", "--fingerprint", "SHA256:x", "--yes"
        )
        assert "read another fingerprint" in said
        assert superlink.keys == {}

    def test_the_fingerprint_with_or_without_its_prefix(
        self, folder: CoordinatorFolder, superlink: FakeSuperLink, public_keys: list[str]
    ) -> None:
        told = fingerprint(public_keys[0]).removeprefix("SHA256:")
        arguments = (folder.path, "--stdin", "--name", "a", "--fingerprint", told)
        assert "a is enrolled" in self.enrol(*arguments, typed=public_keys[0])

    def test_a_private_key(
        self, folder: CoordinatorFolder, superlink: FakeSuperLink, tmp_path: Path
    ) -> None:
        file = tmp_path / "node"
        file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        assert "never leave the site" in self.enrol(folder.path, file, "--name", "a", "--yes")

    def test_no_key(self, folder: CoordinatorFolder) -> None:
        assert "as a file or with --stdin" in self.enrol(folder.path, "--name", "a")
        assert "no such file" in self.enrol(folder.path, folder.path / "none", "--name", "a")

    def test_the_list(
        self, folder: CoordinatorFolder, superlink: FakeSuperLink, key_file: Path
    ) -> None:
        assert (
            "No site is enrolled yet" in CliRunner().invoke(app, ["sites", str(folder.path)]).output
        )
        self.enrol(folder.path, key_file, "--name", "a", "--yes")
        listed = CliRunner().invoke(app, ["sites", str(folder.path), "--json"]).output
        assert [line["name"] for line in json.loads(listed)] == ["a"]
