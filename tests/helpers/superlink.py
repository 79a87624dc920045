"""A real SuperLink with TLS and node authentication on loopback, and hospitals that know it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.certificates import Pair, issue, make_authority
from common.flower_env import flower_environment


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody serves at a port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class SuperLink:
    """A coordinator's SuperLink.

    Attributes:
        folder: its files.
        port: of all its APIs.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def authority(self) -> Pair:
        """Who signed its certificate."""
        return Pair(self.folder / "ca.crt", self.folder / "ca.key")

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def certify(self, *hosts: str, days: int = 30) -> None:
        """Make its certificate."""
        if not self.authority.key.exists():
            make_authority(self.authority, "test authority")
        server = Pair(self.folder / "server.crt", self.folder / "server.key")
        issue(server, self.authority, "test server", hosts or ("127.0.0.1",), days=days)

    def start(self) -> None:
        """Start it, or start it again on the same database."""
        command = [str(Path(sys.executable).with_name("flower-superlink"))]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--isolation", "process"]
        command += ["--ssl-certfile", "server.crt", "--ssl-keyfile", "server.key"]
        command += ["--ssl-ca-certfile", "ca.crt", "--enable-supernode-auth"]
        command += ["--database", "superlink.db", "--disable-runtime-dependency-installation"]
        log = (self.folder / "superlink.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**flower_environment(self.folder / "flower"), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
            )
        until(lambda: listens(self.port))

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def enrol(self, public_key: Path) -> int:
        """Register a site's key, as a coordinator does; returns the node's id."""
        from flwr.proto.control_pb2 import RegisterNodeRequest, RegisterNodeResponse

        request = RegisterNodeRequest(public_key=_pem(public_key))
        answer = self.call("register-node", "RegisterNode", request, RegisterNodeResponse)
        return int(answer.node_id)

    def online(self) -> set[int]:
        """The ids of the nodes that are there."""
        from flwr.proto.control_pb2 import ListNodesRequest, ListNodesResponse

        answer = self.call("list-nodes", "ListNodes", ListNodesRequest(), ListNodesResponse)
        return {int(node.node_id) for node in answer.nodes_info if node.status == "online"}

    def call(self, path: str, method: str, request: Any, answer: Any) -> Any:
        """Call the Control API."""
        from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
        from flwr.supercore.protobuf.client import ProtobufClient

        with ProtobufClient.from_server_address(
            self.address,
            False,
            str(self.authority.certificate),
            [RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
        ) as client:
            return client._unary_unary(
                path=f"/v1/control/{path}",
                rpc_method=f"/flwr.proto.Control/{method}",
                request=request,
                response_type=answer,
            )


def _pem(public_key: Path) -> bytes:
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    key: Any = load_ssh_public_key(public_key.read_bytes())
    return bytes(public_key_to_bytes(key))


@contextmanager
def superlink(folder: Path) -> Iterator[SuperLink]:
    """Run a SuperLink."""
    folder.mkdir(exist_ok=True)
    link = SuperLink(folder)
    link.certify()
    link.start()
    try:
        yield link
    finally:
        link.stop()


@contextmanager
def launched(
    site: Path, log: Path, connection: str = "default"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the launcher of a site's SuperNode."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "client.service.supernode",
                str(site),
                "--connection",
                connection,
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
