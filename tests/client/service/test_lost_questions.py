"""A question whose way to the site is cut off is asked again: the site connects anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.node_pb2 import Node
from flwr.supernode.fleet_http_client import FleetHttpClient

from client.service.fleet import watched_client
from client.service.link import ContactLog

PULL, OFF, ON = (
    f"/v1/fleet/{name}" for name in ("pull-messages", "deactivate-node", "send-node-heartbeat")
)


class Line:
    """The way to the coordinator: what was called over it, and what goes wrong next."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.wrong: list[Exception | None] = []

    def __call__(self, client: object, *, path: str, **call: Any) -> object:
        self.called.append(path)
        error = self.wrong.pop(0) if self.wrong else None
        if error is not None:
            raise error
        return object()


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    made = Line()
    monkeypatch.setattr(FleetHttpClient, "_unary_unary", lambda *a, **k: made(*a, **k))
    return made


@pytest.fixture
def client(line: Line, tmp_path: Path) -> Any:
    contacts = ContactLog("server", lambda text: None)
    return watched_client(contacts, tmp_path / "node")("https://127.0.0.1:1")


def pull(client: Any) -> bool:
    """Look for a message; False: there was no way to the coordinator."""
    try:
        client.PullMessages(PullMessagesRequest(node=Node(node_id=7)))
    except httpx.ConnectError:
        return False
    return True


def refused(status: int) -> httpx.HTTPStatusError:
    """An answer with an error."""
    request = httpx.Request("POST", "https://server")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(status))


@pytest.mark.parametrize(
    "cut", [httpx.ReadTimeout(""), httpx.ReadError(""), httpx.RemoteProtocolError(""), refused(504)]
)
def test_a_lost_answer_has_the_site_connect_anew_once(
    line: Line, client: Any, cut: Exception
) -> None:
    line.wrong = [cut]
    assert not pull(client)
    assert pull(client)
    assert pull(client)
    assert line.called == [PULL, OFF, ON, PULL, PULL]


@pytest.mark.parametrize("error", [httpx.ConnectError(""), httpx.ConnectTimeout("")])
def test_a_question_that_never_left_is_only_asked_again(
    line: Line, client: Any, error: Exception
) -> None:
    line.wrong = [error]
    assert not pull(client)
    assert pull(client)
    assert line.called == [PULL, PULL]


def test_it_connects_anew_even_when_that_fails_at_first(line: Line, client: Any) -> None:
    line.wrong = [httpx.ReadTimeout(""), refused(400), httpx.ReadTimeout("")]
    assert not pull(client)
    assert not pull(client)
    assert pull(client)
    assert line.called == [PULL, OFF, ON, OFF, ON, PULL]
