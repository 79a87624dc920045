"""A page for few callers at once, who may send what they like."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from common import page_server
from common.page_server import PageServer


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/fault":
            raise KeyError("a patient")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(page_server, "CALLERS", 2)
    monkeypatch.setattr(page_server, "SECONDS", 0.5)
    with PageServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield "127.0.0.1", server.server_port
        server.shutdown()
        thread.join()


def called(address: tuple[str, int], request: bytes) -> socket.socket:
    """Call, and say something."""
    made = socket.create_connection(address, timeout=5)
    made.sendall(request)
    return made


def heard(connection: socket.socket) -> bytes:
    """What comes back until it is hung up."""
    with connection:
        try:
            return connection.recv(1000)
        except ConnectionResetError:
            return b""


def test_callers_that_never_end_are_few_and_leave_soon(address: tuple[str, int]) -> None:
    slow = [called(address, b"GET / HT") for _ in range(2)]
    assert heard(called(address, b"GET / HTTP/1.0\r\n\r\n")) == b""
    assert [heard(each) for each in slow] == [b"", b""]
    assert heard(called(address, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200")


def test_a_fault_is_a_line_without_its_content_and_garbage_is_none(
    address: tuple[str, int], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    heard(called(address, b"\xff\x00\r\n\r\n"))
    assert heard(called(address, b"GET /fault HTTP/1.0\r\n\r\n")) == b""
    assert caplog.messages == ["a page could not be served: KeyError"]
    assert "Traceback" not in capfd.readouterr().err
