"""On which addresses a SuperNode serves its agent."""

from __future__ import annotations

import pytest

from client.service.link import EVERYWHERE, listening_host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "[::1]"])
def test_one_machine_needs_the_loopback_only(host: str) -> None:
    assert listening_host(host) == "127.0.0.1"


@pytest.mark.parametrize("host", ["dmz.hospital.example", "192.0.2.77", "[2001:db8::1]"])
def test_what_is_no_address_of_this_machine_leaves_it_open(host: str) -> None:
    assert listening_host(host) == EVERYWHERE
