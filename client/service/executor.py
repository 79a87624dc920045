"""The adapter to Flower: takes tasks from a SuperNode's runtime API and brings replies back.

This is the only module of the agent that knows Flower's internals; a contract test checks each and says what broke.
Nothing of a bundle is unpacked, imported or executed here: it is a string of bytes for others to judge. All that
is read is bounded before it is held.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message.message import remove_content_from_message
from flwr.common.constant import SubStatus
from flwr.common.serde import context_from_proto, message_from_proto, message_to_proto
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ConfirmMessageReceivedResponse,
    ObjectTree,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    AcquireTaskResponse,
    PullAppMessagesRequest,
    PullAppMessagesResponse,
    PullTaskInputRequest,
    PullTaskInputResponse,
    PushAppMessagesRequest,
    PushAppMessagesResponse,
    PushTaskOutputRequest,
    PushTaskOutputResponse,
    SendTaskHeartbeatRequest,
    SendTaskHeartbeatResponse,
)
from flwr.supercore.auth import create_superexec_auth_metadata, derive_auth_secret
from flwr.supercore.constant import TASK_TOKEN_HEADER, TaskType
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata

from client.service.link import BEGIN_PATH, LINK_HEADER, LINK_PATH, link_key
from client.site import Connection
from common.bundle import LARGEST as LARGEST_BUNDLE
from common.errors import MachineError, PolicyError

SMALL = 4 << 20
"""Bytes of an answer that holds no weights; Flower cuts what is larger into pieces of its own."""

PATHS = {
    "AcquireTask": "acquire-task",
    "SendTaskHeartbeat": "send-task-heartbeat",
    "PullTaskInput": "pull-task-input",
    "PullMessages": "pull-messages",
    "PullObject": "pull-object",
    "ConfirmMessageReceived": "confirm-message-received",
    "PushMessages": "push-messages",
    "PushObject": "push-object",
    "PushTaskOutput": "push-task-output",
}
"""The calls that are made, and where under /v1/runtime/ each is served."""

_SLOWEST_POLL, _PATIENCE = 0.5, 20.0
_LOOK_SECONDS, _STOCK_SECONDS = 1.0, 600.0

R = TypeVar("R")


class Unreachable(Exception):
    """The SuperNode does not answer, or refuses us; the text says so for people."""


class Lost(Exception):
    """The SuperNode no longer knows the task: it was restarted, or gave the task up."""


class Runtime:
    """The runtime API of one SuperNode.

    Args:
        connection: where it is, and whose certificates it shows.
        secret: what agent and SuperNode share.

    Raises:
        MachineError: the file of certificates cannot be used.
    """

    def __init__(self, connection: Connection, secret: bytes) -> None:
        self._secret = secret
        self._auth = derive_auth_secret(secret)
        self._version = dict(RuntimeVersionMetadata.from_local_component("consilium").as_metadata())
        secure = connection.runtime_certificates is not None
        self._base = f"{'https' if secure else 'http'}://{connection.runtime}"
        self._address = connection.runtime
        verify = _trusting(connection.runtime_certificates) if secure else False
        # A proxy of the hospital's must never get between agent and SuperNode: no setting of the environment counts.
        self._http = httpx.Client(verify=verify, timeout=30.0, trust_env=False)

    def acquire(self) -> Task | None:
        """Take the oldest waiting task of a ClientApp, if there is one.

        Raises:
            Unreachable: the SuperNode does not answer, or refuses the secret.
        """
        request = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
        signed = create_superexec_auth_metadata(
            auth_secret=self._auth, method="/flwr.proto.Runtime/AcquireTask", request=request
        )
        try:
            response = self.call("AcquireTask", request, AcquireTaskResponse, headers=signed)
        except Lost:
            raise Unreachable(
                f"The SuperNode at {self._address} refuses this agent: the secrets or the versions differ."
            ) from None
        if not response.HasField("task") or not response.token:
            return None
        return Task(self, response.token)

    def begin(self) -> bool:
        """Say that this agent begins; False: the SuperNode begins anew, too, for the last agent left a task behind.

        A stock SuperNode does not understand, and gives such a task up after a minute.

        Raises:
            Unreachable: the SuperNode does not answer.
        """
        headers = {LINK_HEADER: link_key(self._secret, BEGIN_PATH)}
        try:
            return self._http.post(self._base + BEGIN_PATH, headers=headers).status_code != 205
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error

    def link(self) -> dict[str, Any]:
        """Return what our launcher tells of the SuperNode's own way to the coordinator; empty from a stock one.

        Raises:
            Unreachable: the SuperNode does not answer.
        """
        try:
            answer = self._http.get(
                self._base + LINK_PATH, headers={LINK_HEADER: link_key(self._secret)}
            )
            found = json.loads(answer.content[:SMALL]) if answer.status_code == 200 else {}
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        name: str,
        request: Any,
        kind: Callable[[], R],
        *,
        headers: dict[str, str],
        most: int = SMALL,
    ) -> R:
        """Make one call.

        Args:
            name: of the call, as in `PATHS`.
            request: the message to send.
            kind: the message expected back.
            headers: beside those of the version.
            most: bytes of the answer that are read.

        Raises:
            Unreachable: no answer, or one that makes no sense.
            Lost: the caller is refused: its task is not known (any more).
            PolicyError: the answer is larger than `most`.
        """
        try:
            with self._http.stream(
                "POST",
                f"{self._base}/v1/runtime/{PATHS[name]}",
                content=request.SerializeToString(deterministic=True),
                headers={
                    "content-type": PROTOBUF_MEDIA_TYPE,
                    "accept": PROTOBUF_MEDIA_TYPE,
                    "accept-encoding": "identity",
                    **self._version,
                    **headers,
                },
            ) as response:
                if response.status_code != 200:
                    raise self._refused(response.status_code)
                content = _read(response, most)
            result: Any = kind()
            result.ParseFromString(content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        except ValueError as error:  # protobuf's DecodeError is one, too
            raise Unreachable(f"What answers at {self._address} is no SuperNode.") from error
        answer: R = result
        return answer

    def _silent(self, error: Exception) -> Unreachable:
        kind = type(error).__name__
        return Unreachable(f"The SuperNode at {self._address} does not answer ({kind}).")

    def _refused(self, status: int) -> Exception:
        if status in (400, 401, 403, 404, 409, 410, 412, 422, 428):
            return Lost(f"The SuperNode refused with HTTP status {status}.")
        return Unreachable(f"The SuperNode at {self._address} answers with HTTP status {status}.")


class Patience:
    """How long to wait for a message that the SuperNode is still fetching.

    It fetches one message at a time, and leaves the task behind when it gives one up, because the run was stopped, say.
    Whoever has asked for work twice since the first look is not fetching any more.

    Args:
        asked: tells how often the SuperNode has asked for work; None from a stock one, which gets ten minutes.
    """

    def __init__(self, asked: Callable[[], int | None]) -> None:
        self._asked = asked
        self._began = time.monotonic()
        self._looked = self._began
        self._first: int | None = None

    def over(self) -> bool:
        """Whether waiting longer is in vain."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        asked = self._asked()
        if asked is None:
            return now - self._began > _STOCK_SECONDS
        if self._first is None:
            self._first = asked
        return asked >= self._first + 2


class Task:
    """One message for the ClientApp, which the SuperNode has handed to us.

    The message is taken before the task is activated: a task that dies in between goes back to the queue and is
    answered with an error later, where the other order would leave the SuperNode waiting for ever.

    Attributes:
        bundle: the bundle's bytes; empty before `open`.
    """

    def __init__(self, runtime: Runtime, token: str) -> None:
        self._runtime = runtime
        self._headers = {TASK_TOKEN_HEADER: token}
        self._tree: ObjectTree | None = None
        self._head: Message | None = None
        self.bundle = b""
        self._context: Context | None = None

    def open(self) -> bool:
        """Fetch message and bundle, but not yet the message's content; False: there is no message to answer.

        Raises:
            Unreachable, Lost: as for every call.
        """
        waited = time.monotonic() + _PATIENCE
        for pause in _pauses():
            got = self._call("PullMessages", PullAppMessagesRequest(), PullAppMessagesResponse)
            if got.messages_list or time.monotonic() > waited:
                break
            time.sleep(pause)
        if got.messages_list:
            self._head = message_from_proto(got.messages_list[0])
            self._tree = got.message_object_trees[0]
        given = self._call(
            "PullTaskInput", PullTaskInputRequest(), PullTaskInputResponse, LARGEST_BUNDLE + SMALL
        )
        self._context = context_from_proto(given.context)
        self.bundle = given.fab.content
        return self._head is not None

    @property
    def message(self) -> Message:
        """The message without its content."""
        if self._head is None:
            raise Lost("The SuperNode has no message for its task.")
        return self._head

    @property
    def context(self) -> Context:
        """The run's context, with the node's id."""
        if self._context is None:
            raise Lost("The SuperNode has no context for its task.")
        return self._context

    @property
    def kind(self) -> str:
        """What is asked, such as "train" or "query.describe"."""
        return str(self.message.metadata.message_type)

    def pull(self, most: int) -> Message:
        """Fetch the message with its content.

        Args:
            most: bytes that the content may have in all; more is not held.

        Raises:
            PolicyError: it is larger, or damaged.
            Unreachable, Lost: as for every call.
        """
        if self._tree is None:
            raise Lost("The SuperNode has no message for its task.")
        identities = list(dict.fromkeys(part.object_id for part in iterate_object_tree(self._tree)))
        if len(identities) > 64 + most // (1 << 20):
            raise _too_large()
        contents: dict[str, bytes] = {}
        left = most
        for identity in identities:
            contents[identity] = self._object(identity, left)
            left -= len(contents[identity])
        self.confirm()
        return self._inflated(contents)

    def confirm(self) -> None:
        """Let the SuperNode forget the message's content."""
        request = ConfirmMessageReceivedRequest(
            node=self._node, run_id=self._run, message_object_id=self.message.metadata.message_id
        )
        self._call("ConfirmMessageReceived", request, ConfirmMessageReceivedResponse)

    def reply(self, content: RecordDict | Error) -> Message:
        """Return a reply to the message; everything that it says of itself comes from the message."""
        return Message(content, reply_to=self.message)

    def send(self, reply: Message) -> int:
        """Bring a reply back and end the task; return how many bytes were sent.

        Raises:
            Unreachable, Lost: as for every call.
        """
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            request = PushAppMessagesRequest(
                messages_list=[message_to_proto(remove_content_from_message(reply))],
                message_object_trees=[get_object_tree(reply)],
            )
            pushed = self._call("PushMessages", request, PushAppMessagesResponse)
            sent = self._push(reply, set(pushed.objects_to_push), pushed.session_id)
        output = PushTaskOutputRequest(sub_status=SubStatus.COMPLETED, details="")
        self._call("PushTaskOutput", output, PushTaskOutputResponse)
        return sent

    def beat(self) -> bool:
        """Tell the SuperNode that the task is in hand; False: it has given the task up.

        Raises:
            Unreachable: it does not answer.
        """
        try:
            answer = self._call(
                "SendTaskHeartbeat", SendTaskHeartbeatRequest(), SendTaskHeartbeatResponse
            )
        except Lost:
            return False
        return bool(answer.success)

    def _push(self, reply: Message, wanted: set[str], session: str) -> int:
        sent = 0
        for identity, part in get_all_nested_objects(reply).items():
            if identity not in wanted:
                continue
            content = part.deflate()
            request = PushObjectRequest(
                node=self._node,
                run_id=self._run,
                object_id=identity,
                object_content=content,
                session_id=session,
            )
            if not self._call("PushObject", request, PushObjectResponse).stored:
                raise Lost("The SuperNode did not take a part of the reply.")
            sent += len(content)
        return sent

    def _object(self, identity: str, most: int) -> bytes:
        request = PullObjectRequest(node=self._node, run_id=self._run, object_id=identity)
        patience = Patience(self._asked)
        for pause in _pauses():
            got = self._call("PullObject", request, PullObjectResponse, max(0, most) + 1024)
            if not got.object_found:
                raise Lost("The SuperNode has lost a part of the message.")
            if got.object_available:
                return bytes(got.object_content)
            if patience.over():
                break
            time.sleep(pause)
        raise Lost("The message ended before all of it had come: its run was stopped, most likely.")

    def _asked(self) -> int | None:
        """How often the SuperNode has asked for work; None where it does not tell."""
        told = self._runtime.link().get("asked")
        return told if isinstance(told, int) else None

    def _inflated(self, contents: dict[str, bytes]) -> Message:
        identity = self.message.metadata.message_id
        try:
            found = inflate_object_from_contents(identity, contents)
        except Exception as error:  # whatever another party's bytes may cause
            raise _damaged() from error
        if not isinstance(found, Message) or not found.has_content():
            raise _damaged()
        return Message(content=found.content, metadata=self.message.metadata)  # type: ignore[call-overload, no-any-return]

    @property
    def _node(self) -> Node:
        return Node(node_id=self.message.metadata.dst_node_id)

    @property
    def _run(self) -> int:
        return int(self.message.metadata.run_id)

    def _call(self, name: str, request: Any, kind: Callable[[], R], most: int = SMALL) -> R:
        return self._runtime.call(name, request, kind, headers=self._headers, most=most)


def _read(response: httpx.Response, most: int) -> bytes:
    """Read an answer's body, piece by piece, and stop where it grows too large."""
    content = bytearray()
    for piece in response.iter_raw():
        content += piece
        if len(content) > most:
            raise _too_large()
    return bytes(content)


def _trusting(certificates: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(certificates))
    except (OSError, ssl.SSLError) as error:
        raise MachineError(
            "The certificates of the runtime API cannot be used.",
            where=f"{certificates}, [connection] runtime_certificates",
            fix="Name the PEM file of the authority that signed the SuperNode's certificate.",
        ) from error


def _pauses() -> Any:
    """Pauses between looks at something that is about to come."""
    pause = 0.02
    while True:
        yield pause
        pause = min(_SLOWEST_POLL, pause * 1.5)


def _too_large() -> PolicyError:
    return PolicyError(
        "The coordinator's request is larger than the study's model allows.",
        fix="Install the same version of consilium at the coordinator and at the site.",
    )


def _damaged() -> PolicyError:
    return PolicyError(
        "The coordinator's request lacks a part, or a part is damaged.",
        fix="Install the same version of consilium at the coordinator and at the site.",
    )
