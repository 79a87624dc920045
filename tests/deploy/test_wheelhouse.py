"""The wheelhouse: built for one device, installed without a network, refused when it was changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VERSION = "9.9.9"
STUB = """#!/bin/sh
# Stands in for pip only: makes the wheels that an index would have served.
case "$*" in
*"-m pip"*" wheel "*)
    while [ $# -gt 0 ]; do [ "$1" = --wheel-dir ] && target=$2; shift; done
    cp "$WHEELS"/*.whl "$target" ;;
*) exec "$REAL" "$@" ;;
esac
"""


def wheel(folder: Path, name: str, version: str = VERSION, code: str = "") -> Path:
    """Write a wheel with one module and, with code, a program of the same name."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n" if code else "",
    }
    record = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(each, text)
    return path


class Index:
    """What pip would find, and the builder that asks it."""

    def __init__(self, folder: Path, builder: Path, run: Callable[..., Any]) -> None:
        self.wheels = folder / "index"
        self.wheels.mkdir()
        self.stub = folder / "python"
        self.stub.write_text(STUB)
        self.stub.chmod(0o755)
        self.builder, self.run = builder, run
        wheel(self.wheels, "consilium", code=f"def main():\n    print('consilium {VERSION}')\n")
        wheel(self.wheels, "torch")

    def build(self, target: Path, *options: str) -> Any:
        environment = {"PYTHON": str(self.stub), "REAL": sys.executable, "WHEELS": str(self.wheels)}
        return self.run(self.builder, target, *options, **environment)

    def install(self, wheelhouse: Path, target: Path, *options: str) -> Any:
        return self.run("sh", wheelhouse / "install", target, *options, PYTHON=sys.executable)


@pytest.fixture
def index(tmp_path: Path, deploy: Path, run: Callable[..., Any]) -> Index:
    return Index(tmp_path, deploy / "wheelhouse", run)


@pytest.fixture
def built(index: Index, tmp_path: Path) -> tuple[Path, str]:
    """A wheelhouse and the sum that its builder printed."""
    made = index.build(tmp_path / "wheels")
    assert made.returncode == 0, made.stderr
    announced = re.search(r"--sums ([0-9a-f]{64})", made.stdout)
    assert announced
    return tmp_path / "wheels", announced[1]


def test_it_lists_every_wheel_with_its_hash(built: tuple[Path, str]) -> None:
    folder, announced = built
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        name, version, kind, found = re.fullmatch(r"(\w+)==(\S+) --hash=(\w+):(\w+)", line).groups()  # type: ignore[union-attr]
        path = folder / f"{name}-{version}-py3-none-any.whl"
        assert (kind, found) == ("sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    assert announced == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    listed = {line.split("  ./")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}


def test_it_installs_without_an_index(
    built: tuple[Path, str], index: Index, tmp_path: Path
) -> None:
    folder, announced = built
    ended = index.install(folder, tmp_path / "target", "--sums", announced)
    assert (ended.returncode, ended.stdout.strip()) == (0, f"consilium {VERSION}"), ended.stderr
    again = index.install(folder, tmp_path / "target", "--sums", announced)
    assert again.returncode == 1
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    "damaged", ["torch-9.9.9-py3-none-any.whl", "requirements.txt", "about.json"]
)
def test_a_changed_file_is_refused(
    built: tuple[Path, str], index: Index, tmp_path: Path, damaged: str
) -> None:
    folder, announced = built
    with (folder / damaged).open("ab") as file:
        file.write(b"#")
    ended = index.install(folder, tmp_path / "target", "--sums", announced)
    assert ended.returncode == 1
    assert "damaged or was changed" in ended.stderr
    assert not (tmp_path / "target").exists()


def test_a_changed_list_of_sums_is_refused(
    built: tuple[Path, str], index: Index, tmp_path: Path
) -> None:
    """Whoever changes a wheel and its sums does not know the sum that was told by phone."""
    folder, announced = built
    (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text() + "\n")
    ended = index.install(folder, tmp_path / "target", "--sums", announced)
    assert "another one than was announced" in ended.stderr
    assert ended.returncode == 1


def test_another_python_is_refused(built: tuple[Path, str], index: Index, tmp_path: Path) -> None:
    folder, _ = built
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"python": "2.7"}))
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    fresh = hashlib.sha256((folder / "about.json").read_bytes()).hexdigest()
    lines = [f"{fresh}  ./about.json" if line.endswith("about.json") else line for line in sums]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    ended = index.install(folder, tmp_path / "target")
    assert ended.returncode == 1
    assert "python: 3." in ended.stderr
    assert "2.7 there" in ended.stderr


@pytest.mark.parametrize(("device", "cuda"), [("cpu", True), ("cuda", False)])
def test_the_wrong_build_of_pytorch_is_noticed(
    index: Index, tmp_path: Path, device: str, cuda: bool
) -> None:
    if cuda:
        wheel(index.wheels, "nvidia_cublas")
    made = index.build(tmp_path / "wheels", "--device", device)
    assert made.returncode == 1
    assert "--torch-index" in made.stderr


def test_old_wheels_do_not_mix_with_new_ones(index: Index, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "old")
    made = index.build(tmp_path / "wheels")
    assert made.returncode == 2
    assert "is not empty" in made.stderr


def test_both_are_programs(deploy: Path) -> None:
    for name in ("wheelhouse", "install-wheelhouse"):
        assert os.access(deploy / name, os.X_OK)
