"""One task of a SuperNode: its message is fetched, and the reply brought back. Part of the executor.

Nothing of a bundle is unpacked, imported or executed here: it is a string of bytes for others to judge. All that
is read is bounded before it is held.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

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
from flwr.supercore.constant import TASK_TOKEN_HEADER
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.service.calls import SMALL, Lost, too_large
from client.service.patience import Patience, pauses
from common.bundle import LARGEST as LARGEST_BUNDLE
from common.errors import PolicyError

_PATIENCE = 20.0

R = TypeVar("R")


class Served(Protocol):
    """The runtime API that a task came from."""

    def call(
        self,
        name: str,
        request: Any,
        kind: Callable[[], R],
        *,
        headers: dict[str, str],
        most: int = SMALL,
    ) -> R:
        """Make one call."""

    def link(self) -> dict[str, Any]:
        """Return what the SuperNode tells of its way to the coordinator."""

    def time_there(self) -> float:
        """Return the coordinator's time."""


class Task:
    """One message for the ClientApp, which the SuperNode has handed to us.

    The message is taken before the task is activated: a task that dies in between goes back to the queue and is
    answered with an error later, where the other order would leave the SuperNode waiting for ever.

    Attributes:
        bundle: the bundle's bytes; empty before `open`.
    """

    def __init__(self, runtime: Served, token: str) -> None:
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
        for pause in pauses():
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
            raise too_large()
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

    def time_there(self) -> float:
        """The coordinator's time, in seconds since 1970."""
        return self._runtime.time_there()

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
        for pause in pauses():
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


def _damaged() -> PolicyError:
    return PolicyError(
        "The coordinator's request lacks a part, or a part is damaged.",
        fix="Install the same version of consilium at the coordinator and at the site.",
    )
