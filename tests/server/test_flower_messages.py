"""The server's contract with Flower: when an upgrade breaks one of these, `server/flower_messages.py` has to change."""

from __future__ import annotations

import inspect
from typing import Any

import flwr
import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import strategy
from flwr.supercore import constant
from flwr.supercore.inflatable import inflatable_utils
from flwr.superlink.grid import HttpGrid, http_grid

from common import wire
from common.algorithms.base import STRATEGY_KEYS
from common.flower_env import FLOWER_VERSION
from server.flower_messages import (
    Word,
    batch,
    hasten,
    question_id,
    strategy_reply,
    training_request,
    why,
    word,
)

CODES = {
    "UNKNOWN": Word.LOST,
    "LOAD_CLIENT_APP_EXCEPTION": Word.FAILURE,
    "CLIENT_APP_RAISED_EXCEPTION": Word.FAILURE,
    "MESSAGE_UNAVAILABLE": Word.LOST,
    "REPLY_MESSAGE_UNAVAILABLE": Word.LOST,
    "NODE_UNAVAILABLE": Word.LOST,
    "MOD_FAILED_PRECONDITION": Word.FAILURE,
    "INVALID_FAB": Word.FAILURE,
    "CLIENT_APP_CRASHED": Word.LOST,
}


@pytest.fixture(autouse=True)
def _identity() -> None:
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


def failed(code: int, reason: str = "because") -> Message:
    question = Message(RecordDict(), 11, "train")
    question.metadata.__dict__["_message_id"] = "question"
    return Message(Error(code, reason), reply_to=question)


def test_the_version_is_the_one_that_was_looked_at() -> None:
    assert flwr.__version__ == FLOWER_VERSION


def test_every_code_of_flower_has_a_meaning_here() -> None:
    known = {name: v for name, v in vars(ErrorCode).items() if isinstance(v, int)}
    assert {name: word(failed(code)) for name, code in known.items()} == CODES
    assert max(known.values()) < wire.SITE_ERROR


def test_a_reply_names_its_question() -> None:
    assert question_id(failed(2)) == "question"


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (wire.SITE_ERROR + 6, "not allowed", "not allowed"),
        (ErrorCode.INVALID_FAB, "not approved", "not approved"),
        (ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "secret", "failed without saying why"),
        (ErrorCode.NODE_UNAVAILABLE, "secret", "not connected"),
        (ErrorCode.CLIENT_APP_CRASHED, "secret", "lost on the way"),
        (wire.SITE_ERROR + 6, "a\nb\x1b[31m", "a b [31m"),
        (wire.SITE_ERROR + 6, "x" * 9999, "x" * 300),
    ],
)
def test_reasons_are_the_sites_own_words_or_ours(code: int, reason: str, told: str) -> None:
    assert told in why(failed(code, reason))
    assert len(why(failed(code, reason))) <= 300


def test_flowers_grid_fetches_parts_through_the_function_that_is_made_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_grid, "pull_objects", inflatable_utils.pull_objects)
    assert "pull_objects" in inspect.getclosurevars(HttpGrid.pull_messages).globals
    assert inspect.signature(http_grid.pull_objects).parameters["initial_backoff"].default == (
        constant.PULL_INITIAL_BACKOFF
    )
    grid = HttpGrid(token="x")
    assert batch(grid) == 1
    hasten(grid)
    quick: Any = http_grid.pull_objects
    tries = []

    def pull(object_id: str) -> bytes:
        tries.append(object_id)
        if len(tries) < 3:
            raise inflatable_utils.ObjectUnavailableError(object_id)
        return b"part"

    assert quick(object_ids=["a"], pull_object_fn=pull) == {"a": b"part"}
    assert len(tries) == 3


class TestPartsThatDoNotCome:
    """A site that dies in the middle of its reply must not keep the others waiting."""

    @pytest.fixture(autouse=True)
    def _as_flower_has_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_grid, "pull_objects", inflatable_utils.pull_objects)
        self.gone = False
        hasten(HttpGrid(token="x"), lambda: self.gone)

    def pull(self, object_id: str) -> bytes:
        if object_id == "there":
            return b"part"
        raise inflatable_utils.ObjectUnavailableError(object_id)

    def fetch(self) -> Any:
        quick: Any = http_grid.pull_objects
        return quick(object_ids=["there", "missing"], pull_object_fn=self.pull)

    def test_a_site_that_is_gone_is_not_waited_for(self) -> None:
        self.gone = True
        with pytest.raises(inflatable_utils.ObjectPullError, match="does not go on"):
            self.fetch()

    def test_nor_is_one_that_sends_nothing_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.flower_messages.STALLED", 0.2)
        with pytest.raises(inflatable_utils.ObjectPullError, match="does not go on"):
            self.fetch()


STRATEGIES = [
    *("FedAvg", "FedProx", "FedAvgM", "FedAdam", "FedYogi", "FedAdagrad"),
    *("FedMedian", "FedTrimmedAvg", "Krum"),
]


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_strategy_reads_views_and_makes_one_request_for_all(kind: str) -> None:
    made = getattr(strategy, kind)(
        **({"proximal_mu": 0.1} if kind == "FedProx" else {}), **STRATEGY_KEYS
    )
    vectors = [np.full(5, value, np.float32) for value in (1.0, 2.0, 4.0)]
    for vector in vectors:
        vector.flags.writeable = False
    said = wire.Instructions("f", 1, evaluate=False)
    content = training_request(made, 1, vectors[0], said.to_record())
    assert wire.read_request(content)[0] == said
    combined, _ = made.aggregate_train(1, [strategy_reply(2.0, vector) for vector in vectors])
    assert combined is not None
    assert np.isfinite(wire.from_array_record(combined)).all()
