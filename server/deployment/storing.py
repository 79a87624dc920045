"""What one hospital may have the SuperLink keep: replies to its own questions, a few at a time, none too large.

Flower keeps whatever an enrolled node pushes until somebody fetches it: one hospital could fill the coordinator's disk,
and so end the runs of all the others. Everything is counted here before Flower writes it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from server.allowances import TOO_LARGE, Allowances, pieces

LARGEST_HEAD = 1 << 16
"""Bytes of a message without its content and the list of its pieces."""

WAITING = 4
"""Replies of one hospital to one run that may wait to be fetched; the ServerApp fetches them several times a second."""

REMEMBERED = 4096

T = TypeVar("T")


class TooMany(Exception):
    """The hospital is to come back when its earlier replies were fetched."""


class NotStored(Exception):
    """What a hospital pushed is no reply that a sound site makes; its text says why."""


@dataclass
class Session:
    """One reply that is being pushed.

    Attributes:
        node: whose.
        left: bytes that may still come.
        stored: the pieces that came; one whose answer was lost comes again, and Flower does not keep it twice.
    """

    node: int
    left: int
    stored: set[str] = field(default_factory=set)


@dataclass
class Storing:
    """Counts what hospitals push.

    Attributes:
        allowances: how large replies may be.
    """

    allowances: Allowances
    _sessions: OrderedDict[Hashable, Session] = field(default_factory=OrderedDict)
    _answered: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _waiting: OrderedDict[tuple[int, int], list[str]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def message(self, request: Any, state: Any) -> bool:
        """Return whether Flower may take a reply in; False: nobody waits for it (any more), and nothing is to be kept.

        Raises:
            TooMany: earlier replies wait still.
            NotStored: it has not the form of a reply; the question counts as answered.
        """
        node, said = int(request.node.node_id), request.messages_list[0].metadata
        question = state.get_valid_message_ins(said.reply_to_message_id)
        if question is None or question["dst_node_id"] % (1 << 64) != node:
            return False
        with self._lock:
            if _get(self._answered, said.reply_to_message_id, said.message_id) != said.message_id:
                return False
            if wrong := self._wrong(request):
                self._answered[said.reply_to_message_id] = ""
                raise NotStored(wrong)
            waiting = _get(self._waiting, (node, said.run_id), [])
            waiting[:] = [each for each in waiting if each in state.object_store]
            if said.message_id not in waiting:
                if len(waiting) >= WAITING:
                    raise TooMany
                waiting.append(said.message_id)
        return True

    def begun(self, request: Any, session: str) -> None:
        """Note the session in which the pieces of a reply will come."""
        run, node = request.messages_list[0].metadata.run_id, int(request.node.node_id)
        with self._lock:
            _get(self._sessions, session, Session(node, self.allowances.most(run)))

    def piece(self, request: Any, store: Callable[[], T], stored: Callable[[T], bool]) -> T:
        """Have Flower store a piece, while there is room; the last one may be too large, so that whoever fetches sees.

        Args:
            request: Flower's.
            store: has Flower store it.
            stored: whether it did; what it did not keep is not counted.

        Raises:
            NotStored: there is no room left.
        """
        node, size = int(request.node.node_id), len(request.object_content)
        session = self._session(request, node)
        with self._lock:
            size = 0 if request.object_id in session.stored else size
            if session.node != node or session.left < 0 < size:
                raise NotStored(TOO_LARGE)
            session.left -= size
        kept = False
        try:
            answer = store()
            kept = stored(answer)
            return answer
        finally:
            with self._lock:
                session.left += 0 if kept else size
                session.stored |= {request.object_id} if kept else set()

    def _session(self, request: Any, node: int) -> Session:
        """Return the session of a piece; one that began before this process shares what one reply may have."""
        with self._lock:
            if request.session_id in self._sessions:
                return self._sessions[request.session_id]
            unknown = (node, request.run_id)
            return _get(
                self._sessions, unknown, Session(node, self.allowances.most(request.run_id))
            )

    def _wrong(self, request: Any) -> str:
        """Say what a message has that no reply has; empty: nothing."""
        message, tree = request.messages_list[0], request.message_object_trees[0]
        if tree.object_id != message.metadata.message_id:
            return "the site's reply comes with the pieces of another"
        if message.ByteSize() > LARGEST_HEAD:
            return "the site's reply says too much of itself"
        most = self.allowances.most(message.metadata.run_id)
        return TOO_LARGE if _more_than(tree, pieces(most)) else ""


def _more_than(tree: Any, most: int) -> bool:
    """Whether a tree has more than `most` nodes; looks at no more than that."""
    seen, open_ = 0, [tree]
    while open_ and seen <= most:
        seen += 1
        open_.extend(open_.pop().children)
    return seen > most


def _get(known: OrderedDict[Any, T], key: Hashable, new: T) -> T:
    """Return what is known by a key, or make it known; what was not asked for longest is forgotten."""
    found = known.setdefault(key, new)
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
    return found
