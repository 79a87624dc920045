"""Answers the calls of the control plane."""

# ruff: noqa: N802 -- gRPC names its methods so

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import grpc

from client.control.messages import (
    budget_message,
    egress_message,
    event_message,
    status_message,
    study_message,
)
from client.control.monitor import Monitor
from client.control.problems import told
from client.control.running import BudgetLine, Running, StudyRecord
from client.guard.chain import Chain
from client.guard.entries import Entry
from client.site_folder import SiteFolder
from common.errors import StudyError
from common.proto import site_control_pb2 as pb
from common.proto.site_control_pb2_grpc import SiteControlServicer

WATCHERS = 16
"""Each holds one of the server's threads for as long as it watches."""

_LEAST_SECONDS, _SILENT_SECONDS, _WAIT = 0.1, 5.0, 0.5
_USUAL_ENTRIES, _MOST_ENTRIES = 100, 1000
_LONGEST_NAME = 200


class SiteControl(SiteControlServicer):
    """The control plane of a running site.

    Args:
        running: the service.
        folder: where its egress log is.
        monitor: knows its health.
        budget: what was spent; `running.budget`, or something that remembers it.
    """

    def __init__(
        self,
        running: Running,
        folder: SiteFolder,
        monitor: Monitor,
        budget: Callable[[], Sequence[BudgetLine]],
    ) -> None:
        self._running = running
        self._folder = folder
        self._monitor = monitor
        self._budget = budget
        self._places = threading.BoundedSemaphore(WATCHERS)
        self._ending = threading.Event()

    def end(self) -> None:
        """Let go of whoever watches."""
        self._ending.set()

    def Status(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusReply:
        """What the site is doing."""
        with told(context):
            return pb.StatusReply(status=self._status())

    def Watch(
        self, request: pb.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchReply]:
        """The status whenever it changes, and every event."""
        if not self._places.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS} others watch already.")
        try:
            yield from self._watched(request, context)
        finally:
            self._places.release()

    def Pause(self, request: pb.PauseRequest, context: grpc.ServicerContext) -> pb.PauseReply:
        """Take no new task."""
        with told(context):
            self._running.pause()
            return pb.PauseReply(status=self._status())

    def Resume(self, request: pb.ResumeRequest, context: grpc.ServicerContext) -> pb.ResumeReply:
        """Take tasks again."""
        with told(context):
            self._running.resume()
            return pb.ResumeReply(status=self._status())

    def Studies(self, request: pb.StudiesRequest, context: grpc.ServicerContext) -> pb.StudiesReply:
        """Studies that coordinators sent."""
        with told(context):
            return pb.StudiesReply(
                studies=[study_message(each) for each in self._running.studies()]
            )

    def Approve(self, request: pb.ApproveRequest, context: grpc.ServicerContext) -> pb.ApproveReply:
        """Approve a study."""
        with told(context):
            record = _decided(self._running.approve, request.bundle, request.by)
            return pb.ApproveReply(study=study_message(record))

    def Revoke(self, request: pb.RevokeRequest, context: grpc.ServicerContext) -> pb.RevokeReply:
        """Take an approval back."""
        with told(context):
            record = _decided(self._running.revoke, request.bundle, request.by)
            return pb.RevokeReply(study=study_message(record))

    def Budget(self, request: pb.BudgetRequest, context: grpc.ServicerContext) -> pb.BudgetReply:
        """What each population has spent."""
        with told(context):
            return pb.BudgetReply(lines=[budget_message(line) for line in self._budget()])

    def Egress(self, request: pb.EgressRequest, context: grpc.ServicerContext) -> pb.EgressReply:
        """What left the house."""
        with told(context):
            limit = min(request.limit or _USUAL_ENTRIES, _MOST_ENTRIES)
            newest: deque[Entry] = deque(maxlen=limit)
            total, head = 0, ""
            if self._folder.egress_log.exists():
                for entry in Chain(self._folder.egress_log, writable=False).read():
                    total, head = entry.seq, entry.hash
                    if entry.seq > request.after:
                        newest.append(entry)
            return pb.EgressReply(
                entries=[egress_message(entry) for entry in newest], total=total, head=head
            )

    def _status(self) -> pb.SiteStatus:
        return status_message(self._running.state.snapshot(), self._monitor.health())

    def _watched(
        self, request: pb.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchReply]:
        pause = max(request.seconds or 1.0, _LEAST_SECONDS)
        after, shown, told_at = request.after, b"", -pause
        while context.is_active() and not self._ending.is_set():
            for event in self._running.state.events(after):
                after = event.number
                yield pb.WatchReply(event=event_message(event))
            now = time.monotonic()
            if now - told_at >= pause:
                status = self._status()
                content = _content(status)
                if content != shown or now - told_at >= max(pause, _SILENT_SECONDS):
                    yield pb.WatchReply(status=status)
                    shown, told_at = content, now
            self._running.state.wait(min(pause, _WAIT))


def _decided(decide: Callable[[str, str], StudyRecord], bundle: str, by: str) -> StudyRecord:
    """Have a decision written down, which needs a name."""
    name = " ".join(by.split())
    if not bundle.strip() or not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise StudyError(
            "A decision needs a bundle and the name of who decides.",
            where="control plane",
            fix="Give the bundle's sha256 or the study's name, and who decides, in one line.",
        )
    return decide(bundle.strip(), name)


def _content(status: pb.SiteStatus) -> bytes:
    """What of a status is worth telling: all but the time."""
    kept = pb.SiteStatus()
    kept.CopyFrom(status)
    kept.ClearField("at")
    return bytes(kept.SerializeToString(deterministic=True))
