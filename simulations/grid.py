"""A Flower Grid in this process: the same ServerApp and ClientApp, no server, no Ray.

Messages reach the ClientApp through a pool of threads that lives as long as the grid. Nothing is copied: sites share
the one array of incoming weights and must not write to it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event, Lock
from time import monotonic, sleep

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from common.errors import SitesError
from common.wire import SITE_ERROR

log = logging.getLogger(__name__)

BUSY = SITE_ERROR + SitesError.exit_code

ROOM = 32
"""Answers that may wait to be fetched before the sites slow down, so that memory does not grow with their number."""

RUN_ID = 1
SERVER_NODE = 1
FIRST_NODE = 1001


class InProcessGrid(Grid):
    """Carries messages to a ClientApp in the threads of this process.

    Args:
        app: answers for every node; a node's number reaches it as `partition-id` in the context.
        nodes: how many nodes there are.
        workers: messages answered at the same time; a node that is late with one answer refuses the next.
    """

    def __init__(self, app: ClientApp, nodes: int, workers: int) -> None:
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN_ID, SERVER_NODE, 1
        self._app = app
        self._nodes = range(FIRST_NODE, FIRST_NODE + nodes)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="site")
        self._running: dict[str, Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._busy: set[int] = set()
        self._changing = Lock()
        self._answered = Event()
        self._unfetched = 0
        self._run = Run.create_empty(RUN_ID)

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return all nodes."""
        return self._nodes

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand messages to the pool; return their ids."""
        pushed = []
        for message in messages:
            message_id = str(next(self._numbers))
            message.metadata.__dict__["_message_id"] = message_id
            future = self._running[message_id] = self._pool.submit(self._answer, message)
            future.add_done_callback(self._note_answered)
            pushed.append(message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there, each once."""
        done = [i for i in message_ids if i in self._running and self._running[i].done()]
        with self._changing:
            self._unfetched -= len(done)
        return [self._running.pop(i).result() for i in done]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for all replies, or for the time to pass."""
        missing = set(self.push_messages(messages))
        end = None if timeout is None else monotonic() + timeout
        replies: list[Message] = []
        while missing and (end is None or monotonic() < end):
            left = None if end is None else max(0.0, end - monotonic())
            wait([self._running[i] for i in missing], left, FIRST_COMPLETED)
            for message_id in sorted(missing, key=int):
                found = list(self.pull_messages([message_id]))
                replies += found
                missing -= {message_id} if found else set()
        for message_id in missing:
            self._running.pop(message_id).cancel()
        return replies

    def wait_for(self, message_ids: Iterable[str], seconds: float) -> None:
        """Return when one of the messages is answered, or after the time."""
        del (
            message_ids
        )  # waking for nothing costs less than watching a thousand messages one by one
        self._answered.wait(seconds)
        self._answered.clear()

    def withdraw(self, message_ids: Iterable[str]) -> set[str]:
        """Drop the messages that no thread has begun to answer; return their ids."""
        waiting = {i for i in message_ids if i in self._running and self._running[i].cancel()}
        for message_id in waiting:
            del self._running[message_id]
        return waiting

    def close(self) -> None:
        """Wait for the messages in work and end the threads; what waits in the queue is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _note_answered(self, future: Future[Message]) -> None:
        with self._changing:
            self._unfetched += not future.cancelled()
        self._answered.set()

    def _leave_room(self) -> None:
        """Wait a little while many answers are not fetched yet; not for long, since nobody may want them any more."""
        end = monotonic() + 1.0
        while self._unfetched > ROOM and monotonic() < end:
            sleep(0.005)

    def _answer(self, message: Message) -> Message:
        """Have the ClientApp answer; whatever it raises becomes an error reply, as on a real node."""
        node = message.metadata.dst_node_id
        self._leave_room()
        with self._changing:
            if node in self._busy:
                return Message(
                    Error(BUSY, "the site is busy with an earlier round"), reply_to=message
                )
            self._busy.add(node)
        try:
            return self._app(message, self._context(node))
        except Exception as error:
            shown = log.isEnabledFor(logging.DEBUG)
            log.error("%s in the client app", type(error).__name__, exc_info=shown)
            return Message(Error(2, f"{type(error).__name__} in the client app"), reply_to=message)
        finally:
            self._busy.discard(node)

    def _context(self, node: int) -> Context:
        config: dict[str, bool | float | int | str] = {
            "partition-id": node - FIRST_NODE,
            "num-partitions": len(self._nodes),
        }
        return Context(RUN_ID, node, config, RecordDict({"state": ConfigRecord()}), {})
