"""An agent that was killed leaves a task with its SuperNode; a new one has it given up at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from flwr.supernode.main import create_app
from runtime_api import RuntimeApi

from client.service import pages
from client.service.executor import Lost, Runtime, Unreachable
from client.service.link import BEGIN_PATH, LINK_HEADER, ContactLog, link_key
from client.service.remainders import tidying
from client.site import Connection

SECRET = b"shared secret"


class Node:
    """A SuperNode with our pages.

    Attributes:
        ends: how often it would have ended.
    """

    def __init__(self, api: RuntimeApi) -> None:
        self.ends = 0
        made = pages.with_pages(create_app, ContactLog("s:1", print), SECRET, self._end)
        self.client = TestClient(made(self))
        self.state = lambda: api.state

    def _end(self) -> None:
        self.ends += 1

    def begin(self, key: str) -> int:
        return int(self.client.post(BEGIN_PATH, headers={LINK_HEADER: key}).status_code)


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    started = RuntimeApi(SECRET)
    yield started
    started.stop()


@pytest.fixture
def node(api: RuntimeApi, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(pages.threading, "Timer", lambda _, end: AtOnce(end))
    return Node(api)


class AtOnce:
    """A timer without the wait."""

    def __init__(self, end: Any) -> None:
        self.start = end


@pytest.fixture
def runtime(api: RuntimeApi) -> Runtime:
    return Runtime(Connection(server="s:1", runtime=api.address), SECRET)


KEY = link_key(SECRET, BEGIN_PATH)


def test_a_task_that_nobody_took_is_left_for_the_new_agent(node: Node, api: RuntimeApi) -> None:
    assert node.begin(KEY) == 204
    api.ask(api.new_run(b"bundle"), "train")
    assert node.begin(KEY) == 204
    assert node.ends == 0


def test_a_task_in_hand_ends_the_supernode(node: Node, api: RuntimeApi, runtime: Runtime) -> None:
    api.ask(api.new_run(b"bundle"), "train")
    assert runtime.acquire() is not None
    assert node.begin(KEY) == pages.BEGINS_ANEW
    assert node.ends == 1


def test_a_message_in_hand_ends_the_supernode_when_its_task_is_forgotten(
    node: Node, api: RuntimeApi, runtime: Runtime
) -> None:
    api.ask(api.new_run(b"bundle"), "train")
    task = runtime.acquire()
    assert task is not None
    task.open()
    api.state.task_token_store.clear()
    assert node.begin(KEY) == pages.BEGINS_ANEW


def test_only_who_knows_the_secret_may_end_it(
    node: Node, api: RuntimeApi, runtime: Runtime
) -> None:
    api.ask(api.new_run(b"bundle"), "train")
    runtime.acquire()
    for wrong in ("", "00", link_key(b"another", BEGIN_PATH), link_key(SECRET)):
        assert node.begin(wrong) == 401
    assert node.ends == 0


def test_a_stock_supernode_does_not_mind(api: RuntimeApi, runtime: Runtime) -> None:
    assert runtime.begin()
    api.stop()
    with pytest.raises(Unreachable):
        runtime.begin()


class TestTidying:
    """A run that ends while its message is fetched leaves nothing that keeps the agent."""

    def pull(self, api: RuntimeApi, run: int | None) -> None:
        tidying(lambda **_: run)(state=api.state, object_store=api.state.object_store)

    def test_what_was_given_up_is_dropped(self, api: RuntimeApi, runtime: Runtime) -> None:
        api.ask(api.new_run(b"bundle"), "train")
        task = runtime.acquire()
        assert task is not None
        api.ask(api.new_run(b"other"), "train")
        self.pull(api, None)
        assert runtime.acquire() is None
        assert not api.state.msg_store
        with pytest.raises(Lost):
            task.open()

    def test_what_was_fetched_stays(self, api: RuntimeApi, runtime: Runtime) -> None:
        api.ask(api.new_run(b"bundle"), "train")
        self.pull(api, 1)
        assert runtime.acquire() is not None
