"""A round's questions and answers under every order of late, doubled, lost, refused and missing replies.

Time is the test's own: nobody sleeps, and a round of an hour takes no time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from flwr.app import Error, Message, MessageType, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from hypothesis import given, settings
from hypothesis import strategies as st

from common import wire
from common.weights import Layout
from common.wire import Introduction
from server.exchange import Exchange
from server.post import Post
from server.questions import LATE, Heard, Question
from server.roster import Roster

DEADLINE = 100.0
LAYOUT = Layout((("a", (3,)),))
REFUSED = wire.SITE_ERROR + 6
BUSY = wire.SITE_ERROR + 8
STOPPED = wire.SITE_ERROR + 130


@dataclass(frozen=True)
class Act:
    """What a site does with one question: seconds until it answers, an error's code or 0, and how often."""

    after: float = 0.0
    code: int = 0
    copies: int = 1


@dataclass
class Script:
    """A site's acts, one a question; the last is repeated."""

    acts: list[Act]
    asked: int = 0

    def next(self) -> Act:
        self.asked += 1
        return self.acts[min(self.asked, len(self.acts)) - 1]


@dataclass
class Theatre:
    """A grid with its own clock; `down` are spans in which every call fails."""

    scripts: dict[int, Script]
    time: float = 0.0
    down: list[tuple[float, float]] = field(default_factory=list)
    offline: dict[int, tuple[float, float]] = field(default_factory=dict)
    swallow: set[str] = field(default_factory=set)
    recalled: list[str] = field(default_factory=list)
    lifetimes: list[float] = field(default_factory=list)
    coming: list[tuple[float, Message]] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def check(self) -> None:
        if any(start <= self.time < end for start, end in self.down):
            raise httpx.ConnectError("the SuperLink is away")

    def get_nodes(self) -> Iterable[NodeInfo]:
        self.check()
        nodes = [n for n in self.scripts if not self.is_off(n)]
        return [NodeInfo(node_id=n, last_activated_at=self.since(n)) for n in nodes]

    def since(self, node: int) -> str:
        end = self.offline.get(node, (0.0, 0.0))[1]
        return str(end if self.time >= end else 0.0)

    def is_off(self, node: int) -> bool:
        start, end = self.offline.get(node, (0.0, 0.0))
        return start <= self.time < end

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        self.check()
        for message in messages:
            message.metadata.__dict__["_message_id"] = f"m{next(self.numbers)}"
            self.perform(message)
        return []

    def perform(self, message: Message) -> None:
        node = message.metadata.dst_node_id
        if message.metadata.message_type.startswith("query"):
            told = Introduction(name(node), 10, LAYOUT.digest, "none")
            self.coming.append((self.time, Message(wire.introduction(told), reply_to=message)))
            return
        self.lifetimes.append(message.metadata.ttl)
        act = self.scripts[node].next()
        content = RecordDict() if act.code == 0 else Error(act.code, "why")
        for _ in range(act.copies):
            self.coming.append((self.time + act.after, Message(content, reply_to=message)))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.check()
        asked = set(message_ids)
        there = [(at, m) for at, m in self.coming if at <= self.time and answers(m) in asked]
        self.coming = [entry for entry in self.coming if entry not in there]
        lost = {m for at, m in there if answers(m) in self.swallow}
        if lost:
            self.swallow -= {answers(m) for m in lost}
            raise httpx.ReadError("cut in the middle of a reply")
        return [m for _, m in there]


def answers(reply: Message) -> str:
    return reply.metadata.reply_to_message_id


def name(node: int) -> str:
    return f"site-{node}"


class Clockwork(Post):
    """A post whose clock is the theatre's; what was taken back is in the theatre's `recalled`, and never performed."""

    def withdraw(self, ids: Iterable[str]) -> set[str]:
        self.grid.recalled.extend(sorted(ids))  # type: ignore[attr-defined]
        return set()

    def now(self) -> float:  # type: ignore[override]
        return self.grid.time  # type: ignore[attr-defined,no-any-return]

    def wait(self, ids: Iterable[str], seconds: float) -> None:
        self.grid.time += max(seconds, 0.001)  # type: ignore[attr-defined]


def stage(scripts: list[list[Act]], **keys: Any) -> tuple[Theatre, Exchange]:
    theatre = Theatre({n: Script(acts) for n, acts in enumerate(scripts, start=11)}, **keys)
    post = Clockwork(theatre)  # type: ignore[arg-type]
    return theatre, Exchange(post, Roster(post, LAYOUT, DEADLINE))


def play(theatre: Theatre, exchange: Exchange, round_: int = 1, least: int = 1) -> list[Heard]:
    came: list[Heard] = []
    question = Question(round_, MessageType.TRAIN, RecordDict(), DEADLINE)
    sites = [name(node) for node in theatre.scripts]
    answered: list[str] = []
    for heard in exchange.ask(question, sites, lambda: len(answered) >= least):
        answered.extend([heard.site] * (heard.reply is not None))
        came.extend([heard])
    return came


@pytest.fixture(autouse=True)
def _identity() -> None:
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


acts = st.builds(
    Act,
    after=st.sampled_from([0.0, 0.03, 1.0, 50.0, DEADLINE + 20, 1e9]),
    code=st.sampled_from([0, 0, 0, REFUSED, BUSY, STOPPED, *range(9)]),
    copies=st.sampled_from([1, 1, 2]),
)


@settings(deadline=None, max_examples=150)
@given(
    scripts=st.lists(st.lists(acts, min_size=1, max_size=4), min_size=1, max_size=5),
    down=st.lists(st.tuples(st.floats(0, 90), st.floats(0.1, 30)), max_size=2),
)
def test_every_site_is_told_of_once_and_in_time(
    scripts: list[list[Act]], down: list[tuple[float, float]]
) -> None:
    theatre, exchange = stage(scripts, down=[(at, at + length) for at, length in down])
    for round_ in (1, 2):
        began = theatre.time
        came = play(theatre, exchange, round_)
        assert theatre.time - began <= DEADLINE + 1.0
        mine = [heard for heard in came if heard.round == round_]
        assert sorted(h.site for h in mine) == [name(n) for n in theatre.scripts]
        assert all((h.reply is None) == bool(h.reason) for h in mine)
        assert all(h.round == round_ - 1 for h in came if h.round != round_)
        theatre.down = []
        for heard in mine:
            if heard.reply is not None:
                assert not heard.reply.has_error()


@settings(deadline=None)
@given(
    delays=st.lists(st.floats(0, DEADLINE - 2), min_size=1, max_size=6),
    losses=st.lists(st.integers(0, 3), min_size=6, max_size=6),
)
def test_who_answers_in_time_is_heard_however_often_the_way_was_cut(
    delays: list[float], losses: list[int]
) -> None:
    theatre, exchange = stage(
        [
            [*[Act(0.1, ErrorCode.NODE_UNAVAILABLE)] * lost, Act(min(delay, 80.0))]
            for delay, lost in zip(delays, losses, strict=False)
        ]
    )
    assert all(h.reply is not None for h in play(theatre, exchange))


def test_an_answer_after_the_deadline_is_told_in_the_next_round_and_not_taken_for_its_own() -> None:
    theatre, exchange = stage([[Act(DEADLINE + 5), Act(10.0)], [Act()]])
    first = play(theatre, exchange)
    assert [(h.site, h.reply is None) for h in first] == [(name(12), False), (name(11), True)]
    assert "deadline" in first[1].reason
    second = play(theatre, exchange, 2)
    assert [(h.site, h.round) for h in second] == [(name(12), 2), (name(11), 1), (name(11), 2)]
    assert all(h.reply is not None for h in second)


def test_much_too_late_is_forgotten() -> None:
    theatre, exchange = stage([[Act(DEADLINE + LATE + 1), Act()], [Act()]])
    play(theatre, exchange)
    theatre.time += LATE
    play(theatre, exchange, 2)
    assert exchange.late.out == {}


@pytest.mark.parametrize("code", [REFUSED, 1, 2, 6, ErrorCode.INVALID_FAB])
def test_a_refusal_is_final_and_the_site_is_not_asked_again(code: int) -> None:
    theatre, exchange = stage([[Act(0.0, code), Act()]])
    (heard,) = play(theatre, exchange, least=0)
    assert heard.reply is None
    assert theatre.scripts[11].asked == 1
    assert theatre.time < 1


def test_a_busy_site_is_asked_until_it_has_time() -> None:
    theatre, exchange = stage([[*[Act(0.0, BUSY)] * 6, Act()]])
    (heard,) = play(theatre, exchange)
    assert heard.reply is not None


@pytest.mark.parametrize(
    "code", [ErrorCode.NODE_UNAVAILABLE, ErrorCode.CLIENT_APP_CRASHED, STOPPED]
)
def test_a_site_that_went_away_is_asked_when_it_is_back(code: int) -> None:
    theatre, exchange = stage([[Act(1.0, code), Act()]], offline={11: (1.0, 40.0)})
    (heard,) = play(theatre, exchange)
    assert heard.reply is not None
    assert 40 <= theatre.time < 46
    assert theatre.scripts[11].asked == 2


def test_a_site_that_reconnected_unnoticed_is_asked_again() -> None:
    """Nobody tells that the question went down with the site's process."""
    theatre, exchange = stage([[Act(1e9), Act()]], offline={11: (10.0, 10.0)})
    (heard,) = play(theatre, exchange)
    assert heard.reply is not None
    assert 10 <= theatre.time < 12
    assert theatre.scripts[11].asked == 2


def test_a_round_that_has_enough_waits_for_a_lost_site_only_so_long() -> None:
    away = {12: (0.5, 1e9)}
    theatre, exchange = stage([[Act()], [Act(1.0, ErrorCode.NODE_UNAVAILABLE)]], offline=away)
    came = play(theatre, exchange)
    assert [h.reply is None for h in came] == [False, True]
    assert came[1].reason == "the site is not connected"
    assert exchange.patience < theatre.time < exchange.patience + 3
    theatre, exchange = stage([[Act()], [Act(1.0, ErrorCode.NODE_UNAVAILABLE)]], offline=away)
    play(theatre, exchange, least=2)
    assert theatre.time >= DEADLINE


def test_a_reply_that_was_lost_while_it_was_fetched_is_asked_for_again() -> None:
    theatre, exchange = stage([[Act()]], swallow={"m2"})
    (heard,) = play(theatre, exchange)
    assert heard.reply is not None
    assert theatre.scripts[11].asked == 2


def test_a_superlink_that_is_away_is_waited_for() -> None:
    theatre, exchange = stage([[Act()], [Act(20.0)]], down=[(0.0, 5.0), (10.0, 60.0)])
    assert all(h.reply is not None for h in play(theatre, exchange))


def test_an_errors_source_is_of_no_account() -> None:
    theatre, exchange = stage([[Act(0.0, REFUSED)], [Act()]])
    real = theatre.pull_messages

    def from_the_server(ids: Iterable[str]) -> Iterable[Message]:
        for reply in real(ids):
            reply.metadata.__dict__["_src_node_id"] = 1
            yield reply

    theatre.pull_messages = from_the_server  # type: ignore[method-assign]
    came = {h.site: h.reply for h in play(theatre, exchange)}
    assert came[name(11)] is None
    assert came[name(12)] is not None


def test_a_message_lives_a_little_longer_than_its_round() -> None:
    question = Question(1, MessageType.TRAIN, RecordDict(), DEADLINE)
    assert question.lifetime == DEADLINE + LATE
    assert Question(1, MessageType.TRAIN, RecordDict(), 5.0).lifetime == 10.0


def test_what_is_still_out_at_the_end_of_a_round_is_taken_back() -> None:
    """A site that was away must not train for a round that is over."""
    theatre, exchange = stage([[Act(1e9)], [Act()]])
    play(theatre, exchange)
    assert theatre.recalled == ["m3"], "the first site's; m1 and m2 asked for descriptions"
    assert list(exchange.late.out) == ["m3"], "it may have begun, and its answer is noted"


def test_a_site_that_is_asked_again_does_not_find_both_questions() -> None:
    theatre, exchange = stage([[Act(20.0), Act(50.0)]], offline={11: (10.0, 10.0)})
    (heard,) = play(theatre, exchange)
    assert theatre.recalled[0] == "m2"
    assert heard.reply is not None
    assert heard.reply.metadata.reply_to_message_id == "m2", "it had begun: its answer counts"


def test_a_message_that_was_taken_back_is_no_lost_answer() -> None:
    theatre, exchange = stage(
        [[Act(15.0, ErrorCode.MESSAGE_UNAVAILABLE), Act(60.0)]], offline={11: (10.0, 10.0)}
    )
    (heard,) = play(theatre, exchange)
    assert heard.reply is not None
    assert theatre.scripts[11].asked == 2


def test_a_site_that_is_asked_later_has_less_time() -> None:
    theatre, exchange = stage([[Act(1e9), Act()]], offline={11: (40.0, 40.0)})
    play(theatre, exchange)
    first, second = theatre.lifetimes
    assert first == pytest.approx(DEADLINE + LATE, abs=1.0)
    assert second == pytest.approx(DEADLINE - 40 + LATE, abs=2.0)
