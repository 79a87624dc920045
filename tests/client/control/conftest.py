"""A running site that does nothing, and its control plane."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from client.control.client import Place
from client.control.server import ControlServer, serve
from client.service.state import Link, ServiceState
from client.site import Service, Site
from client.site_folder import SiteFolder
from common.errors import StudyError
from common.study import Study

SHA = "ab" * 32


@dataclass(frozen=True)
class Record:
    """A study, as the service keeps it."""

    bundle: str
    study: Study
    connection: str = "tum"
    first_seen: float = 1_770_000_000.0
    standing: str = "pending"
    changed_from: tuple[str, ...] = ()
    by: str = ""
    at: str = ""


@dataclass(frozen=True)
class Line:
    """What a population has spent."""

    population: str
    spent: float
    limit: float
    delta: float = 1e-3
    studies: tuple[str, ...] = ()

    @property
    def left(self) -> float:
        """What is left."""
        return max(0.0, self.limit - self.spent)


@dataclass
class FakeRunning:
    """A service that does as it is told."""

    state: ServiceState
    record: Record
    lines: list[Line] = field(default_factory=lambda: [Line("", 1.25, 8.0, studies=("small",))])
    asked: int = 0
    holding: threading.Event | None = None

    def pause(self) -> None:
        """Take no new task."""
        self.state.update(lambda now: replace(now, paused=True))

    def resume(self) -> None:
        """Take tasks again."""
        self.state.update(lambda now: replace(now, paused=False))

    def studies(self) -> list[Record]:
        """The only study."""
        return [self.record]

    def approve(self, bundle: str, by: str) -> Record:
        """Approve it."""
        return self._decide("approved", bundle, by)

    def revoke(self, bundle: str, by: str) -> Record:
        """Revoke it."""
        return self._decide("revoked", bundle, by)

    def budget(self) -> list[Line]:
        """What was spent."""
        self.asked += 1
        if self.holding is not None:
            self.holding.wait(10)
        return self.lines

    def _decide(self, standing: str, bundle: str, by: str) -> Record:
        if not self.record.bundle.startswith(bundle):
            raise StudyError(f"No study '{bundle}'.", where="inbox", fix="See the list.")
        self.record = replace(self.record, standing=standing, by=by, at="2026-01-01T00:00:00Z")
        return self.record


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A hospital with its private folder."""
    made = make_site()
    SiteFolder(made.folder).states.mkdir(parents=True)
    return made


@pytest.fixture
def folder(site: Site) -> SiteFolder:
    """Its private files."""
    return SiteFolder(site.folder)


@pytest.fixture
def running(site: Site, make_study: Callable[..., Study]) -> FakeRunning:
    """A service in contact with its coordinator."""
    now = time.time()
    link = Link("tum", "tum.example:443", polled=now, contact=now, node=2**63 + 5)
    return FakeRunning(ServiceState(site.name, {"tum": link}), Record(SHA, make_study()))


@pytest.fixture
def start(
    running: FakeRunning, site: Site, folder: SiteFolder
) -> Iterator[Callable[..., ControlServer]]:
    """The function that serves the control plane: `start(control="…", metrics="…")`."""
    made: list[ControlServer] = []

    def begin(**service: object) -> ControlServer:
        changed = replace(site, service=Service.model_validate(service))
        made.append(serve(running, site=changed, folder=folder))
        return made[-1]

    yield begin
    for server in made:
        server.stop(0.5)


@pytest.fixture
def place(start: Callable[..., ControlServer]) -> Place:
    """A control plane on its Unix socket."""
    return Place(Path(start().address))
