"""Folders and hospitals for tests with real processes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_hospitals import folder_in_memory, write_hospitals


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A fast folder for the session."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def tmp_path(memory: Path) -> Path:
    """A fast folder for one test."""
    return Path(tempfile.mkdtemp(dir=memory))


@pytest.fixture(scope="session")
def hospitals(memory: Path) -> Path:
    """Three tiny hospitals; not to be changed."""
    return write_hospitals(memory / "hospitals")
