"""One thread a connection: takes its SuperNode's tasks, one after the other, and never gives up."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flwr.app import Message

from client.service.desk import DESCRIBE
from client.service.executor import Lost, Runtime, Task, Unreachable
from client.service.state import Link, ServiceState

log = logging.getLogger(__name__)

SLOWEST_RETRY = 5.0
_BEAT_SECONDS = 8.0
_LINK_SECONDS = 1.0
_DELIVERY_SECONDS = 60.0

Answer = Callable[[str, Task], Message]


class Worker(threading.Thread):
    """Serves one connection until the service stops.

    Args:
        name: the site's name for the coordinator.
        server: its host:port.
        runtime: its SuperNode's runtime API; closed at the end.
        answer: decides on a task.
        state: where the link is noted.
        poll_seconds: how often to look for work.
        idle: whether no new task may be taken (paused).
        stop: ends the thread after the task in hand.
    """

    def __init__(
        self,
        name: str,
        server: str,
        runtime: Runtime,
        answer: Answer,
        state: ServiceState,
        *,
        poll_seconds: float,
        idle: Callable[[], bool],
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"executor-{name}", daemon=True)
        self._connection, self._server = name, server
        self._runtime, self._answer, self._state = runtime, answer, state
        self._poll, self._idle, self._halt = poll_seconds, idle, stop
        self._link = Link(name, server)
        self._linked = 0.0
        self._begun = False

    def run(self) -> None:
        """Take tasks for ever; between failures the pauses grow to five seconds."""
        pause = self._poll
        while not self._halt.is_set():
            try:
                worked = self._once()
                pause = self._poll
            except Unreachable as error:
                worked, pause = False, min(SLOWEST_RETRY, 2 * pause)
                self._begun = (
                    False  # the call that was cut off may have left a task, or half a reply
                )
                self._note(problem=str(error))
            except Exception as error:  # one connection's fault must not end the service
                worked, pause = False, min(SLOWEST_RETRY, 2 * pause)
                self._begun = False
                log.error("connection '%s': unforeseen %s", self._connection, type(error).__name__)
            if not worked:
                self._halt.wait(pause)
        self._runtime.close()

    def _once(self) -> bool:
        """Look for a task and serve it; False: there was none."""
        if not self._begun:
            self._begin()
        task = None if self._idle() else self._runtime.acquire()
        self._look()
        if task is None:
            return False
        with Beating(task, self._look):
            try:
                self._serve(task)
            except Lost as lost:  # what was charged is spooled: the coordinator asks again and gets the same bytes
                log.warning("connection '%s': %s", self._connection, lost)
        return True

    def _begin(self) -> None:
        """Have the SuperNode forget what an agent before this one took and never answered."""
        if not self._runtime.begin():
            log.warning(
                "connection '%s': the last agent left a task behind; its SuperNode begins anew",
                self._connection,
            )
        self._begun = True

    def _serve(self, task: Task) -> None:
        if not task.open():
            return  # left to expire: the SuperNode then tells the coordinator that nobody answers
        reply = self._answer(self._connection, task)
        sent = self._deliver(task, reply)
        if not reply.has_error() and task.kind != DESCRIBE:
            self._state.update(lambda now: replace(now, bytes_sent=now.bytes_sent + sent))
            self._state.tell("sent", f"{sent:,} bytes were sent.", connection=self._connection)

    def _deliver(self, task: Task, reply: Message) -> int:
        """Bring the reply back; a SuperNode that does not answer for a moment is asked again."""
        until, pause = time.monotonic() + _DELIVERY_SECONDS, self._poll
        while True:
            try:
                return task.send(reply)
            except Unreachable:
                if time.monotonic() > until or self._halt.is_set():
                    raise
            self._halt.wait(pause)
            pause = min(SLOWEST_RETRY, 2 * pause)

    def _look(self) -> None:
        """Note how the coordinator is reached, once a second."""
        now = time.time()
        if abs(now - self._linked) < _LINK_SECONDS:
            return
        told = self._runtime.link()
        self._linked = now
        self._note(
            polled=now,
            contact=_number(told.get("contact")),
            node=int(_number(told.get("node"))),
            problem=str(told.get("problem", ""))[:500],
        )

    def _note(self, **changes: Any) -> None:
        link = replace(self._link, **changes)
        if link.problem and link.problem != self._link.problem:
            log.warning("connection '%s': %s", self._connection, link.problem)
        self._link = link
        self._state.link(link)


class Beating:
    """Tells the SuperNode, from a thread of its own, that a task is in hand.

    Args:
        task: the task.
        look: what else is to be done every second.
    """

    def __init__(self, task: Task, look: Callable[[], None]) -> None:
        self._task, self._look = task, look
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    def __enter__(self) -> Beating:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=_BEAT_SECONDS)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.wait(_LINK_SECONDS):
            try:
                self._look()
                if time.monotonic() >= due:
                    if not self._task.beat():
                        return  # given up there: what is computed now is spooled and asked for again
                    due = time.monotonic() + _BEAT_SECONDS
            except Unreachable:
                pass  # the SuperNode may be back before the task's time is over


def _number(value: object) -> float:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if sound else 0.0  # type: ignore[arg-type]
