"""A small study at a small hospital, and the shipped checks by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_hospitals import folder_in_memory, tiny_study, write_site

from client.site import Site, load_site
from simulations.attack.checks import CHECKS, Finding
from simulations.attack.subject import Subject

ENGINES = ("bookkeeping", "hooks")
PRIVACY = {"clip_norm": 0.5, "samples_per_patient": 2}

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


@pytest.fixture(scope="session")
def house() -> Iterator[tuple[Site, Path]]:
    """A hospital of 40 patients with two images each, and a folder for ledgers."""
    with folder_in_memory() as folder:
        yield load_site(write_site(folder / "hospital-1", "hospital-1", 1)), folder / "agents"


@pytest.fixture
def make_subject(house: tuple[Site, Path]) -> Callable[..., Subject]:
    """The function that makes what is attacked: `make_subject(privacy={…}, seed=…)`."""

    def make(seed: int | None = None, **sections: dict[str, Any]) -> Subject:
        privacy = {**PRIVACY, **sections.pop("privacy", {})}
        return Subject(tiny_study(privacy=privacy, **sections), *house, seed)

    return make


@pytest.fixture(params=ENGINES)
def subject(make_subject: Callable[..., Subject], request: pytest.FixtureRequest) -> Subject:
    """The study with either engine."""
    return make_subject(privacy={"engine": request.param})


@pytest.fixture
def one_subject(make_subject: Callable[..., Subject]) -> Subject:
    """The study with the engine that it takes by itself, where the leak has nothing to do with engines."""
    return make_subject()


def run(name: str, subject: Subject) -> Finding:
    """Run a shipped check."""
    (check,) = (check for check in CHECKS if check.name == name)
    return check.run(subject)


@pytest.fixture
def check() -> Callable[[str, Subject], Finding]:
    """The function that runs a shipped check by its name."""
    return run
