"""A small study at a small hospital, ready to be attacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_hospitals import folder_in_memory, tiny_study, write_site

from client.site import load_site
from simulations.attack.subject import Subject


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder with one hospital of 40 patients, two images each."""
    with folder_in_memory() as made:
        write_site(made / "hospital-1", "hospital-1", 1)
        yield made


@pytest.fixture
def make_subject(folder: Path, tmp_path: Path) -> Callable[..., Subject]:
    """The function that makes what is attacked: `make_subject(privacy={…}, seed=…)`."""

    def make(seed: int | None = None, **sections: dict[str, Any]) -> Subject:
        site = load_site(folder / "hospital-1")
        return Subject(tiny_study(**sections), site, tmp_path / "agents", seed)

    return make
