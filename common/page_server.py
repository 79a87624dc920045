"""Serves a page over HTTP to few callers at once, each for a short time; what garbage they send is nobody's news."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CALLERS = 32
"""Whoever comes when so many are there is turned away: callers that never end must not use up a process's files."""

SECONDS = 10.0
"""Until a caller is hung up on, whatever it still has to say or to hear."""

log = logging.getLogger(__name__)


class PageServer(ThreadingHTTPServer):
    """Serves in threads of its own.

    Args:
        address: host and port.
        handler: answers one caller.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(CALLERS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a caller in while there is a place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one caller, and give its place back."""
        limit = threading.Timer(SECONDS, _hang_up, (request,))
        limit.daemon = True
        limit.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Name a fault of the page in a line; a caller that hangs up, or sends no HTTP, is none."""
        error = sys.exception()
        if not isinstance(error, OSError | ValueError):
            log.error("a page could not be served: %s", type(error).__name__)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
