"""The coordinator's time, as a site knows it without trusting a clock of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.service.executor import CLOCKS_DIFFER, Runtime, Unreachable
from client.service.fleet import watched_client
from client.service.link import ContactLog
from client.site import Connection
from common.deadline import ends, lifetime


def test_a_round_ends_where_coordinator_and_site_say() -> None:
    for deadline in (0.5, 59.0, 600.0):
        for left in (0.0, 0.3, deadline):
            assert ends(1000.0, lifetime(left, deadline), deadline) == pytest.approx(1000.0 + left)


def test_the_time_is_that_of_the_last_answer_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    contacts, now = ContactLog("s", lambda _: None), [50.0]
    monkeypatch.setattr("client.service.link.time.monotonic", lambda: now[0])
    assert contacts.time_there() == 0.0
    for nothing in (None, "", "soon", "Sat, 99 Nov 2026 17:00:00 GMT"):
        contacts.hears_time(nothing)
    assert contacts.time_there() == 0.0
    contacts.hears_time("Thu, 01 Jan 1970 00:10:00 GMT")
    now[0] += 30.0
    monkeypatch.setattr("client.service.link.time.time", lambda: 1e12)  # this machine's clock jumps
    assert contacts.page()["there"] == pytest.approx(630.0)


def test_every_answer_of_the_coordinator_tells_its_time(tmp_path: Path) -> None:
    contacts = ContactLog("s", lambda _: None)
    client = watched_client(contacts, tmp_path / "node")("https://coordinator")

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"date": "Thu, 01 Jan 1970 00:10:00 GMT"})

    client._client._transport = httpx.MockTransport(answer)
    with client:
        client._client.post("https://coordinator/v1/fleet/pull-messages")
    assert contacts.time_there() == pytest.approx(600.0, abs=5.0)


@pytest.mark.parametrize("told", [{}, {"there": 0.0}, {"there": "late"}, {"there": True}, None])
def test_where_it_is_not_known_no_round_is_over_too_early(
    monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    def link(self: Runtime) -> Any:
        if told is None:
            raise Unreachable("gone")
        return told

    monkeypatch.setattr(Runtime, "link", link)
    runtime = Runtime(Connection(server="s:1", runtime="127.0.0.1:1"), b"secret")
    assert time.time() - runtime.time_there() == pytest.approx(CLOCKS_DIFFER, abs=5.0)
    monkeypatch.setattr(Runtime, "link", lambda self: {"there": 1234.5})
    assert runtime.time_there() == 1234.5
    runtime.close()
