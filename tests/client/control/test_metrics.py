"""The Prometheus page."""

from __future__ import annotations

import math
import socket
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from processes import wait_until
from prometheus_client.parser import text_string_to_metric_families

from client.control.server import ControlServer
from client.service.state import Doing, Link, Work
from common.errors import MachineError, TamperedError


def page(server: ControlServer) -> dict[tuple[str, tuple[str, ...]], float]:
    """Read the page: (name, label values) → figure."""
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def server(start: Callable[..., ControlServer]) -> ControlServer:
    """A control plane with a page on a free port."""
    return start(metrics="127.0.0.1:0")


def test_the_page_tells_work_spending_and_health(server: ControlServer, running: Any) -> None:
    running.state.update(lambda now: replace(now, answered=5, refused=2, bytes_sent=1234))
    running.state.work("tum", Work("tum", "small", "f" * 64, 3, Doing.TRAINING, 4, 9))
    running.state.work("lmu", Work("lmu", "other", "e" * 64, 1, Doing.QUEUED))
    running.lines.append(replace(running.lines[0], population="children", spent=math.inf))
    wait_until(lambda: page(server)["consilium_site_healthy", ()] == 1)
    found = page(server)
    assert found["consilium_site_tasks_answered_total", ()] == 5
    assert found["consilium_site_tasks_refused_total", ()] == 2
    assert found["consilium_site_bytes_sent_total", ()] == 1234
    assert found["consilium_site_queue", ()] == 1
    assert found["consilium_site_round", ("tum", "small")] == 3
    assert found["consilium_site_step", ("tum", "small")] == 4
    assert found["consilium_site_epsilon_spent", ("0.001", "whole site")] == 1.25
    assert found["consilium_site_epsilon_limit", ("0.001", "whole site")] == 8.0
    assert found["consilium_site_epsilon_spent", ("0.001", "children")] == math.inf
    assert found["consilium_site_contact_time_seconds", ("tum",)] > 0


def test_the_page_says_when_there_is_no_progress(server: ControlServer, running: Any) -> None:
    running.state.link(Link("tum", "tum:443", polled=time.time(), problem="no route"))
    found = page(server)
    assert found["consilium_site_healthy", ()] == 0
    assert found["consilium_site_live", ()] == 1
    assert found["consilium_site_problems", ("link",)] == 1


def test_a_ledger_that_does_not_hold_gives_no_figures(server: ControlServer, running: Any) -> None:
    def broken() -> Any:
        raise TamperedError("It does not hold.")

    server.budget._ask = broken
    found = page(server)
    assert not any("epsilon" in name for name, _ in found)
    assert ("consilium_site_healthy", ()) in found


def test_without_an_address_there_is_no_page(start: Callable[..., ControlServer]) -> None:
    assert start().metrics == ""


def test_a_port_in_use_is_said_and_nothing_stays_behind(
    start: Callable[..., ControlServer], server: ControlServer, folder: Any
) -> None:
    address = server.metrics
    server.stop(0.1)
    taken = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
    with taken, pytest.raises(MachineError, match="metrics page"):
        start(metrics=address)
    assert not folder.control_socket.exists()
