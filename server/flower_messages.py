"""The server's only look into Flower's internals; a contract test names what broke when Flower changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, cast

import httpx
from flwr.app import Array, ConfigRecord, Error, Message, MessageType, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.supercore.constant import SYSTEM_MESSAGE_TYPE
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectUnavailableError,
    pull_objects,
)
from flwr.superlink.grid import HttpGrid, http_grid

from common import wire
from common.errors import Interrupted, PolicyError, SitesError
from common.weights import Vector
from server.allowances import TOO_LARGE, pieces

UNREACHABLE: tuple[type[Exception], ...] = (httpx.HTTPError, ConnectionError, TimeoutError)
"""What a call to the SuperLink raises while it is away, after Flower's own retries."""

FIRST_PULL, LONGEST_PULL = 0.05, 1.0
"""Seconds between attempts to fetch a part of a reply that its site is still sending; Flower would wait 1 to 10."""

STALLED = 60.0
"""Seconds without a further part after which a reply is given up, and its site asked again."""

DAMAGED = "the site's reply is damaged"

LONGEST_REASON = 300


class Word(Enum):
    """What a reply amounts to."""

    ANSWER = "answer"
    FAILURE = "failure"
    BUSY = "busy"
    LOST = "lost"


_LOST = {
    ErrorCode.UNKNOWN,
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.CLIENT_APP_CRASHED,
    wire.SITE_ERROR + Interrupted.exit_code,
}
"""The site did not refuse; it, or the way to it, went away, and may answer when it is asked again."""


def question_id(reply: Message) -> str:
    """Return the id of the message that a reply answers; an error's source may be the server's own node."""
    return reply.metadata.reply_to_message_id


def word(reply: Message) -> Word:
    """Tell an answer from a refusal, and both from what may yet come."""
    if not reply.has_error():
        return Word.ANSWER
    if reply.error.code == wire.SITE_ERROR + SitesError.exit_code:
        return Word.BUSY
    if _too_large(reply):
        return Word.FAILURE
    return Word.LOST if reply.error.code in _LOST else Word.FAILURE


def why(reply: Message) -> str:
    """Return the reason of an error reply in words."""
    code, reason = reply.error.code, reply.error.reason
    if _too_large(reply):
        return TOO_LARGE
    if reason and (code >= wire.SITE_ERROR or code == ErrorCode.INVALID_FAB):
        return "".join(c if c.isprintable() else " " for c in reason[:LONGEST_REASON])
    if code == ErrorCode.NODE_UNAVAILABLE:
        return "the site is not connected"
    if code in _LOST:
        return "the site's answer was lost on the way"
    return "the site's process failed without saying why"


def _too_large(reply: Message) -> bool:
    """Whether `_Parts` gave up: Flower's grid tells its reason in a text of its own."""
    return reply.error.code == ErrorCode.MESSAGE_UNAVAILABLE and TOO_LARGE in (
        reply.error.reason or ""
    )


def damaged(question: str) -> Message:
    """Return what stands for a reply that Flower itself could not read, or that answers another question."""
    told = Metadata(
        run_id=0,
        message_id="",
        src_node_id=0,
        dst_node_id=0,
        reply_to_message_id=question,
        group_id="",
        created_at=0.0,
        ttl=0.0,
        message_type=SYSTEM_MESSAGE_TYPE,
    )
    return make_message(told, error=Error(wire.SITE_ERROR + PolicyError.exit_code, DAMAGED))


def batch(grid: Grid) -> int:
    """How many replies may be fetched in one call: one from afar, so that one at a time is held in memory."""
    return 1 if isinstance(grid, HttpGrid) else 1 << 20


def hasten(
    grid: Grid, lost: Callable[[], bool] = lambda: False, most: Callable[[], int] = lambda: 1 << 62
) -> None:
    """Shorten the waits of Flower's own grid for the parts of a reply, and give up on parts that it must not wait for.

    Args:
        grid: Flower's connection to the sites.
        lost: whether the site whose reply is being fetched went away; asked while parts are missing.
        most: bytes that a reply may have in all; no more of it is held.
    """
    if not isinstance(grid, HttpGrid):
        return

    def quick(object_ids: list[str], pull_object_fn: Callable[[str], bytes]) -> dict[str, bytes]:
        parts = _Parts(pull_object_fn, lost, most())
        try:
            if len(object_ids) > pieces(most()):
                raise ObjectPullError(object_ids[-1], TOO_LARGE)
            return pull_objects(
                object_ids,
                parts.pull,
                max_tries_per_object=None,
                initial_backoff=FIRST_PULL,
                backoff_cap=LONGEST_PULL,
            )
        except ObjectPullError as error:
            if TOO_LARGE in str(error):
                discard(grid, object_ids[-1])
            raise

    vars(http_grid)["pull_objects"] = quick


def discard(grid: Grid, message_id: str) -> None:
    """Have the SuperLink delete a message's content: a reply that nobody will fetch, or a question that is over.

    A question without content is never handed out. Where it was before, its answer is still taken in.
    """
    if not isinstance(grid, HttpGrid):
        return
    request = ConfirmMessageReceivedRequest(
        node=grid.node, run_id=grid.run.run_id, message_object_id=message_id
    )
    grid._runtime_client.ConfirmMessageReceived(request)


class _Parts:
    """Fetches the parts of one reply, from two threads.

    A site may die in the middle of sending: Flower would wait for the other parts for three minutes, and the whole
    run with it. An error is returned instead, and the site is asked again.
    """

    def __init__(self, pull: Callable[[str], bytes], lost: Callable[[], bool], most: int) -> None:
        self._pull, self._lost = pull, lost
        self._moved = time.monotonic()
        self._left = most
        self._lock = threading.Lock()

    def pull(self, part: str) -> bytes:
        """Return a part, or tell Flower to try again, or that there is no hope."""
        try:
            content = self._pull(part)
        except ObjectUnavailableError:
            if self._lost() or time.monotonic() - self._moved > STALLED:
                raise ObjectPullError(part, "its site does not go on sending") from None
            raise
        self._moved = time.monotonic()
        with self._lock:
            self._left -= len(content)
            if self._left < 0:
                raise ObjectPullError(part, TOO_LARGE)
        return content


class View(Array):
    """An array that Flower's strategies read where it lies, memory-mapped or not, without a copy."""

    def __init__(self, vector: Vector) -> None:
        super().__init__(str(vector.dtype), tuple(vector.shape), "numpy.ndarray", b"")
        self.vector = vector

    def numpy(self) -> Vector:
        """Return the array itself."""
        return self.vector


def strategy_reply(weight: float, vector: Vector) -> Message:
    """Return what a strategy takes as one site's reply to a training request."""
    return Message(wire.strategy_content(weight, View(vector)), 1, MessageType.TRAIN)


class _OneNode:
    """All of a grid that a strategy looks at: who is there."""

    def get_node_ids(self) -> Iterable[int]:
        return [1]

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=1)]


def training_request(
    strategy: Strategy, round_: int, weights: Vector, config: ConfigRecord
) -> RecordDict:
    """Return the request that a strategy makes of the weights; it is the same for every site."""
    grid: Any = _OneNode()
    arrays = wire.to_array_record(weights)
    (message,) = strategy.configure_train(round_, arrays, config, cast(Grid, grid))
    return message.content
