"""Requests with which somebody at a hospital might try to get past the proxy, to the APIs that authenticate nobody."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

ALLOWED = "/v1/fleet/pull-messages"
_TYPES = "content-type: application/protobuf\r\naccept: application/protobuf\r\n"


def post(path: str, body: bytes, *, version: str = "HTTP/1.1", more: str = "") -> bytes:
    """Return a whole, well-formed request, after which the connection is closed."""
    head = f"POST {path} {version}\r\nHost: localhost\r\n{_TYPES}{more}"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def attempts(target: str, body: bytes, internal: int) -> Iterator[tuple[str, bytes]]:
    """Yield a name and a request for everything that is tried.

    Args:
        target: a path that the proxy must not let through, such as /v1/control/list-runs.
        body: of the request to it.
        internal: the SuperLink's own port.
    """
    yield from ((f"path {path}", post(path, body)) for path in _paths(target))
    yield from _lines(target, body, internal)
    yield from _headers(target, body)
    yield from _smuggled(post(target, body))


def _paths(target: str) -> Iterator[str]:
    rest = target.removeprefix("/v1/")
    yield target
    yield target.upper()
    yield target.replace("/", "//")
    yield f"/{target}"
    yield f"/./v1/././{rest}"
    yield f"/%76%31/{rest}"
    yield "".join(f"%{ord(letter):02x}" if letter != "/" else letter for letter in target)
    for step in (
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "%252e%252e",
        "..;",
        "..%00",
        ". .",
        "..%5c",
        "..\\",
    ):
        yield f"/v1/fleet/{step}/{rest}"
    for slash in ("%2f", "%5c", "\\", "%252f", "%c0%af", "%ef%bc%8f"):
        yield f"/v1/fleet/..{slash}{rest.replace('/', slash)}"
    yield f"{ALLOWED}/../../{rest}"
    yield f"{ALLOWED}/..%2f..%2f{rest}"
    yield f"{ALLOWED}%00/../../{rest}"
    yield f"{ALLOWED}%20HTTP/1.1%0d%0aX:%20/../../{rest}"
    yield f"{ALLOWED}?/../../{rest}"
    yield f"{ALLOWED}#/../../{rest}"
    yield f"{target}?/v1/fleet/pull-messages"
    yield f"{target}#/v1/fleet/pull-messages"
    yield f"{target};/v1/fleet/pull-messages"
    yield f"{target}%3f/v1/fleet/pull-messages"
    yield f"{target}/../../fleet/pull-messages"
    yield from ("/", "/v1", "/v1/fleet/", "/v1/runtime/acquire-task", "/docs", "/openapi.json")


def _lines(target: str, body: bytes, internal: int) -> Iterator[tuple[str, bytes]]:
    for base in (f"https://localhost:{internal}", f"http://127.0.0.1:{internal}", "https://x"):
        yield f"absolute {base}", post(base + target, body)
        yield (
            f"absolute {base} with ..",
            post(f"{base}/v1/fleet/..{target.removeprefix('/v1')}", body),
        )
    yield (
        "authority with a path",
        post(f"https://localhost/v1/fleet@localhost:{internal}{target}", body),
    )
    yield "HTTP/1.0", post(target, body, version="HTTP/1.0")
    yield "HTTP/1.0 without a host", f"POST {target} HTTP/1.0\r\n\r\n".encode()
    yield "HTTP/0.9", f"GET {target}\r\n".encode()
    yield "HTTP/3.0", post(target, body, version="HTTP/3.0")
    yield "no version", f"POST {target}\r\n\r\n".encode()
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    yield "tab", post(target, body).replace(b" ", b"\t", 1)
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post", "X"):
        yield method, post(target, body).replace(b"POST", method.encode(), 1)
    yield (
        "CONNECT",
        f"CONNECT 127.0.0.1:{internal} HTTP/1.1\r\nHost: 127.0.0.1:{internal}\r\n\r\n".encode(),
    )
    yield "OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def _headers(target: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path"):
        yield header, post(ALLOWED, body, more=f"{header}: {target}\r\n")
    yield (
        "host with a path",
        post(ALLOWED, body).replace(b"localhost", b"localhost" + target.encode()),
    )
    yield "two hosts", post(target, body, more="Host: 127.0.0.1\r\n")
    yield (
        "upgrade",
        post(target, body, more="Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
    )
    yield (
        "websocket",
        post(target, body, more="Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
    )
    yield "expect", post(target, body, more="Expect: 100-continue\r\n")
    yield "a huge header", post(ALLOWED, body, more=f"X-Huge: {'a' * (1 << 20)}\r\n")
    yield "many headers", post(ALLOWED, body, more="".join(f"X-{n}: a\r\n" for n in range(5000)))
    yield "a huge path", post(ALLOWED + "a" * (1 << 18), body)
    yield "a null", post(target, body, more="X-Null: a\0b\r\n")
    yield "a folded line", post(target, body, more="X-Folded: a\r\n b\r\n")


def _smuggled(inner: bytes) -> Iterator[tuple[str, bytes]]:
    """A request inside a request: what one end takes for content, the other may take for the next request."""
    chunked = b"0\r\n\r\n" + inner
    lengths = (f"Content-Length: {len(chunked)}", "Content-Length: 5", "Content-Length: 0")
    codings = (
        "Transfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer_Encoding: chunked",
        "X: a\nTransfer-Encoding: chunked",
    )
    for length in lengths:
        for coding in codings:
            yield f"{length} and {coding!r}", _outer(f"{length}\r\n{coding}") + chunked
            yield f"{coding!r} and {length}", _outer(f"{coding}\r\n{length}") + chunked
    for length in (
        "Content-Length: 0\r\nContent-Length: 9",
        "Content-Length: +0",
        "Content-Length: -1",
    ):
        yield length, _outer(length) + inner
    for length in (
        "Content-Length: 0x0",
        "Content-Length: 0 9",
        "Content-Length: 99999999999999999999",
    ):
        yield length, _outer(length) + inner
    yield (
        "a chunk with an extension",
        _outer("Transfer-Encoding: chunked") + b"0;a\nb\r\n\r\n" + inner,
    )
    yield (
        "a chunk of a huge size",
        _outer("Transfer-Encoding: chunked") + b"1" * 20 + b"\r\n" + inner,
    )
    yield (
        "a trailer",
        _outer("Transfer-Encoding: chunked") + b"0\r\nContent-Length: 5\r\n\r\n" + inner,
    )
    yield "one after the other", _outer("Content-Length: 0") + inner


def _outer(lines: str) -> bytes:
    return f"POST {ALLOWED} HTTP/1.1\r\nHost: localhost\r\n{_TYPES}{lines}\r\n\r\n".encode(
        "latin-1"
    )


def said(
    address: tuple[str, int], trusted: ssl.SSLContext, request: bytes, seconds: float
) -> bytes:
    """Send a request over TLS and return all that comes back, until the other end hangs up or says no more."""
    answer = bytearray()
    with (
        socket.create_connection(address, timeout=seconds) as plain,
        trusted.wrap_socket(plain, server_hostname=address[0]) as connection,
    ):
        try:
            connection.sendall(request)
            while piece := connection.recv(1 << 16):
                answer += piece
        except OSError:  # hung up in the middle of the request, or said no more
            pass
    return bytes(answer)
