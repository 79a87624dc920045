"""Whether a coordinator knows a site's key, and signing off what a crash left there.

Uses Flower's internals, like the SuperNode's launcher, and is covered by the same contract test.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.service.trouble import unreachable

ACTIVATE, DEACTIVATE = "/v1/fleet/activate-node", "/v1/fleet/deactivate-node"

CLOCK = (
    "the coordinator does not accept this site's signature. Do both clocks show the same time? "
    "5 minutes are allowed"
)
UNKNOWN = (
    "the coordinator does not know this site's key. Send it the file node.pub, and have it enrolled"
)


@dataclass(frozen=True)
class Enrolment:
    """What a coordinator says of a site's key.

    Attributes:
        known: it is enrolled.
        problem: why it is not, or could not be asked.
    """

    known: bool
    problem: str = ""


def ask_enrolment(server: str, certificates: Path | None, node_key: Path) -> Enrolment:
    """Ask a coordinator whether it knows a site's key, without disturbing a SuperNode that runs with it."""
    import httpx
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key
    from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes
    from flwr.supernode.fleet_http_client import FleetHttpClient
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

    private: Any = load_ssh_private_key(node_key.read_bytes(), None)
    interceptors: list[Any] = [
        RuntimeVersionHttpInterceptor(component_name="SuperNode"),
        NodeAuthHttpInterceptor(private, private.public_key()),
    ]
    authority = None if certificates is None else str(certificates)
    with FleetHttpClient.from_server_address(server, False, authority, interceptors) as client:
        try:
            return ask(client._unary_unary, public_key_to_bytes(private.public_key()))
        except httpx.TransportError as error:
            return Enrolment(False, unreachable(error))


def ask(call: Any, key: bytes) -> Enrolment:
    """Ask for an activation with an impossible heartbeat: the key is looked up first, and nothing is changed."""
    import httpx
    from flwr.proto.fleet_pb2 import ActivateNodeRequest, ActivateNodeResponse
    from flwr.supercore.error import ApiErrorCode, FlowerError

    request = ActivateNodeRequest(public_key=key, heartbeat_interval=0.0)
    try:
        call(
            path=ACTIVATE,
            rpc_method="/flwr.proto.Fleet/ActivateNode",
            request=request,
            response_type=ActivateNodeResponse,
        )
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.UNAUTHORIZED:
            return Enrolment(False, CLOCK)
        told = FlowerError.from_json(error.response.text)
        if told is not None and told.code == ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL:
            return Enrolment(True)
        if told is not None and told.code == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
            return Enrolment(False, UNKNOWN)
        return Enrolment(
            False, f"the coordinator answers with an error (HTTP {error.response.status_code})"
        )
    return Enrolment(True)


def sign_off(call: Any, node_file: Path) -> bool:
    """Tell the coordinator that the SuperNode that crashed is gone."""
    import httpx
    from flwr.proto.fleet_pb2 import DeactivateNodeRequest, DeactivateNodeResponse

    node = _last_node(node_file)
    if node:
        with suppress(httpx.HTTPError):
            call(
                path=DEACTIVATE,
                rpc_method="/flwr.proto.Fleet/DeactivateNode",
                request=DeactivateNodeRequest(node_id=node),
                response_type=DeactivateNodeResponse,
            )
    return bool(node)


def _last_node(node_file: Path) -> int:
    try:
        return int(node_file.read_text())
    except (OSError, ValueError):
        return 0
