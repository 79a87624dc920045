"""Garbage on every port that a deployment opens: afterwards all is as it was."""

from __future__ import annotations

import os
import ssl
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomli_w
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.auth import create_superexec_auth_metadata, derive_auth_secret
from flwr.supercore.constant import TASK_TOKEN_HEADER, TaskType
from flwr.supercore.protobuf.client import ProtobufRequestContext
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from garbage import Door, Lurkers, Request, knock
from tiny_hospitals import NAMES, SECRET_WORD, tiny_study

from client.control.tls import client_files
from client.service.link import LINK_HEADER, LINK_PATH, link_key
from client.site_folder import SiteFolder
from server.deployment.folder import open_folder
from simulations.rehearsal.coordinator import Coordinator
from simulations.rehearsal.federation import Federation
from simulations.rehearsal.hospital import Hospital
from simulations.rehearsal.processes import call, free_ports, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.deployment]

SECONDS = float(os.environ.get("CONSILIUM_FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("CONSILIUM_FUZZ_SEED", "1"))
MEGABYTE = 1 << 20
FLEET = (
    *("register-node", "activate-node", "deactivate-node", "unregister-node", "get-run", "get-fab"),
    *("send-node-heartbeat", "pull-messages", "push-messages", "pull-object", "push-object"),
    "confirm-message-received",
)
RUNTIME = (
    *("acquire-task", "send-task-heartbeat", "pull-task-input", "push-task-output"),
    *("pull-messages", "push-messages", "pull-object", "push-object", "confirm-message-received"),
)
PROTOBUF = {"Content-Type": "application/protobuf", "Accept": "application/protobuf"}
VERSION = dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata())


@dataclass
class Opened:
    """A federation that shows every port it can.

    Attributes:
        federation: two hospitals, one of which uses TLS inside, too.
        doors: the ports.
        pages: URLs of the metrics pages.
    """

    federation: Federation
    doors: list[Door]
    pages: list[str]

    @property
    def folders(self) -> list[Path]:
        """Of everybody."""
        sites = self.federation.hospitals.values()
        return [self.federation.coordinator.folder, *(each.folder.path for each in sites)]

    def processes(self) -> dict[int, str]:
        """Every process of the deployment, with its command line."""
        services = [self.federation.coordinator.service]
        services += [each.service for each in self.federation.hospitals.values()]
        found = [pid for service in services for pid in service.parts()]
        return {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in found}


@pytest.fixture(scope="module")
def opened(memory: Path, hospitals: Path) -> Iterator[Opened]:
    """A coordinator and two hospitals, running."""
    folder = memory / "ports"
    folder.mkdir()
    metrics = [f"127.0.0.1:{port}" for port in free_ports(3)]
    coordinator = Coordinator.make(folder / "coordinator")
    coordinator.service.arguments = [*coordinator.service.arguments, "--metrics", metrics[0]]
    federation = Federation(folder, coordinator, {})
    try:
        coordinator.start()
        for name in NAMES[:2]:
            joined = Hospital.join(hospitals / name, folder / name, coordinator, seed=SEED)
            federation.hospitals[name] = joined
        plain, secure = federation.hospitals.values()
        control = f"127.0.0.1:{free_ports(1)[0]}"
        change(plain.folder, lambda all: all["service"].update(metrics=metrics[1]))
        change(
            secure.folder, lambda all: all["service"].update(metrics=metrics[2], control=control)
        )
        authority = ".consilium/tls/ca.crt"
        change(secure.folder, lambda all: all["connection"].update(runtime_certificates=authority))
        federation.start()
        for each in federation.hospitals.values():
            wait_until(partial(healthy, each), "The start of the agent", 180)
        yield Opened(
            federation,
            [*coordinators_doors(coordinator, metrics[0], plain.folder)]
            + [
                runtime(plain.folder, None),
                runtime(secure.folder, trusting(secure.folder.tls / "ca.crt")),
            ]
            + [Door("control socket", str(plain.folder.control_socket))]
            + [Door("control port", address(control), mutual(secure.folder))]
            + [Door("control port, no certificate", address(control), nobody(secure.folder))]
            + [page(f"site {number}", at) for number, at in enumerate(metrics[1:], 1)],
            [f"http://{each}/metrics" for each in metrics],
        )
        federation.stop()
    finally:
        federation.kill()


def healthy(hospital: Hospital) -> bool:
    """Whether a site says that it can make progress."""
    return bool(call("site", "health", hospital.folder.path))


def change(site: SiteFolder, how: Callable[[dict[str, Any]], None]) -> None:
    """Change a site.toml."""
    path = site.path / "site.toml"
    content = tomllib.loads(path.read_text())
    how(content)
    path.write_text(tomli_w.dumps(content))


def address(text: str) -> tuple[str, int]:
    """Split host:port."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def trusting(authority: Path) -> ssl.SSLContext:
    """What a caller with the right authority has."""
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    return context


def mutual(site: SiteFolder) -> ssl.SSLContext:
    """What the site's own command line has."""
    key, certificate, authority = client_files(site.tls)
    context = trusting(authority)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    return context


def nobody(site: SiteFolder) -> ssl.SSLContext:
    """The same without a certificate to show."""
    context = trusting(site.tls / "ca.crt")
    context.set_alpn_protocols(["h2"])
    return context


def page(name: str, at: str) -> Door:
    """A metrics page."""
    requests = (Request("GET", "/metrics"), Request("GET", "/health"), Request("POST", "/metrics"))
    return Door(f"metrics of {name}", address(at), requests=requests)


def coordinators_doors(coordinator: Coordinator, metrics: str, site: SiteFolder) -> Iterator[Door]:
    """The proxy, which is called with the key of an enrolled site, the SuperLink and the metrics page."""
    key: Any = load_ssh_private_key(site.node_key.read_bytes(), None)
    signing = NodeAuthHttpInterceptor(key, key.public_key())
    body = PullMessagesRequest(node=Node(node_id=12345)).SerializeToString()
    headers = partial(signed, signing)
    fleet = [Request("POST", f"/v1/fleet/{name}", headers, body) for name in FLEET]
    trusted = trusting(coordinator.certificates)
    unsigned = [Request("POST", f"/v1/fleet/{name}", PROTOBUF.copy, body) for name in FLEET[-3:]]
    yield Door("proxy", ("127.0.0.1", coordinator.port), trusted, [*fleet, *unsigned])
    internal = open_folder(coordinator.folder).settings().superlink.port
    others = [
        Request("POST", f"/v1/{path}", lambda: {**PROTOBUF, **VERSION}, body)
        for path in ("control/list-nodes", "control/show-federation", "runtime/acquire-task")
    ]
    yield Door("superlink", ("127.0.0.1", internal), trusted, [*fleet, *others])
    yield page("the coordinator", metrics)


def signed(signing: NodeAuthHttpInterceptor) -> dict[str, str]:
    """Headers of a call that an enrolled site makes now."""
    request = httpx.Request("POST", "https://localhost", headers={**PROTOBUF, **VERSION})
    context = ProtobufRequestContext("", PullMessagesRequest(), request)
    signing.intercept(context, lambda _: httpx.Response(200))
    return {name: value for name, value in request.headers.items() if name != "host"}


def runtime(site: SiteFolder, tls: ssl.SSLContext | None) -> Door:
    """A SuperNode's runtime API, called by somebody who knows the secret."""
    told = tomllib.loads((site.path / "site.toml").read_text())["connection"]["runtime"]
    secret = site.superexec_secret.read_bytes()
    take = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])

    def allowed() -> dict[str, str]:
        return {**PROTOBUF, **VERSION, TASK_TOKEN_HEADER: "0" * 32} | dict(
            create_superexec_auth_metadata(
                auth_secret=derive_auth_secret(secret),
                method="/flwr.proto.Runtime/AcquireTask",
                request=take,
            )
        )

    calls = [
        Request("POST", f"/v1/runtime/{name}", allowed, take.SerializeToString())
        for name in RUNTIME
    ]
    link = Request("GET", LINK_PATH, lambda: {LINK_HEADER: link_key(secret)})
    wrong = Request("GET", LINK_PATH, lambda: {LINK_HEADER: "\xe9" * 64})
    return Door(f"runtime {'TLS' if tls else 'plain'}", address(told), tls, [*calls, link, wrong])


def memory_of(pid: int) -> int:
    """Bytes in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def files_of(pid: int) -> int:
    """How many files and connections a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def left_open(
    names: dict[int, str], files: dict[int, int], seconds: float
) -> dict[str, Counter[str]]:
    """Return what processes hold open that they did not before; they may take some time to let go."""
    end = time.monotonic() + seconds
    while True:
        more = [pid for pid, count in files.items() if files_of(pid) > count + 8]
        if not more or time.monotonic() > end:
            return {names[pid]: kinds_of(pid) for pid in more}
        time.sleep(0.2)


def kinds_of(pid: int) -> Counter[str]:
    """What kinds of files a process has open."""
    links = (os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir())
    return Counter(link.partition(":")[0] for link in links)


def test_garbage_leaves_everything_as_it_was(opened: Opened) -> None:
    federation = opened.federation
    knock(opened.doors, 1.5, SEED + 1000)  # what is loaded at first use is loaded
    before = opened.processes()
    held = {pid: (memory_of(pid), files_of(pid)) for pid in before}

    with Lurkers(opened.doors):
        counts = knock(opened.doors, SECONDS, SEED)
        everybody_answers(opened)

    assert min(counts.values()) > 0, counts
    after = opened.processes()
    assert {pid: name for pid, name in before.items() if pid not in after} == {}
    assert left_open(before, {pid: files for pid, (_, files) in held.items()}, 35) == {}
    grown = {before[pid]: memory_of(pid) - memory for pid, (memory, _) in held.items()}
    assert {name: size for name, size in grown.items() if size > 50 * MEGABYTE} == {}
    everybody_answers(opened)
    assert tracebacks(opened) == {}

    study = tiny_study(study={"name": "after"}, federation={"rounds": 1, "min_sites": 2})
    run = federation.coordinator.submit(federation.approve(study), "after")
    federation.follow(run, 180)
    assert [line["failures"] for line in run.read_rounds()] == [{}]


def everybody_answers(opened: Opened) -> None:
    """Check that every service answers whoever may ask, and is well."""
    assert opened.federation.coordinator.online() == set(NAMES[:2])
    for hospital in opened.federation.hospitals.values():
        assert healthy(hospital)
    for url in opened.pages:
        assert httpx.get(url, timeout=5.0).status_code == 200
    health = opened.pages[0].replace("/metrics", "/health")
    wait_until(lambda: httpx.get(health, timeout=5.0).status_code == 200, "The server's health", 20)


def tracebacks(opened: Opened) -> dict[str, str]:
    """Return the ends of logs that hold a traceback, or a patient."""
    logs = [path for folder in opened.folders for path in folder.rglob("*.log")]
    texts = {path: path.read_text(errors="replace") for path in logs}
    return {
        "/".join(path.parts[-3:]): text[max(0, text.find("Traceback") - 500) :][:3000]
        for path, text in texts.items()
        if "Traceback" in text or SECRET_WORD in text
    }
