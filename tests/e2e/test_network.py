"""A hospital split between two networks: who reaches whom, what the proxy refuses, and cables that are pulled."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.control_pb2 import RegisterNodeRequest
from namespaces import Cable, Call, Listener, Machine, unavailable
from processes import start, wait
from requests_refused import attempts, post, said
from tiny_hospitals import sha256, write_site, write_study

from server.deployment.control import nodes_if_running
from server.deployment.flower_records import ONLINE
from server.deployment.folder import CoordinatorFolder, open_folder
from server.run_folder import RunFolder
from simulations.rehearsal.coordinator import Coordinator
from simulations.rehearsal.federation import state_of
from simulations.rehearsal.hospital import Hospital
from simulations.rehearsal.processes import free_ports, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deployment,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]

SEED = 5
COORDINATOR, OUTER, INNER, CLINIC = "10.79.1.1", "10.79.1.2", "10.79.2.1", "10.79.2.2"
FORBIDDEN = "/v1/control/register-node"
SHORT_HEARTBEAT = Path(__file__).parents[1] / "helpers" / "short_heartbeat"
SETTINGS = {
    "study": {"name": "cables"},
    "training": {"local_steps": 20},
    "privacy": {"noise_multiplier": 20.0},
    "federation": {"rounds": 4, "min_sites": 2},
}


@dataclass
class Network:
    """Four machines: the coordinator's, two of one hospital, and that of another.

    Attributes:
        server, dmz, clinic, other: the machines.
        outer, inner: cables from the DMZ to the coordinator, and to the clinical network.
    """

    server: Machine
    dmz: Machine
    clinic: Machine
    other: Machine
    outer: Cable
    inner: Cable


@dataclass
class Deployed:
    """Who runs on the network.

    Attributes:
        network: the machines.
        coordinator: on its machine.
        folder: the coordinator's.
        split: the hospital on two machines.
        whole: the one on a machine of its own.
        runtime: port of the split one's runtime API.
        heard: whom each machine of the split hospital called.
    """

    network: Network
    coordinator: Coordinator
    folder: CoordinatorFolder
    split: Hospital
    whole: Hospital
    runtime: int
    heard: dict[str, Listener]

    @property
    def internal(self) -> int:
        """The SuperLink's own port."""
        return self.folder.settings().superlink.port

    @property
    def trusted(self) -> ssl.SSLContext:
        """What hospitals trust."""
        return ssl.create_default_context(cafile=str(self.coordinator.certificates))

    def online(self) -> int:
        """How many sites are connected."""
        with self.network.server.entered():
            nodes = nodes_if_running(self.folder) or ()
        return sum(node.standing == ONLINE for node in nodes)


@contextmanager
def machines() -> Iterator[Network]:
    """Four machines and their cables; no machine has a way beyond its neighbours."""
    server, dmz, clinic, other = made = [
        Machine(name) for name in ("server", "dmz", "clinic", "other")
    ]
    outer = Cable.lay((server, f"{COORDINATOR}/30"), (dmz, f"{OUTER}/30"))
    inner = Cable.lay((dmz, f"{INNER}/30"), (clinic, f"{CLINIC}/30"))
    Cable.lay((server, "10.79.3.1/30"), (other, "10.79.3.2/30"))
    other.ip("route", "add", COORDINATOR, "via", "10.79.3.1")
    try:
        yield Network(server, dmz, clinic, other, outer, inner)
    finally:
        for each in made:
            each.close()


@pytest.fixture(scope="module")
def originals(memory: Path) -> Path:
    """The data of two hospitals."""
    folder = memory / "originals"
    for number, name in enumerate(("north", "south")):
        write_site(folder / name, name, number + 1)
    return folder


@pytest.fixture(scope="module")
def deployed(memory: Path, originals: Path) -> Iterator[Deployed]:
    """A coordinator and two hospitals, running."""
    folder = memory / "network"
    folder.mkdir()
    with machines() as network:
        listeners = {each.name: Listener(each) for each in (network.dmz, network.clinic)}
        with network.server.entered():
            coordinator = Coordinator.make(folder / "coordinator", host=COORDINATOR)
        services = [coordinator.service]
        try:
            with network.server.entered():
                coordinator.start()
                (runtime,) = free_ports(1)
                split = Hospital.join(
                    originals / "north",
                    folder / "north",
                    coordinator,
                    seed=SEED,
                    runtime=f"{INNER}:{runtime}",
                )
                whole = Hospital.join(originals / "south", folder / "south", coordinator, seed=SEED)
            made = Deployed(
                network,
                coordinator,
                open_folder(coordinator.folder),
                split,
                whole,
                runtime,
                listeners,
            )
            assert split.supernode is not None
            split.supernode.environment = {"PYTHONPATH": str(SHORT_HEARTBEAT)}
            services[:0] = [split.service, split.supernode, whole.service]
            with listeners["dmz"], listeners["clinic"]:
                for machine, service in (
                    (network.dmz, split.supernode),
                    (network.clinic, split.service),
                    (network.other, whole.service),
                ):
                    with machine.entered():
                        service.start()
                wait_until(lambda: made.online() == 2, "The start", 180)
                yield made
            for service in services[:3]:
                if service.process is not None:
                    service.process.terminate()
            for service in services:
                service.stop()
        finally:
            for service in services:
                service.kill()


def wait_for_round(run: RunFolder, number: int) -> None:
    """Wait until a round has begun and the split hospital works on it."""

    def there() -> bool:
        now = state_of(run)
        assert now.get("phase") not in ("finished", "failed"), now
        return now.get("round", 0) >= number and "north" in (now.get("waiting_for") or [])

    wait_until(there, f"Round {number}", 180)


def finished(run: RunFolder) -> bool:
    """Whether a run has finished."""
    now = state_of(run)
    assert now.get("phase") != "failed", now
    return now.get("phase") == "finished"


def test_a_run_outlives_pulled_cables_and_no_machine_calls_another_than_its_neighbour(
    deployed: Deployed, originals: Path, tmp_path: Path
) -> None:
    network = deployed.network
    path = write_study(tmp_path / "cables.toml", **SETTINGS)
    for hospital in (deployed.split, deployed.whole):
        hospital.approve(path)
    with network.server.entered():
        run = deployed.coordinator.submit(path, "cables")

    wait_for_round(run, 1)
    with network.outer.pulled(network.server):
        time.sleep(3)
    wait_for_round(run, 2)
    with network.inner.pulled(network.dmz):
        time.sleep(3)
    wait_for_round(run, 3)
    with network.outer.pulled(network.server):
        wait_until(lambda: deployed.online() == 1, "The loss of the contact", 90)
    simulating = start(
        *("simulate", path, "--hospitals", originals, "--run", tmp_path / "run", "--seed", SEED),
        cwd=tmp_path,
    )
    wait_until(partial(finished, run), "The end of the run", 180)
    assert wait(simulating).code == 0
    assert sha256(run.model) == sha256(tmp_path / "run" / "model.safetensors")
    assert [line["failures"] for line in run.read_rounds()] == [{}] * 4

    assert deployed.heard["clinic"].calls == {Call("tcp", INNER, deployed.runtime)}
    assert deployed.heard["dmz"].calls == {Call("tcp", COORDINATOR, deployed.coordinator.port)}
    assert (network.clinic.without_route(), network.dmz.without_route()) == (0, 0)


def test_no_machine_listens_to_more_than_it_must(deployed: Deployed) -> None:
    network = deployed.network
    assert network.server.listening() == {("0.0.0.0", deployed.coordinator.port)}
    assert network.dmz.listening() == {(INNER, deployed.runtime)}
    assert network.clinic.listening() == set()
    with network.dmz.entered(), pytest.raises(ConnectionRefusedError):
        socket.create_connection((COORDINATOR, deployed.internal), timeout=2)
    with network.server.entered(), pytest.raises(ConnectionRefusedError):
        socket.create_connection((OUTER, deployed.runtime), timeout=2)


def registration() -> bytes:
    """A request to the Control API that lets an unknown node in."""
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return RegisterNodeRequest(public_key=pem, name="intruder").SerializeToString()


def test_the_proxy_lets_nobody_through_to_the_control_and_runtime_apis(deployed: Deployed) -> None:
    network, body, trusted = deployed.network, registration(), deployed.trusted
    before = known(deployed)
    tried = list(attempts(FORBIDDEN, body, deployed.internal))
    requests = [request for _, request in tried]

    def ask(request: bytes) -> bytes:
        with network.dmz.entered():
            return said((COORDINATOR, deployed.coordinator.port), trusted, request, 1.0)

    with ThreadPoolExecutor(16) as threads:
        answers = {tried[n][0]: answer for n, answer in enumerate(threads.map(ask, requests))}
    codes = {name: re.findall(rb"HTTP/\S+ (\d\d\d)", answer) for name, answer in answers.items()}

    assert {name: code for name, code in codes.items() if any(c < b"400" for c in code)} == {}
    assert known(deployed) == before
    # That it is the proxy that stood in the way:
    with network.server.entered():
        inside = ssl.create_default_context(cafile=str(deployed.coordinator.certificates))
        answer = said(("127.0.0.1", deployed.internal), inside, post(FORBIDDEN, body), 5.0)
    assert answer.startswith(b"HTTP/1.1 200")
    assert known(deployed) > before


def known(deployed: Deployed) -> int:
    """How many nodes the SuperLink knows."""
    with deployed.network.server.entered():
        return len(nodes_if_running(deployed.folder) or ())
