"""Nodes and runs as Flower's SuperLink knows them, read from its messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

REGISTERED, ONLINE, OFFLINE, UNREGISTERED = "registered", "online", "offline", "unregistered"
PENDING, STARTING, RUNNING, FINISHED = "pending", "starting", "running", "finished"


@dataclass(frozen=True)
class NodeState:
    """A node as the SuperLink knows it.

    Attributes:
        node: Flower's id.
        name: given at its registration.
        standing: registered (never seen), online, offline or unregistered.
        since: when it entered that standing, or None.
    """

    node: int
    name: str
    standing: str
    since: datetime | None


@dataclass(frozen=True)
class FlowerRun:
    """A run as the SuperLink knows it.

    Attributes:
        id: Flower's id.
        status: pending, starting, running or finished.
        outcome: completed, failed or stopped, when finished.
        details: what Flower says about the outcome.
        submitted: when it was submitted.
        bundle: the sha256 of its bundle.
    """

    id: int
    status: str
    outcome: str
    details: str
    submitted: datetime | None
    bundle: str


def node_of(info: Any) -> NodeState:
    """Read Flower's NodeInfo."""
    moments = {
        REGISTERED: info.registered_at,
        ONLINE: info.last_activated_at,
        OFFLINE: info.last_deactivated_at,
        UNREGISTERED: info.unregistered_at,
    }
    return NodeState(info.node_id, info.name, info.status, _moment(moments.get(info.status, "")))


def run_of(run: Any) -> FlowerRun:
    """Read Flower's Run."""
    status = run.status
    return FlowerRun(
        id=run.run_id,
        status=status.status,
        outcome=status.sub_status,
        details=status.details,
        submitted=_moment(run.pending_at),
        bundle=run.fab_hash,
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
