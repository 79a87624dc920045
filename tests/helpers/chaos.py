"""Kills the processes of a rehearsal at random moments; the same seed makes the same choices."""

from __future__ import annotations

import math
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from client.guard.chain import Chain
from client.site_folder import SiteFolder
from common.errors import ConsiliumError
from server.run_folder import RunFolder
from simulations.rehearsal.federation import Federation, state_of
from simulations.rehearsal.processes import Service, send

PAUSE = 0.2
"""Longest pause of the supervisors before a restart: else the pauses grow to a minute under so many kills."""


@dataclass(frozen=True)
class Victim:
    """A kind of process.

    Attributes:
        name: for people.
        words: its command line holds them all.
        weight: how often it is chosen; what is quick to come back is killed more often.
        hospital: it is one of a hospital, else of the coordinator.
    """

    name: str
    words: tuple[str, ...]
    weight: int
    hospital: bool = False


VICTIMS = (
    Victim("agent", ("client.service.agent_process",), 4, hospital=True),
    Victim("SuperNode", ("client.service.supernode",), 5, hospital=True),
    Victim("SuperLink", ("server.deployment.superlink",), 3),
    Victim("SuperExec", ("flower-superexec",), 1),
    Victim("ServerApp", ("flwr-serverapp",), 2),
    Victim("proxy", ("nginx: master",), 4),
    Victim("a worker of the proxy", ("nginx: worker",), 3),
)


@dataclass
class Chaos:
    """Kills while a run goes on, and has it resumed where it failed.

    Attributes:
        federation: the victims.
        run: what must survive.
        seed: of the choices.
        killed: how often each kind was killed.
        resumed: how often the run had to be resumed by hand.
    """

    federation: Federation
    run: RunFolder
    seed: int
    killed: Counter[str] = field(default_factory=Counter)
    resumed: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def play(self, kills: int, rounds: int, seconds: float) -> None:
        """Kill in bursts, between which the run gets on by a round, until there were enough; then let it finish.

        Raises:
            AssertionError: the run did not get on in time.
        """
        self.end = time.monotonic() + seconds
        while self.killed.total() < kills and self.round <= rounds:
            left, chances = kills - self.killed.total(), max(1, rounds - self.round)
            time.sleep(self.random.uniform(0.0, 1.2))
            for _ in range(math.ceil(left / chances)):
                self.kill()
                time.sleep(self.random.choice((0.0, 0.05, 0.3)))
            if chances > 1:
                self.wait_beyond(self.round)
        self.wait_beyond(math.inf)

    @property
    def round(self) -> int:
        """How many rounds are behind it, and the one in hand."""
        return len(self.run.read_rounds()) + 1

    def wait_beyond(self, round_: float) -> None:
        """Wait until a round is over, or the run; a run that failed is resumed."""
        while self.round <= round_:
            phase = state_of(self.run).get("phase")
            if phase == "finished":
                return
            if phase == "failed":
                self.resume()
            assert time.monotonic() < self.end, f"stuck: {state_of(self.run)}, {self.summary()}"
            time.sleep(0.05)

    def resume(self) -> None:
        """Do what the coordinator's people would."""
        with suppress(ConsiliumError):  # the server may be down this very moment; tried again
            self.federation.coordinator.resume(self.run.path.name)
            self.resumed += 1

    def kill(self) -> None:
        """Kill one process; where none of the chosen kind runs, of another kind."""
        for victim in self.random.choices(VICTIMS, [v.weight for v in VICTIMS], k=50):
            found = [
                pid for service in self._services(victim) for pid in service.part(*victim.words)
            ]
            if found:
                send(self.random.choice(found), signal.SIGKILL)
                self.killed[victim.name] += 1
                return

    def summary(self) -> str:
        """Tell what was done."""
        kinds = ", ".join(f"{count} × {name}" for name, count in self.killed.most_common())
        return (
            f"seed {self.seed}: {self.killed.total()} kills ({kinds}); "
            f"{self.resumed} times resumed by hand, round {self.round}"
        )

    def _services(self, victim: Victim) -> list[Service]:
        if not victim.hospital:
            return [self.federation.coordinator.service]
        hospitals = sorted(self.federation.hospitals)
        return [self.federation.hospitals[self.random.choice(hospitals)].service]


def health(site: SiteFolder) -> Any:
    """Return a running site's health, or None when nobody answers."""
    from client.control.client import Place, connected
    from common.proto import site_control_pb2 as pb

    with suppress(ConsiliumError), connected(Place(site.control_socket)) as stub:
        return stub.Status(pb.StatusRequest(), timeout=10.0).status.health
    return None


def releases(site: SiteFolder) -> set[tuple[int, str]]:
    """Return round and sha256 of everything that a site's egress log says left."""
    entries = Chain(site.egress_log, writable=False).read()
    return {(e.body["round"], e.body["sha256"]) for e in entries if e.kind == "reply"}


def charged(site: SiteFolder) -> dict[str, int]:
    """Return the steps that were settled for what left, by its sha256."""
    steps: Counter[str] = Counter()
    for entry in Chain(site.ledger, writable=False).read():
        if entry.kind == "settle" and entry.body["released"] is not None:
            steps[entry.body["released"]] += entry.body["steps"]
    return dict(steps)
