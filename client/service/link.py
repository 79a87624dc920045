"""Where a SuperNode serves its agent, how it tells when it last reached the coordinator, and who may ask it."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime

LINK_PATH, BEGIN_PATH = "/v1/consilium/link", "/v1/consilium/begin"
LINK_HEADER = "X-Consilium-Auth"
EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True)
class Contact:
    """What a SuperNode knows of its coordinator.

    Attributes:
        contact: when a call last succeeded, in seconds since 1970; 0: never.
        node: Flower's id of the node; 0: not known yet.
        server: host:port of the coordinator.
        problem: why there is no contact, in words; empty when there is.
        asked: how often it has asked for work. It does one thing after the other: whatever it had in hand before it
            asks again is over.
    """

    server: str
    contact: float = 0.0
    node: int = 0
    problem: str = ""
    asked: int = 0


class ContactLog:
    """The contact of one SuperNode; any thread may note or read it.

    Args:
        server: host:port of the coordinator.
        say: told one line a change.
    """

    def __init__(self, server: str, say: Callable[[str], None]) -> None:
        self._now = Contact(server)
        self._say = say
        self._ahead: float | None = None
        self._lock = threading.Lock()

    def reached(self, *, node: int = 0) -> None:
        """Note a call that succeeded."""
        with self._lock:
            was = self._now
            self._now = replace(was, contact=time.time(), node=node or was.node, problem="")
        if was.problem or not was.contact:
            self._say(f"in contact with {was.server}")

    def hears_time(self, date: str | None) -> None:
        """Note the time that an answer of the coordinator bears, as HTTP writes it; what is none is passed over."""
        try:
            told = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        with self._lock:
            self._ahead = told - time.monotonic()

    def time_there(self) -> float:
        """Return the coordinator's time, in seconds since 1970; 0: not known. No clock of this machine counts."""
        with self._lock:
            return 0.0 if self._ahead is None else self._ahead + time.monotonic()

    def asks(self) -> None:
        """Note that it is about to ask for work."""
        with self._lock:
            self._now = replace(self._now, asked=self._now.asked + 1)

    def failed(self, problem: str) -> None:
        """Note a call that failed, and why."""
        with self._lock:
            was = self._now
            self._now = replace(was, problem=problem)
        if was.problem != problem:
            self._say(problem)

    def read(self) -> Contact:
        """Return what is known now."""
        with self._lock:
            return self._now

    def page(self) -> dict[str, object]:
        """Return the same as the page shows it, with the coordinator's time as `there`."""
        return {**asdict(self.read()), "there": self.time_there()}


def link_key(secret: bytes, path: str = LINK_PATH) -> str:
    """Return what whoever asks for a page must send: it proves the secret without showing it."""
    purpose = path.rpartition("/")[2].encode()
    return hmac.new(secret, purpose, hashlib.sha256).hexdigest()


def may_ask(secret: bytes, shown: str | None, path: str = LINK_PATH) -> bool:
    """Return whether somebody who asks for a page knows the secret."""
    return hmac.compare_digest(link_key(secret, path).encode(), (shown or "").encode())


def is_here(host: str) -> bool:
    """Return whether a host is this machine's loopback."""
    return host.strip("[]") in ("localhost", "::1") or host.startswith("127.")


def listening_host(host: str) -> str:
    """Return the address on which a SuperNode serves its agent, who calls it by `host`.

    An address of this machine is served alone: the other side of a DMZ then finds no open port. A name, or an address
    that somebody else translates, as for containers, tells nothing about this machine's addresses: all are served.
    """
    if is_here(host):
        return "127.0.0.1"
    try:
        address = str(ipaddress.IPv4Address(host))
        with socket.socket() as probe:
            probe.bind((address, 0))
    except (ValueError, OSError):
        return EVERYWHERE
    return address
