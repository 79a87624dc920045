"""Flower's client of the Fleet API, changed to note every call and to leave trying again to its caller.

Part of the SuperNode's launcher: it uses Flower's internals and is covered by the same contract test.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.supernode.fleet_http_client import FleetHttpClient

from client.service.enrolment import ACTIVATE, ask, sign_off
from client.service.link import ContactLog
from client.service.trouble import unreachable
from common.files import write_atomically

PUSH_OBJECT = "/v1/fleet/push-object"
PULL_MESSAGES = "/v1/fleet/pull-messages"
SERVER_ERRORS_FOR = 300.0
"""Seconds that errors of the server are met by trying again; a reply that it cannot store is then given up."""

STILL_THERE = (
    "the coordinator still counts this site's last SuperNode as running; that ends within a minute"
)


class WatchedClient(FleetHttpClient):
    """The client; `client.service.fleet.watched_client` makes it complete.

    Attributes:
        contacts: where calls are noted.
        node_file: keeps the node's id, to sign it off after a crash.
    """

    contacts: ContactLog
    node_file: Path
    _failing_since: float | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._doubtful: set[tuple[str, str]] = set()
        self._missed = False
        self._client.event_hooks = {"response": [self._hear_time]}

    def _hear_time(self, response: httpx.Response) -> None:
        self.contacts.hears_time(response.headers.get("date"))

    def _unary_unary(self, *, path: str, **call: Any) -> Any:
        if path == PULL_MESSAGES:
            self.contacts.asks()
            if self._missed:
                self._connect_anew(call["request"].node)
        try:
            answer = super()._unary_unary(path=path, **call)
        except httpx.TransportError as error:
            problem = unreachable(error)
            asked = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        except httpx.HTTPStatusError as error:
            problem = self._refusal(path, call, error)
            asked = True
        else:
            self._failing_since = None
            self._settle_doubt(path, call["request"], answer)
            self.contacts.reached(node=_note(self.node_file, path, call["request"], answer))
            return answer
        self.contacts.failed(problem)
        self._missed = self._missed or (asked and path == PULL_MESSAGES)
        if path == PUSH_OBJECT:
            self._doubtful.add((call["request"].session_id, call["request"].object_id))
        # Flower tries again after this error, as often as needed, and gives up when a text speaks of TLS.
        raise httpx.ConnectError("the coordinator is not in reach") from None

    def _connect_anew(self, node: Any) -> None:
        """Sign off and on: a message may have been lost with an answer, and the SuperLink hands none out twice.

        The coordinator asks whoever connects anew once more; a site that has answered sends the same bytes.
        """
        with suppress(httpx.HTTPStatusError):  # signed off already
            self.DeactivateNode(DeactivateNodeRequest(node_id=node.node_id))
        beat = SendNodeHeartbeatRequest(node=node, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
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
            enrolment = ask(super()._unary_unary, key)
            if enrolment.known and sign_off(super()._unary_unary, self.node_file):
                return STILL_THERE
            return STILL_THERE if enrolment.known else enrolment.problem
        return f"the coordinator answers with an error (HTTP {status})"


def _note(node_file: Path, path: str, request: Any, answer: Any) -> int:
    """Keep the node's id after an activation, and return it."""
    if path != ACTIVATE:
        return 0
    with suppress(
        Exception
    ):  # only speeds up the start after a crash; a full disk must not stop it
        write_atomically(node_file, str(answer.node_id))
    return int(answer.node_id)
