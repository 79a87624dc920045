"""How a site's SuperNode calls its coordinator: what is noted, what is tried again, and whether the key is enrolled.

Part of the SuperNode's launcher: it uses Flower's internals and is covered by the same contract test.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.service.link import ContactLog
from common.files import write_atomically

ACTIVATE, DEACTIVATE = "/v1/fleet/activate-node", "/v1/fleet/deactivate-node"
PUSH_OBJECT = "/v1/fleet/push-object"
PULL_MESSAGES = "/v1/fleet/pull-messages"
SERVER_ERRORS_FOR = 300.0
"""Seconds that errors of the server are met by trying again; a reply that it cannot store is then given up."""

CLOCK = (
    "the coordinator does not accept this site's signature. Do both clocks show the same time? "
    "5 minutes are allowed"
)
UNKNOWN = (
    "the coordinator does not know this site's key. Send it the file node.pub, and have it enrolled"
)
STILL_THERE = (
    "the coordinator still counts this site's last SuperNode as running; that ends within a minute"
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


def watched_client(contacts: ContactLog, node_file: Path) -> type[Any]:
    """Return Flower's client of the Fleet API, changed to note every call and to leave trying again to its caller.

    Args:
        contacts: where calls are noted.
        node_file: keeps the node's id, to sign it off after a crash.
    """
    import httpx
    from flwr.supernode.fleet_http_client import FleetHttpClient

    class WatchedClient(FleetHttpClient):
        _failing_since: float | None = None

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._doubtful: set[tuple[str, str]] = set()
            self._missed = False

        def _unary_unary(self, *, path: str, **call: Any) -> Any:
            if path == PULL_MESSAGES:
                contacts.asks()
                if self._missed:
                    self._connect_anew(call["request"].node)
            try:
                answer = super()._unary_unary(path=path, **call)
            except httpx.TransportError as error:
                problem = _unreachable(error)
                asked = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            except httpx.HTTPStatusError as error:
                problem = self._refusal(path, call, error)
                asked = True
            else:
                self._failing_since = None
                self._settle_doubt(path, call["request"], answer)
                contacts.reached(node=_note(node_file, path, call["request"], answer))
                return answer
            contacts.failed(problem)
            self._missed = self._missed or (asked and path == PULL_MESSAGES)
            if path == PUSH_OBJECT:
                self._doubtful.add((call["request"].session_id, call["request"].object_id))
            # Flower tries again after this error, as often as needed, and gives up when a text speaks of TLS.
            raise httpx.ConnectError("the coordinator is not in reach") from None

        def _connect_anew(self, node: Any) -> None:
            """Sign off and on: a message may have been lost with an answer, and the SuperLink hands none out twice.

            The coordinator asks whoever connects anew once more; a site that has answered sends the same bytes.
            """
            from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL
            from flwr.proto.fleet_pb2 import DeactivateNodeRequest
            from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest

            with suppress(httpx.HTTPStatusError):  # signed off already
                self.DeactivateNode(DeactivateNodeRequest(node_id=node.node_id))
            beat = SendNodeHeartbeatRequest(
                node=node, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
            )
            self.SendNodeHeartbeat(beat)
            self._missed = False

        def _settle_doubt(self, path: str, request: Any, answer: Any) -> None:
            """A part of a reply that arrived is refused when it comes again, because its answer was lost on the way."""
            if path == PUSH_OBJECT and (request.session_id, request.object_id) in self._doubtful:
                self._doubtful.discard((request.session_id, request.object_id))
                answer.stored = True

        def _refusal(self, path: str, call: Any, error: httpx.HTTPStatusError) -> str:
            status = error.response.status_code
            if path == ACTIVATE:
                return self._why_not_active(call["request"].public_key, status)
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if status < 500 or now - self._failing_since > SERVER_ERRORS_FOR:
                raise error
            return f"the coordinator answers with an error (HTTP {status})"

        def _why_not_active(self, key: bytes, status: int) -> str:
            """Explain a refused activation, and sign off what a crash left behind."""
            with suppress(httpx.HTTPError):
                enrolment = _ask(super()._unary_unary, key)
                if enrolment.known and _sign_off(super()._unary_unary, node_file):
                    return STILL_THERE
                return STILL_THERE if enrolment.known else enrolment.problem
            return f"the coordinator answers with an error (HTTP {status})"

    return WatchedClient


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
            return _ask(client._unary_unary, public_key_to_bytes(private.public_key()))
        except httpx.TransportError as error:
            return Enrolment(False, _unreachable(error))


def _ask(call: Any, key: bytes) -> Enrolment:
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


def _sign_off(call: Any, node_file: Path) -> bool:
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


def _note(node_file: Path, path: str, request: Any, answer: Any) -> int:
    """Keep the node's id after an activation, and return it."""
    if path != ACTIVATE:
        return 0
    with suppress(
        Exception
    ):  # only speeds up the start after a crash; a full disk must not stop it
        write_atomically(node_file, str(answer.node_id))
    return int(answer.node_id)


def _unreachable(error: Exception) -> str:
    """Say why there is no connection, without addresses or paths."""
    text = str(error).lower()
    for word, meaning in _MEANINGS.items():
        if word in text:
            return meaning
    return "the coordinator is not in reach; tried again every few seconds"


_STRANGER = "the coordinator's certificate was signed by an authority that this site does not know"
_MEANINGS = {
    "certificate has expired": "the coordinator's certificate has expired. It must renew it",
    "not yet valid": "the coordinator's certificate is not valid yet. Is this machine's clock right?",
    "mismatch": "the coordinator's certificate is for another host name",
    "self-signed": _STRANGER,
    "self signed": _STRANGER,
    "unable to get local issuer": _STRANGER,
    "certificate verify failed": "the coordinator's certificate is not accepted",
    "name or service not known": "the coordinator's host name is not known here (DNS)",
    "temporary failure in name resolution": "the name server does not answer (DNS)",
    "refused": "nothing listens at the coordinator's address",
    "timed out": "the coordinator does not answer in time. Does a firewall stand between?",
    "wrong version number": "what listens at the coordinator's address does not speak TLS",
}
