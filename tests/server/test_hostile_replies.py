"""What a hostile site's reply may cause at the coordinator: that site's failure by name, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid, http_grid

from server.flower_messages import DAMAGED, TOO_LARGE, Word, damaged, hasten, question_id, why, word
from server.post import Post

MOST = 10 << 20


class Remote(HttpGrid):
    """A SuperLink that gives what it is told to; the ids that nobody is to fetch any more are in `discarded`."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(token="x")
        self.set_run(Run.create_empty(7))
        self.given = given
        self.discarded: list[str] = []

    @property
    def _runtime_client(self) -> Any:
        return self

    def ConfirmMessageReceived(self, request: Any) -> None:  # noqa: N802
        """Note what is discarded."""
        self.discarded.append(request.message_object_id)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Give or raise."""
        (asked,) = message_ids
        what = self.given.get(asked)
        if isinstance(what, Exception):
            raise what
        return [] if what is None else [what]


@pytest.fixture(autouse=True)
def _as_flower_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_grid, "pull_objects", inflatable_utils.pull_objects)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


def answer(question: str) -> Message:
    """Return a reply that says which question it answers."""
    asked = Message(RecordDict(), 11, "train")
    asked.metadata.__dict__["_message_id"] = question
    return Message(RecordDict(), reply_to=asked)


def test_no_more_of_a_reply_is_held_than_the_study_allows() -> None:
    grid = Remote({})
    hasten(grid, most=lambda: MOST)
    pulled = []

    def pull(part: str) -> bytes:
        pulled.append(part)
        return bytes(1 << 20)

    quick: Any = http_grid.pull_objects
    assert len(quick([str(n) for n in range(10)], pull)) == 10
    pulled.clear()
    with pytest.raises(inflatable_utils.ObjectPullError, match=TOO_LARGE):
        quick([*map(str, range(60)), "the message"], pull)
    assert len(pulled) <= 13  # two threads
    assert grid.discarded == ["the message"]


def test_a_reply_of_very_many_parts_is_refused_unread() -> None:
    grid = Remote({})
    hasten(grid, most=lambda: MOST)
    quick: Any = http_grid.pull_objects
    with pytest.raises(inflatable_utils.ObjectPullError, match=TOO_LARGE):
        quick([*map(str, range(100_000)), "the message"], lambda _: pytest.fail("it was read"))
    assert grid.discarded == ["the message"]


def test_a_reply_that_is_too_large_is_its_sites_failure() -> None:
    reply = damaged("q")
    reply.error.__dict__["_code"] = ErrorCode.MESSAGE_UNAVAILABLE
    reply.error.__dict__["_reason"] = f"Reply message objects are unavailable. … {TOO_LARGE}"
    assert (word(reply), why(reply)) == (Word.FAILURE, TOO_LARGE)


def test_bytes_that_flower_cannot_read_cost_their_site_and_nobody_else() -> None:
    post = Post(Remote({"a": ValueError("garbage"), "b": answer("b"), "c": KeyError("child")}))
    replies = {question_id(reply): reply for reply in post.fetch(["a", "b", "c"])}
    assert [name for name, reply in replies.items() if reply.has_error()] == ["a", "c"]
    assert {why(replies[name]) for name in "ac"} == {DAMAGED}
    assert {word(replies[name]) for name in "ac"} == {Word.FAILURE}


def test_nobody_answers_in_the_name_of_another() -> None:
    """What a reply says of itself was written by its site; which question it answers is the SuperLink's knowledge."""
    post = Post(Remote({"mine": answer("another's")}))
    (reply,) = post.fetch(["mine"])
    assert (question_id(reply), why(reply)) == ("mine", DAMAGED)


def test_a_superlink_that_is_away_is_nobodys_failure() -> None:
    post = Post(Remote({"a": httpx.ConnectError("away"), "b": answer("b")}))
    assert list(post.fetch(["a", "b"])) == []
    assert post.doubtful == {"a"}


def test_what_is_taken_back_is_deleted_also_after_the_superlink_was_away() -> None:
    grid = Remote({})
    post = Post(grid)
    away = [True]

    def confirm(request: Any) -> None:
        if away[0]:
            raise httpx.ConnectError("away")
        if request.message_object_id == "b":
            response = httpx.Response(404, request=httpx.Request("POST", "http://x"))
            raise httpx.HTTPStatusError("gone", request=response.request, response=response)
        grid.discarded.append(request.message_object_id)

    grid.ConfirmMessageReceived = confirm  # type: ignore[method-assign]
    grid.get_nodes = list  # type: ignore[assignment, method-assign]
    assert post.withdraw({"a", "b", "c"}) == set(), "from afar nobody can tell who has begun"
    assert grid.discarded == []
    away[0] = False
    post.nodes()
    post.nodes()
    assert sorted(grid.discarded) == ["a", "c"]
