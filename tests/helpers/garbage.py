"""Garbage for open ports: random bytes, half handshakes, requests that never end, wrong protobufs, wrong HTTP/2."""

from __future__ import annotations

import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

SECONDS = 2.0
"""Patience with one answer."""


@dataclass(frozen=True)
class Request:
    """An HTTP request that makes sense, to be spoiled.

    Attributes:
        method, path: of its first line.
        headers: freshly made, for they may be signed.
        body: its content.
    """

    method: str
    path: str
    headers: Callable[[], dict[str, str]] = dict
    body: bytes = b""

    def bytes_with(self, body: bytes, more: str = "") -> bytes:
        """Return the request with another body."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers().items())
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\n{lines}{more}"
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Door:
    """A port, or a socket, that somebody may knock at.

    Attributes:
        name: for messages.
        address: host and port, or the path of a Unix socket.
        tls: how to get in; none: it speaks in the clear.
        requests: what its service understands; none: it speaks gRPC.
        lurkers: how many connections may be held open without a word.
    """

    name: str
    address: tuple[str, int] | str
    tls: ssl.SSLContext | None = None
    requests: Sequence[Request] = ()
    lurkers: int = 20

    def plain(self) -> socket.socket:
        """Connect, without a handshake."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        made = socket.socket(family)
        made.settimeout(SECONDS)
        try:
            made.connect(self.address)
        except OSError:
            made.close()
            raise
        return made

    def inside(self) -> socket.socket:
        """Connect, and shake hands where that is asked for."""
        plain = self.plain()
        if self.tls is None:
            return plain
        try:
            return self.tls.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise


Attack = Callable[[Door, random.Random], None]


def knock(doors: Sequence[Door], seconds: float, seed: int, threads: int = 3) -> dict[str, int]:
    """Throw garbage at doors for a while; return how often at each.

    Args:
        doors: all of them.
        seconds: how long.
        seed: of the garbage.
        threads: how many throw.
    """
    end, counts = time.monotonic() + seconds, dict.fromkeys((door.name for door in doors), 0)

    def throw(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        while time.monotonic() < end:
            door = chance.choice(doors)
            attack = chance.choice(_HTTP if door.requests else _GRPC)
            with suppress(OSError):  # hanging up is a good answer
                attack(door, chance)
            counts[door.name] += 1

    throwing = [threading.Thread(target=throw, args=(number,)) for number in range(threads)]
    for each in throwing:
        each.start()
    for each in throwing:
        each.join()
    return counts


@dataclass
class Lurkers:
    """Connections that say a byte now and then, and never enough; held while it is entered."""

    doors: Sequence[Door]
    held: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Lurkers:
        for door in self.doors:
            for number in range(door.lurkers):
                with suppress(OSError):
                    made = door.plain() if number % 2 else door.inside()
                    self.held.append(made)
                    made.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nX: " if number % 4 else b"P")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for each in self.held:
            each.close()

    def _drip(self) -> None:
        while not self._over.wait(1.0):
            for each in self.held:
                with suppress(OSError):
                    each.send(b"a")


def _random_bytes(door: Door, chance: random.Random) -> None:
    with door.plain() if chance.random() < 0.5 else door.inside() as connection:
        connection.sendall(chance.randbytes(chance.choice((1, 64, 5000, 200_000))))
        _listen(connection)


def _half_handshake(door: Door, chance: random.Random) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    caller = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        caller.do_handshake()
    hello = bytearray(outgoing.read())
    for _ in range(chance.randrange(3)):
        hello[chance.randrange(len(hello))] ^= 1 << chance.randrange(8)
    with door.plain() as connection:
        connection.sendall(hello[: chance.randrange(1, len(hello) + 1)])
        if chance.random() < 0.5:  # hang up at once, with a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.settimeout(0.2)
            _listen(connection)


def _truncated(door: Door, chance: random.Random) -> None:
    request = chance.choice(door.requests)
    whole = request.bytes_with(request.body or b"abc")
    with door.inside() as connection:
        connection.sendall(whole[: chance.randrange(len(whole))])
        if chance.random() < 0.5:
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.2)
            _listen(connection)


def _huge_head(door: Door, chance: random.Random) -> None:
    request = chance.choice(door.requests)
    more = chance.choice(
        (
            f"X-Huge: {'a' * chance.choice((9_000, 70_000, 1 << 20))}\r\n",
            "".join(f"X-{number}: a\r\n" for number in range(chance.choice((200, 3000)))),
            "Content-Length: 99999999999\r\n",
            "Transfer-Encoding: chunked\r\n",
            f"X-{chr(chance.randrange(1, 32))}: a\r\n",
            f"Expect: 100-continue\r\nCookie: {'b=c; ' * 2000}\r\n",
        )
    )
    _say(door, request.bytes_with(request.body, more), chance)


def _wrong_protobuf(door: Door, chance: random.Random) -> None:
    request = chance.choice(door.requests)
    _say(door, request.bytes_with(_protobuf(request.body, chance)), chance)


def _protobuf(body: bytes, chance: random.Random) -> bytes:
    """Return what is no such message, or one of unheard-of content."""
    spoilt = bytearray(body or b"\x0a\x03abc")
    for _ in range(chance.randrange(1, 5)):
        spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return chance.choice(
        (
            chance.randbytes(chance.choice((1, 50, 5000))),
            bytes(spoilt),
            bytes(spoilt) * 50,
            body[: len(body) // 2],
            b"",
            b"\x0a\xff\xff\xff\xff\x0f" + bytes(20),  # a field of 4 GB
            b"\x0b" * 20_000,  # groups within groups
            b"\x0a\x05" * 5000,
            bytes(1 << 20),
            b'{"node": {"node_id": 1}}',
        )
    )


def _wrong_frames(door: Door, chance: random.Random) -> None:
    """HTTP/2 as gRPC speaks it, up to a point."""
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"")
    for _ in range(chance.randrange(1, 40)):
        payload = chance.randbytes(chance.choice((0, 4, 8, 40, 2000, 20_000)))
        stream = chance.choice((0, 1, 3, 2, 0x7FFFFFFF))
        sent += _frame(chance.randrange(12), chance.randrange(256), stream, payload)
    _say(door, sent, chance)


def _flood(door: Door, chance: random.Random) -> None:
    """Many frames of one kind: settings, pings, resets, headers that go on for ever."""
    kind, flags, stream, payload = chance.choice(
        ((4, 0, 0, bytes(6)), (6, 0, 0, bytes(8)), (3, 0, 1, bytes(4)), (9, 0, 1, b"a" * 1000))
    )
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 0, 1, b"\x82")
    _say(door, sent + _frame(kind, flags, stream, payload) * 500, chance)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _say(door: Door, content: bytes, chance: random.Random) -> None:
    with door.inside() as connection:
        connection.sendall(content)
        if chance.random() < 0.8:
            _listen(connection)


def _listen(connection: socket.socket) -> None:
    """Hear one answer, if there is one soon."""
    with suppress(TimeoutError):
        connection.settimeout(min(connection.gettimeout() or SECONDS, 0.5))
        connection.recv(1 << 16)


_ANY: tuple[Attack, ...] = (_random_bytes, _half_handshake)
_HTTP: tuple[Attack, ...] = (
    *_ANY,
    _truncated,
    _huge_head,
    _wrong_protobuf,
    _wrong_protobuf,
    _wrong_frames,
)
_GRPC: tuple[Attack, ...] = (*_ANY, _wrong_frames, _flood)
