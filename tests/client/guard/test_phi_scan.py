"""Identifiers are found wherever they hide, and are not repeated in what is said of them."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from client.guard.needles import Identifier, Needles
from client.guard.phi_scan import CHUNK, scan

WHO = "ZQX-0815"
NEEDLES = Needles(
    [
        Identifier("patient id", WHO),
        Identifier("patient name", "Müller^Änne"),
        Identifier("UID", "1.2.3.99"),
    ]
)


def kinds(folder: Path, needles: Needles = NEEDLES) -> list[str]:
    return sorted(hit.kind for hit in scan([folder], needles).hits)


@pytest.mark.parametrize(
    "content",
    [
        WHO.encode(),
        f"patient={WHO.lower()};".encode(),
        "seen: Müller^Änne.".encode(),
        "seen: MüLLER^Änne.".encode("latin-1"),
        WHO.encode("utf-16-le"),
        b"\0" * 999 + WHO.encode() + b"\xff" * 999,
        hashlib.sha256(WHO.encode()).hexdigest().encode(),
        hashlib.md5(WHO.encode()).hexdigest().upper().encode(),
        b"uid 1.2.3.99",
    ],
)
def test_forms(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    found = scan([tmp_path], NEEDLES).hits
    assert len(found) == 1
    assert WHO not in repr(found)


@pytest.mark.parametrize("content", [b"", b"XZQX-0815", b"ZQX-08155", b"ZQX-081", b"1.2.3.990"])
def test_what_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    assert kinds(tmp_path) == []


def test_packed_files_and_names(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "log.gz", "wb") as file:
        file.write(b" " * 5000 + WHO.encode())
    with zipfile.ZipFile(tmp_path / "page.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", f"about {WHO}" * 1)
    np.savez_compressed(tmp_path / "arrays.npz", names=np.array([f"{WHO} "]).astype("S"))
    (tmp_path / f"report of {WHO}.html").write_text("nothing")
    found = {
        (hit.file.partition("/")[2].partition(" of")[0], hit.offset)
        for hit in scan([tmp_path], NEEDLES).hits
    }
    assert {name for name, _ in found} == {
        "log.gz!",
        "page.zip!inner.txt",
        "arrays.npz!names.npy",
        "report",
    }
    assert ("report", -1) in found
    assert ("log.gz!", 5000) in found


@pytest.mark.parametrize("place", [CHUNK - 4, CHUNK, 2 * CHUNK - 1, 2 * CHUNK + 17])
def test_across_the_pieces_of_a_large_file_once(place: int, tmp_path: Path) -> None:
    content = bytearray(b" " * (3 * CHUNK))
    content[place : place + len(WHO)] = WHO.encode()
    (tmp_path / "large").write_bytes(content)
    found = scan([tmp_path], NEEDLES)
    assert [hit.offset for hit in found.hits] == [place]
    assert found.bytes == 3 * CHUNK


def test_many_identifiers_in_noise(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    needles = Needles(Identifier("patient id", f"PAT{number:06d}") for number in range(20_000))
    (tmp_path / "weights").write_bytes(random.bytes(4 << 20))
    assert kinds(tmp_path, needles) == []
    (tmp_path / "log").write_text("done with PAT012345 of PAT999999")
    assert kinds(tmp_path, needles) == ["patient id"]


def test_too_short_ones_are_counted_not_looked_for(tmp_path: Path) -> None:
    needles = Needles(
        Identifier("patient id", value) for value in ("7", "12345", "abc", "", "123456")
    )
    (tmp_path / "log").write_text("7 12345 abc 123456")
    assert (needles.count, needles.too_short) == (1, 3)
    assert kinds(tmp_path, needles) == ["patient id"]


def test_spared_folders_links_and_unreadable_archives(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.csv").write_text(WHO)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "labels.csv")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 broken")
    found = scan([tmp_path], NEEDLES, besides=[tmp_path / "data"])
    assert found.hits == []
    assert [Path(name).name for name in found.unread] == ["broken.zip"]
