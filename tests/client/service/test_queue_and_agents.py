"""One training at a time in the order of arrival; warm agents within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from client.service.agents import WarmAgents
from client.service.queue import Queue
from client.site import Site
from client.site_folder import SiteFolder
from client.training.workspace import Silent
from common.errors import Interrupted, MachineError, PolicyError
from common.study import Study

MakeStudy = Callable[..., Study]


def test_the_device_is_given_in_the_order_of_arrival() -> None:
    queue, order, inside = Queue(), [], []

    def work(number: int) -> None:
        with queue.turn(lambda: False):
            inside.append(number)
            assert len(inside) == 1, "two at a time"
            order.append(number)
            time.sleep(0.01)
            inside.remove(number)

    threads = []
    with queue.turn(lambda: False):
        for number in range(4):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            until = time.monotonic() + 2
            while queue.waiting <= number and time.monotonic() < until:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]
    assert queue.waiting == 0


def test_a_failure_frees_the_device() -> None:
    queue = Queue()
    with pytest.raises(ZeroDivisionError), queue.turn(lambda: False):
        raise ZeroDivisionError
    with queue.turn(lambda: False):
        pass


def test_stopping_ends_the_wait() -> None:
    queue, stopping = Queue(), threading.Event()
    ended: list[str] = []

    def wait() -> None:
        try:
            with queue.turn(stopping.is_set):
                ended.append("worked")
        except Interrupted:
            ended.append("interrupted")

    with queue.turn(lambda: False):
        thread = threading.Thread(target=wait)
        thread.start()
        stopping.set()
        thread.join(timeout=5)
    assert ended == ["interrupted"]


@pytest.fixture
def warm(hospital: Callable[..., Site]) -> Callable[..., WarmAgents]:
    def make(**keys: Any) -> WarmAgents:
        site = hospital()
        silent = {"watch": lambda *_: Silent(), "approved": lambda _: None}
        return WarmAgents(site, SiteFolder(site.folder), **{**silent, **keys})

    return make


def test_an_agent_stays_warm_until_others_need_its_place(
    warm: Callable[..., WarmAgents], make_study: MakeStudy
) -> None:
    agents = warm(most=2)
    one, two, three = (make_study(study={"name": name}) for name in ("one", "two", "three"))
    first, second = agents.get(one), agents.get(two)
    assert agents.get(one) is first
    agents.get(three)
    assert agents.get(one) is first
    assert agents.get(two) is not second, "the one used longest ago was let go"


def test_prepared_data_are_bounded(warm: Callable[..., WarmAgents], make_study: MakeStudy) -> None:
    agents = warm(most_bytes=1)
    first = agents.get(make_study())
    first.describe()
    assert first.held_bytes > 1
    agents.get(make_study(study={"name": "other"}))
    assert agents.get(make_study()) is not first


def test_an_agent_asks_for_the_approval_and_stops(
    warm: Callable[..., WarmAgents], make_study: MakeStudy, ask: Callable[..., Any]
) -> None:
    def refuse(study: Study) -> None:
        raise PolicyError(f"not {study.name}")

    with pytest.raises(PolicyError, match="not small"):
        warm(approved=refuse).get(make_study()).describe()
    agents = warm()
    before = agents.get(make_study())
    agents.stop()
    for agent in (before, agents.get(make_study(study={"name": "later"}))):
        with pytest.raises(Interrupted):
            agent.handle(ask(agent))


def test_a_testing_seed_makes_the_secret_of_the_simulation(
    warm: Callable[..., WarmAgents], make_study: MakeStudy
) -> None:
    import hashlib

    agent = warm(testing_seed=3).get(make_study())
    assert agent._secret == hashlib.sha256(b"simulated site|3|north").digest()
    assert agent.randomness.origin == "fixed"


def test_a_lost_secret_is_told(hospital: Callable[..., Site], make_study: MakeStudy) -> None:
    site = hospital()
    folder = SiteFolder(site.folder)
    folder.secret.unlink()
    agents = WarmAgents(site, folder, watch=lambda *_: Silent(), approved=lambda _: None)
    with pytest.raises(MachineError, match="secret cannot be read") as caught:
        agents.get(make_study())
    assert "backup" in caught.value.fix
