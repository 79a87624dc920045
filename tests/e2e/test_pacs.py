"""A live Orthanc: images are sent to it, fetched by every protocol, and a study trains on them."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from orthanc import PASSWORD, TITLE, USER, Orthanc, orthanc
from processes import run_forked, run_fresh, start, wait, wait_until
from pydicom import dcmread
from superlink import free_port

from client.audit.identifiers_report import look
from client.data.pacs.fetch import Outcome
from client.data.pacs.run import Wish, fetch_into
from client.site import load_site
from common.errors import ConsiliumError, DataError, MachineError, StudyError
from simulations.hospitals import create

pytestmark = [pytest.mark.slow, pytest.mark.deployment]
PATIENTS = 16
PROTOCOLS = ("dicomweb", "get", "move")
SHORT = ("federation.rounds=2", "training.local_steps=2", "evaluation.compare_non_private=false")
LOOSE = ("privacy.noise_multiplier=4.0", "privacy.sampling_rate=1/8")


@pytest.fixture(scope="module")
def scanners(memory: Path) -> list[Path]:
    """Two generated hospitals, whose images go to one PACS."""
    where = memory / "scanners"
    return create(where, sites=2, patients=PATIENTS, seed=4, archives=["lung-nodule"], workers=1)


@pytest.fixture(scope="module")
def pacs(memory: Path, scanners: list[Path]) -> Iterator[Orthanc]:
    """The PACS, with all images."""
    with orthanc(memory / "pacs") as server:
        server.store(images(scanners[0])[:8])
        for scanner in scanners:
            server.stow(images(scanner))
        yield server


@pytest.fixture(scope="module")
def encrypted(memory: Path, scanners: list[Path]) -> Iterator[Orthanc]:
    """A PACS that speaks TLS only, with the images of a few patients."""
    with orthanc(memory / "encrypted", encrypted=True) as server:
        server.stow(images(scanners[0])[:12])
        yield server


def images(scanner: Path) -> list[Path]:
    """The usable images of a generated hospital."""
    found = sorted((scanner / "lung-nodule" / "dicom").rglob("*"))
    return [path for path in found if path.is_file() and "LOST" not in path.parts]


def settings(server: Orthanc, protocol: str, **changes: Any) -> dict[str, Any]:
    """The table `[data.NAME.pacs]`."""
    if protocol == "dicomweb":
        table = {
            "protocol": protocol,
            "url": f"{server.url}/dicom-web",
            "credentials": "pacs.secret",
        }
    else:
        table = {
            "protocol": "dimse",
            "host": "127.0.0.1",
            "port": server.dicom,
            "called_aet": TITLE,
            "retrieve": protocol,
            "listen_port": server.listen,
            "tls": bool(server.authority),
        }
    if server.authority:
        table["certificates"] = str(server.authority)
    return {"attempts": 1, "timeout_seconds": 10.0, **table, **changes}


def house(folder: Path, scanner: Path, table: dict[str, Any]) -> Path:
    """Write a hospital that has labels and a PACS, and no image."""
    (folder / "lung-nodule").mkdir(parents=True)
    labels = (scanner / "lung-nodule" / "labels.csv").read_bytes()
    (folder / "lung-nodule" / "labels.csv").write_bytes(labels)
    secret = folder / "pacs.secret"
    secret.write_text(f"{USER}:{PASSWORD}\n")
    secret.chmod(0o600)
    text = (scanner / "site.toml").read_text()
    text = text.replace('path = "lung-nodule/dicom"', 'path = "lung-nodule/archive"')
    text = re.sub(r"(?m)^min_patients = .*$", "min_patients = 1", text)
    text = re.sub(r"(?m)^max_epsilon = .*$", "max_epsilon = 100.0", text)
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    (folder / "site.toml").write_text("\n".join([text, "[data.lung-nodule.pacs]", *lines, ""]))
    return folder


def fetched(folder: Path) -> Outcome:
    """Fetch in this process."""
    return fetch_into(load_site(folder), Wish(), lambda outcome: None)[1]


def archived(folder: Path) -> list[Path]:
    """The files of a house's archive."""
    return sorted((folder / "lung-nodule" / "archive").rglob("*.dcm"))


def same_images(one: list[Path], other: list[Path]) -> bool:
    """Whether two lists of files hold the same images."""
    pixels = [
        {x.SOPInstanceUID: x.PixelData for x in map(dcmread, files)} for files in (one, other)
    ]
    return pixels[0] == pixels[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_fetches_the_labelled_patients_once(
    protocol: str, pacs: Orthanc, scanners: list[Path], tmp_path: Path
) -> None:
    folder = house(tmp_path / "house", scanners[1], settings(pacs, protocol))
    expected = images(scanners[1])

    first = fetched(folder)
    assert (first.patients, first.absent, first.series) == (PATIENTS, 0, PATIENTS)
    assert (first.listed, first.fetched, first.present) == (len(expected), len(expected), 0)
    files = archived(folder)
    assert same_images(files, expected), "and nobody's of the other hospital"
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    syntaxes = [{str(dcmread(x).file_meta.TransferSyntaxUID) for x in y} for y in (files, expected)]
    assert syntaxes[0] == syntaxes[1], "nothing is converted on the way"

    files[3].unlink()
    second = fetched(folder)
    assert (second.fetched, second.present) == (1, len(expected) - 1)
    assert same_images(archived(folder), expected)


@pytest.mark.parametrize("protocol", ["dicomweb", "get"])
def test_encrypted(protocol: str, encrypted: Orthanc, scanners: list[Path], tmp_path: Path) -> None:
    folder = house(tmp_path / "house", scanners[0], settings(encrypted, protocol))
    done = fetched(folder)
    assert done.fetched == 12
    assert done.absent == PATIENTS - done.series

    stranger = settings(encrypted, protocol)
    del stranger["certificates"]
    with pytest.raises(StudyError, match="certificate is not trusted"):
        fetched(house(tmp_path / "stranger", scanners[0], stranger))


def test_criteria(pacs: Orthanc, scanners: list[Path], tmp_path: Path) -> None:
    table = settings(pacs, "dicomweb")
    for number, (criterion, expected) in enumerate(
        [
            ('modality = "MR"', 0),
            ('to_date = "2023-12-31"', 0),
            ('from_date = "2024-01-01"\nto_date = "2024-01-01"', 2 * PATIENTS),
            ('series_description = "CH*"\npatients = "all"', 2 * PATIENTS),
            ('series_description = "HEAD*"', 0),
        ]
    ):
        folder = house(tmp_path / str(number), scanners[0], table)
        site = folder / "site.toml"
        who = "" if "patients" in criterion else 'patients = "all"\n'
        site.write_text(f"{site.read_text()}[data.lung-nodule.pacs.select]\n{who}{criterion}\n")
        _, found = fetch_into(load_site(folder), Wish(only_count=True), lambda outcome: None)
        assert found.series == expected, criterion
        assert found.fetched == 0


@pytest.mark.parametrize("protocol", ["dicomweb", "get"])
def test_the_bandwidth_limit(
    protocol: str, pacs: Orthanc, scanners: list[Path], tmp_path: Path
) -> None:
    table = settings(pacs, protocol, megabytes_per_second=1.0)
    folder = house(tmp_path / "house", scanners[0], table)
    began = time.monotonic()
    fetched(folder)
    seconds = time.monotonic() - began
    size = sum(path.stat().st_size for path in archived(folder))
    assert size / seconds < 1.02e6


def test_interrupted_and_resumed(pacs: Orthanc, scanners: list[Path], tmp_path: Path) -> None:
    slow = settings(pacs, "dicomweb", megabytes_per_second=0.2)
    folder = house(tmp_path / "house", scanners[0], slow)
    running = start("site", "fetch", folder, cwd=tmp_path)
    wait_until(lambda: len(archived(folder)) > 4)
    running.send_signal(signal.SIGINT)
    assert wait(running).code == 130
    came = archived(folder)
    left = [path for path in (folder / "lung-nodule" / "archive").rglob("*") if path.is_file()]
    assert sorted(left) == came, "no half of an image"
    total = len(images(scanners[0]))
    assert 4 < len(came) < total
    assert all(dcmread(path).PixelData for path in came), "only whole images are there"

    (folder / "site.toml").write_text(
        (folder / "site.toml").read_text().replace("megabytes_per_second = 0.2", "")
    )
    ended = run_fresh("site", "fetch", folder, "--json", cwd=tmp_path)
    assert ended.code == 0, ended.text
    done = json.loads(ended.text)
    assert done["present"] >= len(came)
    assert done["present"] + done["fetched"] == done["listed"] == total
    assert same_images(archived(folder), images(scanners[0]))


@pytest.mark.parametrize("protocol", ["dicomweb", "get"])
def test_a_server_that_dies(protocol: str, scanners: list[Path], tmp_path: Path) -> None:
    expected = images(scanners[0])[:24]
    with orthanc(tmp_path / "pacs") as server:
        server.stow(expected)
        table = settings(server, protocol, megabytes_per_second=0.4)
        folder = house(tmp_path / "house", scanners[0], table)
        running = start("site", "fetch", folder, cwd=tmp_path)
        wait_until(lambda: len(archived(folder)) > 4)
        server.stop()
        ended = wait(running)
        assert ended.code == 9, ended.text
        assert "broke off" in ended.text
        assert "run the command again" in ended.text
        server.start()
        done = fetched(folder)
        assert done.present > 0
        assert done.present + done.fetched == len(expected)
        assert same_images(archived(folder), expected)


@pytest.mark.parametrize(
    ("protocol", "changes", "expected", "words"),
    [
        ("dicomweb", {"credentials": "wrong.secret"}, StudyError, "refuses these credentials"),
        (
            "dicomweb",
            {"url": "http://127.0.0.1:{free}/dicom-web"},
            MachineError,
            "cannot be reached",
        ),
        ("dicomweb", {"url": "http://127.0.0.1:{web}/nothing"}, MachineError, "404"),
        (
            "get",
            {"called_aet": "NOBODY"},
            StudyError,
            "does not answer to the title 'NOBODY'|ended the association before it began",
        ),
        ("get", {"port": "{free}"}, MachineError, "cannot be reached"),
        ("get", {"port": "{web}", "timeout_seconds": 3.0}, ConsiliumError, "PACS"),
        ("move", {"calling_aet": "STRANGER"}, StudyError, "does not send to 'STRANGER'"),
    ],
)
def test_clear_errors(
    protocol: str,
    changes: dict[str, Any],
    expected: type[ConsiliumError],
    words: str,
    pacs: Orthanc,
    scanners: list[Path],
    tmp_path: Path,
) -> None:
    ports = {"free": free_port(), "web": pacs.web}
    filled = {
        key: value.format(**ports) if isinstance(value, str) else value
        for key, value in changes.items()
    }
    if "port" in filled:
        filled["port"] = int(filled["port"])
    folder = house(tmp_path / "house", scanners[0], settings(pacs, protocol, **filled))
    wrong = folder / "wrong.secret"
    wrong.write_text(f"{USER}:guess\n")
    wrong.chmod(0o600)
    with pytest.raises(expected, match=words) as found:
        fetched(folder)
    assert found.value.fix
    assert PASSWORD not in str(found.value)


def test_missing_images_are_counted(
    pacs: Orthanc, scanners: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from client.data.pacs.web import WebPacs

    folder = house(tmp_path / "house", scanners[0], settings(pacs, "dicomweb"))
    whole = WebPacs.retrieve
    monkeypatch.setattr(WebPacs, "retrieve", lambda s, x, wanted, w: whole(s, x, wanted[1:], w))
    with pytest.raises(DataError, match=f"{PATIENTS} of {len(images(scanners[0]))} images did not"):
        fetched(folder)
    listed = (folder / ".consilium" / "fetch-lung-nodule.csv").read_text()
    assert listed.count("1 of ") == PATIENTS
    monkeypatch.undo()
    assert fetched(folder).missing == 0
    assert not (folder / ".consilium" / "fetch-lung-nodule.csv").exists()


def test_a_study_trains_on_what_was_fetched_and_no_identifier_leaves(
    pacs: Orthanc, scanners: list[Path], tmp_path: Path
) -> None:
    houses = [
        house(tmp_path / "houses" / scanner.name, scanner, settings(pacs, protocol))
        for scanner, protocol in zip(scanners, ("dicomweb", "get"), strict=True)
    ]
    for folder in houses:
        assert run_fresh("site", "fetch", folder, cwd=tmp_path).code == 0
    words = [word for override in (*SHORT, *LOOSE) for word in ("--set", override)]
    where = ("--hospitals", tmp_path / "houses", "--run", tmp_path / "run")
    ended = run_forked("simulate", "lung-nodule", *where, *words, cwd=tmp_path)
    assert ended.code == 0, ended.text
    sites = json.loads((tmp_path / "run" / "metrics.json").read_text())["sites"]
    assert all(site["patients"] > 0 for site in sites.values())

    for folder in houses:
        looked = look(folder, [tmp_path])
        assert looked.scan.identifiers > 3 * PATIENTS
        assert looked.scan.files > 5
        assert not looked.scan.unread
        assert not [hit for hit in looked.scan.hits if hit.file.startswith(f"{tmp_path.name}/run")]
        assert looked.scan.hits == []
    planted = tmp_path / "run" / "note.log"
    planted.write_text(f"read {dcmread(images(scanners[0])[0]).PatientID} again\n")
    assert {hit.kind for hit in look(houses[0], [tmp_path / "run"]).scan.hits} == {"patient id"}
