"""How the supervisor of a site sees whether its two halves make progress."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from client.service.link import LINK_HEADER, LINK_PATH, link_key
from client.site import Connection, Site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError

_SECONDS = 2.0
_SILENCE = 300.0
_BETWEEN = 10.0


class SuperNodeProbe:
    """Asks a SuperNode's link page.

    A coordinator that is not in reach is no reason to start the SuperNode again: it tries for ever. What cannot mend
    itself is one that does not answer at all, or that says nothing is wrong and yet reached nobody for minutes.

    Args:
        connection: where the SuperNode is.
        secret: file with what it shares with the agent.
        say: told when the contact with the coordinator changes.
    """

    def __init__(self, connection: Connection, secret: Path, say: Callable[[str], None]) -> None:
        self._connection = connection
        self._secret = secret
        self._say = say
        self._said = ""

    def ready(self) -> bool:
        """Whether it serves."""
        with suppress(OSError, ValueError):
            return bool(self.page())
        return False

    def alive(self) -> str:
        """Return "" or why it is stuck."""
        try:
            page = self.page()
        except (OSError, ValueError):
            return "its runtime API does not answer"
        self._tell(page)
        silent = time.time() - float(page["contact"])
        if page["contact"] and not page["problem"] and silent > _SILENCE:
            return f"it has not called the coordinator for {silent / 60:.0f} minutes"
        return ""

    def page(self) -> dict[str, Any]:
        """Return the link page.

        Raises:
            OSError, ValueError: there is none.
        """
        scheme, handlers = "http", [ProxyHandler({})]
        if self._connection.runtime_certificates is not None:
            scheme = "https"
            context = ssl.create_default_context(cafile=str(self._connection.runtime_certificates))
            handlers.append(HTTPSHandler(context=context))  # type: ignore[arg-type]
        url = f"{scheme}://{self._connection.runtime}{LINK_PATH}"
        asked = Request(url, headers={LINK_HEADER: link_key(self._secret.read_bytes())})
        try:
            with build_opener(*handlers).open(asked, timeout=_SECONDS) as answer:
                page: dict[str, Any] = json.load(answer)
        except URLError as error:
            raise OSError(str(error.reason)) from None
        return page

    def _tell(self, page: dict[str, Any]) -> None:
        contact = f"in contact with {page['server']}" if page["contact"] else ""
        said = str(page["problem"]) or contact
        if said and said != self._said:
            self._say(said)
            self._said = said


class AgentProbe:
    """Asks the agent's control plane whether a restart would help.

    Args:
        site: whose agent it is.
        folder: its private files.
    """

    def __init__(self, site: Site, folder: SiteFolder) -> None:
        self._site = site
        self._folder = folder
        self._asked_at = -_BETWEEN
        self._answer = ""

    def ready(self) -> bool:
        """Whether the control plane listens."""
        control = self._site.service.control
        if control == "unix":
            from client.control.sockets import answers

            return answers(self._folder.control_socket)
        host, _, port = control.rpartition(":")
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _SECONDS):
            return True
        return False

    def alive(self) -> str:
        """Return "" or why it is stuck; asked every few seconds only, for the answer takes some work."""
        if time.monotonic() - self._asked_at >= _BETWEEN:
            self._answer = self._ask()
            self._asked_at = time.monotonic()
        return self._answer

    def _ask(self) -> str:
        from client.control.client import Place, connected
        from common.proto import site_control_pb2 as pb

        unix = self._site.service.control == "unix"
        place = Place(
            socket=self._folder.control_socket if unix else None,
            address="" if unix else self._site.service.control,
            certificates=self._folder.tls,
        )
        try:
            with connected(place) as stub:
                health = stub.Status(pb.StatusRequest(), timeout=_BETWEEN).status.health
        except ConsiliumError as error:
            return error.what
        stuck = [reason.problem for reason in health.reasons]
        return "" if health.live else (stuck[0] if stuck else "it makes no progress")
