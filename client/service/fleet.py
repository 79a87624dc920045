"""How a site's SuperNode calls its coordinator; the parts are imported when they are needed, for they bring Flower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from client.service.enrolment import UNKNOWN, Enrolment, ask_enrolment
from client.service.link import ContactLog

__all__ = ["UNKNOWN", "Enrolment", "ask_enrolment", "watched_client"]


def watched_client(contacts: ContactLog, node_file: Path) -> type[Any]:
    """Return Flower's client of the Fleet API, changed to note every call and to leave trying again to its caller.

    Args:
        contacts: where calls are noted.
        node_file: keeps the node's id, to sign it off after a crash.
    """
    from client.service.watched import WatchedClient

    return type("WatchedClient", (WatchedClient,), {"contacts": contacts, "node_file": node_file})
