"""Both quickstarts, followed word for word by a coordinator and two hospitals who have Consilium from its wheel.

They read for themselves: their names, the addresses and ports of this test, and the fingerprints that they hear on the
phone. What installs (pip, apt, systemd) is done by the test or left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from fresh_wheel import install
from pages import DOCUMENTS, Section, Step, missing, sections
from readers import INSTALLS, Reader

from simulations.rehearsal.processes import free_ports

ADDRESS = "coordinator.example.org:8443"
HOSPITALS = ("hospital-1", "hospital-2")
PAGES = {
    "coordinator": sections("coordinator-quickstart.md"),
    "hospital": sections("hospital-quickstart.md"),
}


def meetings() -> list[list[tuple[str, str]]]:
    """The rows of the page's table: who follows which sections, in which order."""
    table = (DOCUMENTS / "coordinator-quickstart.md").read_text()
    rows = re.findall(r"^\| \d+ \|.*\| ([^|]+) \|$", table, re.MULTILINE)
    return [
        [
            (who, number)
            for who, numbers in re.findall(r"(coordinator|hospital) (\d+(?:, \d+)*)", row)
            for number in numbers.split(", ")
        ]
        for row in rows
    ]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `consilium` is installed."""
    return install(tmp_path_factory.mktemp("wheel"))


class Consortium:
    """The coordinator, the two hospitals, their mail and their telephone.

    Args:
        folder: each works in a folder of their own below it.
        programs: where `consilium` is installed.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        public, self.internal, *runtimes = free_ports(4)
        own = {ADDRESS: f"localhost:{public}"}
        self.coordinator = Reader(folder / "coordinator", programs, own, Path())
        self.hospitals = [
            Reader(
                folder / name,
                programs,
                {"hospital-1": name, **own},
                folder / name / name / "site.toml",
            )
            for name in HOSPITALS
        ]
        self._runtimes = runtimes

    @property
    def everybody(self) -> list[Reader]:
        """All three."""
        return [self.coordinator, *self.hospitals]

    def follow(self, steps: list[tuple[str, str]]) -> None:
        """Follow the sections of one row of the table."""
        both = len({who for who, _ in steps}) == 2
        for who, number in steps:
            section = PAGES[who][number]
            if who == "hospital":
                with ThreadPoolExecutor() as pool:
                    list(pool.map(lambda each: each.follow(section), self.hospitals))  # noqa: B023
            elif both:
                self._for_each_hospital(section)
            else:
                self.coordinator.follow(section)
            self._use_free_ports()
            self._mail()

    def _for_each_hospital(self, section: Section) -> None:
        """What the page tells once, the coordinator does once for each hospital that calls."""
        own = self.coordinator.own
        for name, hospital in zip(HOSPITALS, self.hospitals, strict=True):
            told = re.findall(r"^Fingerprint:\s+(SHA256:\S+)$", hospital.heard, re.MULTILINE)
            self.coordinator.own = {**own, "hospital-1": name, "SHA256:…": told[0]}
            self.coordinator.follow(section)
        self.coordinator.own = own

    def _mail(self) -> None:
        """Send what the pages have people send."""
        here = self.coordinator.folder
        for name, hospital in zip(HOSPITALS, self.hospitals, strict=True):
            for sent, taken in (
                (here / "coordinator" / "tls" / "ca.crt", hospital.folder / "ca.crt"),
                (here / "heart.toml", hospital.folder / "heart.toml"),
                (hospital.folder / f"{name}.pub", here / f"{name}.pub"),
            ):
                if sent.exists() and not taken.exists():
                    shutil.copy(sent, taken)

    def _use_free_ports(self) -> None:
        """The pages' own ports may be taken on this machine, and two hospitals share it."""
        _replace(self.coordinator.folder / "coordinator" / "server.toml", "9091", self.internal)
        for hospital, port in zip(self.hospitals, self._runtimes, strict=True):
            _replace(hospital.settings, "127.0.0.1:9095", f"127.0.0.1:{port}")


def _replace(file: Path, old: str, new: object) -> None:
    if file.exists():
        file.write_text(file.read_text().replace(old, str(new)))


@pytest.fixture
def consortium(tmp_path: Path, programs: Path) -> Iterator[Consortium]:
    """Two hospitals with a file each, and a coordinator with nothing."""
    made = Consortium(tmp_path, programs)
    drawn = ["hospitals", "create", "drawn", "--archives", "heart", "--sites", "2"]
    subprocess.run([programs / "consilium", *drawn], cwd=tmp_path, check=True, capture_output=True)
    for name, hospital in zip(HOSPITALS, made.hospitals, strict=True):
        shutil.copy(tmp_path / "drawn" / name / "heart" / "heart.csv", hospital.folder)
    try:
        yield made
    finally:
        for each in made.everybody:
            each.kill()


@pytest.mark.slow
@pytest.mark.deployment
def test_whoever_follows_both_pages_has_a_model(consortium: Consortium) -> None:
    here = consortium.coordinator
    for steps in meetings():
        consortium.follow(steps)

    results = here.folder / "results"
    assert (results / "model.safetensors").stat().st_size > 500
    assert "hospital-2" in (results / "report.html").read_text()
    told = set(re.findall(r"compared by phone.*?([0-9a-f]{64})$", here.heard, re.MULTILINE))
    study = re.findall(r"\(fingerprint ([0-9a-f]+)…\)", here.heard)[0]
    for hospital in consortium.hospitals:
        assert set(re.findall(r"^\s+([0-9a-f]{64})$", hospital.heard, re.MULTILINE)) == told
        assert f"Fingerprint {study}" in hospital.heard
        assert "ReadWritePaths" in next(hospital.folder.glob("*.service")).read_text()
    first = consortium.hospitals[0]
    first.follow(PAGES["hospital"]["Two machines: DMZ and clinical network"])
    assert (first.folder / "clinic-dmz" / "site.toml").exists()
    assert [each.stop() for each in reversed(consortium.everybody)] == [[0], [0], [0]]


def test_consilium_is_that_of_the_wheel(programs: Path, tmp_path: Path) -> None:
    script = "import client, common, server, simulations as s; print(client, common, server, s)"
    run = subprocess.run(
        [programs / "python", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.count(str(programs.parent)) == 4


def test_the_table_names_every_numbered_section_once() -> None:
    named = [step for row in meetings() for step in row]
    numbered = [(who, key) for who, page in PAGES.items() for key in page if key.isdigit()]
    assert sorted(named) == sorted(numbered)


def test_no_command_of_the_pages_is_left_out() -> None:
    extra = {"Two machines: DMZ and clinical network"}
    for page, (key, section) in ((p, s) for p, found in PAGES.items() for s in found.items()):
        commands = [each.command for each in section.blocks if isinstance(each, Step)]
        assert key.isdigit() or key in extra or not commands, (page, key)
        assert all(
            INSTALLS.match(each) or each.startswith(("consilium ", "cp ")) for each in commands
        )


@pytest.mark.parametrize(("name", "target"), product(PAGES, [r"\]\(([^)#:]+\.md)"]))
def test_every_link_leads_to_a_page(name: str, target: str) -> None:
    text = (DOCUMENTS / f"{name}-quickstart.md").read_text()
    assert [link for link in re.findall(target, text) if not (DOCUMENTS / link).exists()] == []


@pytest.mark.parametrize(
    ("quoted", "absent"),
    [(["a …", "c"], ""), (["c", "a …"], "a …"), (["a x"], "a x"), (["  b"], ""), ([], "")],
)
def test_quoted_lines_are_looked_for_in_their_order(quoted: list[str], absent: str) -> None:
    assert missing(quoted, "a b\n b\nc\n") == absent
