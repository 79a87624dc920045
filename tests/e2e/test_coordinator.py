"""A coordinator's real processes: who gets in, what the proxy lets through, what survives, what ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from processes import Ended, run_forked, start, wait, wait_until

from common.keys import fingerprint, make_node_key, read_node_key
from server.deployment.locks import held
from server.deployment.pulse import EVERY

pytestmark = [pytest.mark.slow, pytest.mark.deployment]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Coordinator:
    """A coordinator whose server runs."""

    def __init__(self, base: Path) -> None:
        self.path = base / "coordinator"
        self.base = base
        self.port, self.internal, metrics = free_ports(3)
        self.metrics = f"127.0.0.1:{metrics}"
        address = f"localhost:{self.port}"
        listen = f"127.0.0.1:{self.port}"
        made = self.server(
            "init", "--name", "demo", "--address", address, "--listen", listen,
            "--internal-port", self.internal, "--yes",
        )  # fmt: skip
        assert made.code == 0, made.text
        self.init_text = made.text
        self.process = start("server", "start", self.path, "--metrics", self.metrics, cwd=base)
        try:
            wait_until(self.healthy, timeout=30)
        except BaseException:
            self.process.kill()
            raise

    def server(self, command: str, *arguments: object) -> Ended:
        """Run one of the coordinator's commands."""
        return run_forked("server", command, self.path, *arguments, cwd=self.base)

    def submit(self, study: str, *arguments: object) -> Ended:
        """Submit a study."""
        return run_forked("server", "submit", study, self.path, *arguments, cwd=self.base)

    def healthy(self) -> bool:
        """Whether the health page says so."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://{self.metrics}/health").status_code == 200
        return False

    def figure(self, name: str) -> float:
        """One figure of the metrics page."""
        page = httpx.get(f"http://{self.metrics}/metrics").text
        return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))

    def outside(self) -> httpx.Client:
        """A client that trusts what hospitals trust."""
        context = ssl.create_default_context(cafile=str(self.path / "tls" / "ca.crt"))
        return httpx.Client(base_url=f"https://localhost:{self.port}", verify=context)

    def connect(self, key: Path) -> int:
        """Do what a site's SuperNode does first, and return Flower's id of the node."""
        private = serialization.load_ssh_private_key(key.read_bytes(), None)
        signing = NodeAuthHttpInterceptor(private, private.public_key())
        context = ssl.create_default_context(cafile=str(self.path / "tls" / "ca.crt"))
        client = FleetHttpClient(
            f"https://localhost:{self.port}", interceptors=[signing], verify=context
        )
        pem = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            request = ActivateNodeRequest(public_key=pem, heartbeat_interval=30.0)
            return client.ActivateNode(request).node_id
        finally:
            client.close()

    def pid(self, program: str) -> int:
        """The process of one of the programs."""
        listed = subprocess.run(
            ["pgrep", "--full", f"{program}.*{self.path}"], capture_output=True, text=True
        )
        return int(listed.stdout.split()[0])

    def left(self) -> str:
        """What still runs of it."""
        return subprocess.run(
            ["pgrep", "--full", "--list-full", f"{self.path}|127.0.0.1:{self.internal}"],
            capture_output=True,
            text=True,
        ).stdout


@pytest.fixture(scope="module")
def coordinator(memory: Path) -> Iterator[Coordinator]:
    """One coordinator for all tests, which run in the order of the file."""
    base = memory / "deployed"
    base.mkdir()
    running = Coordinator(base)
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.communicate(timeout=40)


@pytest.fixture(scope="module")
def keys(memory: Path) -> list[Path]:
    """Node keys of three hospitals."""
    made = [memory / f"hospital-{number}" for number in (1, 2, 3)]
    for key in made:
        make_node_key(key, key.with_suffix(".pub"), key.name)
    return made


def test_init_tells_what_hospitals_and_firewalls_need(coordinator: Coordinator) -> None:
    assert f"localhost:{coordinator.port}" in coordinator.init_text
    assert "ca.crt" in coordinator.init_text
    assert "outgoing TCP" in coordinator.init_text


def test_a_second_start_is_refused(coordinator: Coordinator) -> None:
    again = coordinator.server("start")
    assert again.code == 7
    assert "runs already" in again.text


def test_keys_are_enrolled_after_a_comparison(coordinator: Coordinator, keys: list[Path]) -> None:
    first, second, _ = keys
    public = read_node_key(first.with_suffix(".pub").read_text(), where="test")
    wrong = coordinator.server(
        "enrol", first.with_suffix(".pub"), "--name", "hospital-1", "--fingerprint", "SHA256:wrong"
    )
    assert wrong.code == 2
    right = coordinator.server(
        "enrol", first.with_suffix(".pub"), "--name", "hospital-1",
        "--fingerprint", fingerprint(public),
    )  # fmt: skip
    assert right.code == 0, right.text
    assert coordinator.server(
        "enrol", second.with_suffix(".pub"), "--name", "hospital-2", "--yes"
    ).code == 0  # fmt: skip
    twice = coordinator.server("enrol", first.with_suffix(".pub"), "--name", "hospital-9", "--yes")
    assert twice.code == 2
    assert "enrolled already, as 'hospital-1'" in twice.text
    listed = json.loads(coordinator.server("sites", "--json").text)
    assert [(site["name"], site["standing"]) for site in listed] == [
        ("hospital-1", "never"),
        ("hospital-2", "never"),
    ]


def test_enrolled_sites_connect_and_others_do_not(
    coordinator: Coordinator, keys: list[Path]
) -> None:
    node = coordinator.connect(keys[0])
    known = json.loads((coordinator.path / "sites.json").read_text())
    assert known["hospital-1"]["node"] == node
    with pytest.raises(httpx.HTTPStatusError):
        coordinator.connect(keys[2])
    listed = json.loads(coordinator.server("sites", "--json").text)
    assert [site["standing"] for site in listed] == ["online", "never"]
    wait_until(lambda: coordinator.figure("consilium_sites_online") == 1)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/control/list-runs",
        "/v1/control/register-node",
        "/v1/runtime/acquire-task",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "/v1/fleet/%2e%2e%2fcontrol%2flist-runs",
        "/docs",
        "/openapi.json",
    ],
)
def test_the_proxy_hides_all_but_the_fleet_api(coordinator: Coordinator, path: str) -> None:
    with coordinator.outside() as client:
        answer = client.post(
            httpx.URL(f"https://localhost:{coordinator.port}", raw_path=path.encode())
        )
        assert (answer.status_code, answer.content) == (404, b"")


def test_the_proxy_lets_only_signed_calls_of_a_bearable_size_in(coordinator: Coordinator) -> None:
    with coordinator.outside() as client:
        assert client.get("/v1/fleet/pull-messages").status_code == 404
        kind = {"content-type": "application/protobuf", "accept": "application/protobuf"}
        unsigned = client.post("/v1/fleet/pull-messages", headers=kind)
        assert unsigned.status_code == 401
        large = client.post("/v1/fleet/push-object", content=bytes(33 << 20), headers=kind)
        assert (large.status_code, large.content) == (413, b"")


def test_a_renewed_certificate_is_shown_at_once(coordinator: Coordinator) -> None:
    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", coordinator.port))

    before = shown()
    renewed = coordinator.server("renew")
    assert "the running proxy uses it" in renewed.text
    wait_until(lambda: shown() != before, timeout=10)


def test_a_run_survives_its_serverapp_and_is_stopped(coordinator: Coordinator) -> None:
    submitted = coordinator.submit("heart", "--run", "first", "--json")
    assert submitted.code == 0, submitted.text
    assert len(json.loads(submitted.text)["bundle"]) == 64
    assert coordinator.submit("heart", "--run", "first").code == 7
    wait_until(lambda: coordinator.figure('consilium_runs{standing="running"}') == 1)
    lock = coordinator.path / "runs" / "first" / ".lock"
    wait_until(lambda: held(lock) is True, timeout=30)
    time.sleep(2 * EVERY)  # the server looks, too
    os.kill(coordinator.pid("flower-superexec"), signal.SIGKILL)
    wait_until(lambda: not held(lock))
    wait_until(lambda: held(lock) is True, timeout=30)
    kept = json.loads((lock.parent / "flower.json").read_text())
    assert len(kept["flower"]) == 2
    assert coordinator.server("stop", "first").code == 0
    wait_until(lambda: not held(lock))
    listed = json.loads(coordinator.server("runs", "--json").text)
    assert [(run["name"], run["standing"]) for run in listed] == [("first", "stopped")]
    assert coordinator.server("fetch", "first", coordinator.base / "results").code == 7
    assert coordinator.server("watch", "first").code == 130


def test_a_killed_superlink_is_started_again(coordinator: Coordinator) -> None:
    os.kill(coordinator.pid("server.deployment.superlink"), signal.SIGKILL)
    wait_until(lambda: coordinator.figure('consilium_program_restarts{program="superlink"}') == 1)
    wait_until(coordinator.healthy, timeout=30)
    assert len(json.loads(coordinator.server("sites", "--json").text)) == 2


def test_killed_proxies_are_started_again(coordinator: Coordinator) -> None:
    os.kill(coordinator.pid("nginx"), signal.SIGKILL)
    wait_until(lambda: coordinator.figure('consilium_program_restarts{program="proxy"}') == 1)
    wait_until(coordinator.healthy, timeout=30)
    assert len(json.loads(coordinator.server("sites", "--json").text)) == 2


def test_a_removed_site_is_shut_out(coordinator: Coordinator, keys: list[Path]) -> None:
    assert coordinator.server("enrol", "--remove", "hospital-2").code == 0
    with pytest.raises(httpx.HTTPStatusError):
        coordinator.connect(keys[1])
    again = coordinator.server(
        "enrol", keys[1].with_suffix(".pub"), "--name", "hospital-2", "--yes"
    )
    assert again.code == 2
    assert "for good" in again.text


def test_sigterm_ends_everything(coordinator: Coordinator) -> None:
    coordinator.process.terminate()
    ended = wait(coordinator.process, timeout=40)
    assert ended.code == 0, ended.text
    assert coordinator.left() == ""
    down = coordinator.submit("heart", "--run", "second")
    assert down.code == 7
    assert not (coordinator.path / "runs" / "second").exists()
