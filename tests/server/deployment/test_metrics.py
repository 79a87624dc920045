"""What the metrics page tells, and when the health page says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from common.certificates import Pair, issue
from common.errors import MachineError
from common.supervise import ProgramState, Supervisor
from server.deployment.flower_records import NodeState
from server.deployment.folder import CoordinatorFolder
from server.deployment.metrics import Metrics, serve
from server.deployment.pulse import Pulse, Seen

WELL = ProgramState(running=True, ready=True)


class Programs(Supervisor):
    """A supervisor of programs that are as told."""

    def __init__(self, **states: ProgramState) -> None:
        self._states = states

    def states(self) -> dict[str, ProgramState]:
        return self._states


@contextmanager
def page(folder: CoordinatorFolder, programs: Programs) -> Iterator[str]:
    """Serve the page and give its address."""
    pulse = Pulse(folder)
    online = NodeState(1, "a", "online", datetime.now(UTC))
    pulse.seen = Seen(1.0, (online, NodeState(2, "b", "offline", None)), ())
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serve(("127.0.0.1", port), Metrics(folder, pulse, programs)):
        yield f"http://127.0.0.1:{port}"
    assert not any(
        thread.name == "metrics" and thread.is_alive() for thread in threading.enumerate()
    )


def read(address: str) -> str:
    with urlopen(address) as answer:
        text: str = answer.read().decode()
    return text


def code(address: str) -> int:
    try:
        with urlopen(address) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_the_figures(made: CoordinatorFolder) -> None:
    stuck = ProgramState(running=True, ready=True, restarts=2, problem="it does not answer")
    with page(made, Programs(superlink=stuck, proxy=WELL)) as address:
        text = read(f"{address}/metrics")
    assert 'consilium_program_up{program="superlink"} 0.0' in text
    assert 'consilium_program_up{program="proxy"} 1.0' in text
    assert 'consilium_program_restarts{program="superlink"} 2.0' in text
    assert "consilium_sites_online 1.0" in text
    assert 'consilium_runs{standing="running"} 0.0' in text


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (WELL, 200),
        (ProgramState(running=True, ready=False), 503),
        (ProgramState(running=True, ready=True, problem="a run waits to be started"), 503),
        (ProgramState(), 503),
    ],
)
def test_health_is_progress(made: CoordinatorFolder, state: ProgramState, expected: int) -> None:
    with page(made, Programs(superlink=WELL, superexec=state)) as address:
        assert code(f"{address}/health") == expected


def test_an_expired_certificate_is_not_healthy(made: CoordinatorFolder, tmp_path: Path) -> None:
    class Expired(CoordinatorFolder):
        @property
        def certificate(self) -> Path:
            return tmp_path / "expired.crt"

    files = Pair(tmp_path / "expired.crt", tmp_path / "expired.key")
    issue(files, Pair(made.authority, made.authority_key), "x", ["localhost"], days=-1)
    with page(Expired(made.path), Programs(superlink=WELL)) as address:
        assert code(f"{address}/health") == 503


def test_nothing_else_is_served(made: CoordinatorFolder) -> None:
    with page(made, Programs(superlink=WELL)) as address:
        assert code(f"{address}/") == 404
        taken = int(address.rpartition(":")[2])
        with (
            pytest.raises(MachineError, match="cannot be served"),
            serve(("127.0.0.1", taken), Metrics(made, Pulse(made), Programs())),
        ):
            pass
