"""A coordinator's folder, and a SuperLink that only remembers what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_superlink import FakeSuperLink

from common.errors import RunError
from common.keys import make_node_key, read_node_key
from common.study import Study
from common.study_file import parse_study
from server.deployment import control, sites, submission
from server.deployment.config import parse_server_file
from server.deployment.folder import CoordinatorFolder
from server.deployment.init import Wanted, make


@pytest.fixture
def superlink(monkeypatch: pytest.MonkeyPatch) -> FakeSuperLink:
    """A SuperLink that every command talks to."""
    fake = FakeSuperLink()

    @contextmanager
    def connected(folder: CoordinatorFolder, seconds: float = 30.0) -> Iterator[FakeSuperLink]:
        if fake.down:
            raise RunError("The coordinator's server does not answer.")
        yield fake

    for module in (control, sites, submission):
        monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(control.Control, "nodes", FakeSuperLink.nodes)
    monkeypatch.setattr(control.Control, "runs", FakeSuperLink.runs)
    return fake


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> CoordinatorFolder:
    """A coordinator's folder as `init` makes it; not to be changed."""
    content = {"server": {"name": "demo", "address": "localhost:8443"}}
    settings = parse_server_file(content, where="test")
    return make(tmp_path_factory.mktemp("made") / "coordinator", Wanted(settings))


@pytest.fixture
def folder(tmp_path: Path) -> CoordinatorFolder:
    """A coordinator's folder with nothing in it but its settings."""
    (tmp_path / "server.toml").write_text(
        '[server]\nname = "demo"\naddress = "fl.example.org:8443"\n'
    )
    (tmp_path / "runs").mkdir()
    return CoordinatorFolder(tmp_path)


@pytest.fixture(scope="session")
def study() -> Study:
    """A small study."""
    tables = {
        "study": {"name": "small", "seed": 3},
        "task": {"name": "classification", "classes": ["no", "yes"]},
        "model": {"name": "linear"},
        "data": {"kind": "arrays", "image_size": 4, "test_fraction": 0.25},
        "training": {"learning_rate": 0.1, "local_steps": 1},
        "privacy": {"enabled": False},
        "federation": {"rounds": 2, "min_sites": 2},
    }
    return parse_study(tables, where="test")


@pytest.fixture(scope="session")
def public_keys(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two public node keys."""
    base = tmp_path_factory.mktemp("keys")
    found = []
    for name in ("one", "two"):
        make_node_key(base / name, base / f"{name}.pub", f"node@{name}")
        found.append(read_node_key((base / f"{name}.pub").read_text(), where=name))
    return found
