"""Sends messages over a Flower grid and fetches the replies; outlives a SuperLink that goes away for a while."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import httpx
from flwr.app import Message
from flwr.serverapp import Grid

from server.flower_messages import UNREACHABLE, batch, damaged, discard, hasten, question_id

LOOK_SECONDS = 1.0
"""Between looks whether a site is still there that keeps a fetch waiting."""


@runtime_checkable
class Local(Protocol):
    """A grid in this very process: it can wake who waits, and take back what nobody has begun."""

    def wait_for(self, message_ids: Iterable[str], seconds: float) -> None:
        """Return when one of the messages is answered, or after the time."""

    def withdraw(self, message_ids: Iterable[str]) -> set[str]:
        """Drop the messages that nobody has begun to answer; return their ids."""


@dataclass
class Post:
    """The coordinator's letter box.

    Attributes:
        grid: Flower's connection to the sites.
        doubtful: ids whose reply may have been lost because the call that fetched it failed.
        trouble: why the last call failed; "" where it did not.
        most: bytes that a reply may have in all.
    """

    grid: Grid
    doubtful: set[str] = field(default_factory=set)
    trouble: str = ""
    most: int = 1 << 62
    _lines: dict[int, str] = field(default_factory=dict)
    _sent: dict[str, tuple[int, str]] = field(default_factory=dict)
    _recalled: set[str] = field(default_factory=set)
    _fetching: Sequence[str] = ()
    _looked: float = 0.0

    def __post_init__(self) -> None:
        hasten(self.grid, self._lost, lambda: self.most)

    @staticmethod
    def now() -> float:
        """Seconds of a clock that nobody sets."""
        return time.monotonic()

    def nodes(self) -> dict[int, str] | None:
        """Return the connected nodes and since when they are, or None where the SuperLink cannot be asked now."""
        try:
            nodes = {node.node_id: node.last_activated_at for node in self.grid.get_nodes()}
        except UNREACHABLE as error:
            self.trouble = type(error).__name__
            return None
        self.trouble = ""
        self._lines, self._looked = nodes, time.monotonic()
        self._recall()
        return nodes

    def send(self, messages: Sequence[Message]) -> list[str] | None:
        """Send messages; return their ids in order, or None where that failed and is to be tried again."""
        if not messages:
            return []
        try:
            self.grid.push_messages(messages)
        except UNREACHABLE as error:
            self.trouble = type(error).__name__
            return None
        for message in messages:
            node = message.metadata.dst_node_id
            self._sent[message.metadata.message_id] = (node, self._lines.get(node, ""))
        return [message.metadata.message_id for message in messages]

    def fetch(self, ids: Sequence[str]) -> Iterator[Message]:
        """Give the replies that are there, each once."""
        size = batch(self.grid)
        for start in range(0, len(ids), size):
            asked = self._fetching = ids[start : start + size]
            try:
                replies = list(self.grid.pull_messages(asked))
            except UNREACHABLE as error:
                self.trouble = type(error).__name__
                self.doubtful.update(asked)
                return
            except Exception:  # whatever a site's bytes may cause in Flower's own reading of them
                if size > 1:
                    raise
                replies = [damaged(asked[0])]
            while replies:
                reply = replies.pop(0)
                if size == 1 and question_id(reply) != asked[0]:
                    reply = damaged(asked[0])  # what it says of itself, its site wrote
                self._sent.pop(question_id(reply), None)
                yield reply

    def _lost(self) -> bool:
        """Whether the site whose reply is being fetched went away, or came back, since it was asked."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        nodes = self.nodes()
        asked = [self._sent[i] for i in self._fetching if i in self._sent]
        return nodes is not None and any(line not in nodes.items() for line in asked)

    def wait(self, ids: Iterable[str], seconds: float) -> None:
        """Wait for the next look."""
        if isinstance(self.grid, Local):
            self.grid.wait_for(ids, seconds)
        else:
            time.sleep(seconds)

    def withdraw(self, ids: Iterable[str]) -> set[str]:
        """Take messages back; return the ids of those that nobody had begun, as far as that is known.

        From afar nobody can tell: a message that its site has not fetched yet is never handed out, and one that it has
        may still be answered.
        """
        if isinstance(self.grid, Local):
            return self.grid.withdraw(ids)
        self._recalled.update(ids)
        self._recall()
        return set()

    def _recall(self) -> None:
        """Have the SuperLink forget what was taken back; while it is away, the next look tries again."""
        while self._recalled:
            message = next(iter(self._recalled))
            try:
                discard(self.grid, message)
            except httpx.HTTPStatusError:
                pass  # it knows nothing of the message any more
            except UNREACHABLE as error:
                self.trouble = type(error).__name__
                return
            self._recalled.discard(message)
