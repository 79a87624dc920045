"""Replies on the disk: read back for the same request, and for nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.weights import Layout
from common.wire import Answer
from server.incoming import Incoming, request_key

LAYOUT = Layout((("a", (2, 3)), ("b", (1,))))
NAMES = {"ada", "bea"}


def kept(folder: Path | None, key: str = "k", *, durable: bool = True) -> Incoming:
    incoming = Incoming(folder, durable, key, LAYOUT)
    incoming.open(NAMES)
    return incoming


def answer(site: str = "ada", value: float = 1.5, wire: str = "float32") -> Answer:
    weights = np.full(LAYOUT.size, value, np.float32)
    return Answer(site, 40, "f" * 64, weights, np.array([1.0, 1e-300]), wire)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "incoming" / "round-0003"


@pytest.mark.parametrize("wire", ["float32", "bfloat16"])
def test_a_later_process_has_what_came(folder: Path, wire: str) -> None:
    kept(folder).put(answer(wire=wire))
    again = kept(folder)
    assert list(again.answers) == ["ada"]
    said = again.answers["ada"]
    assert (said.declared_patients, said.ledger_head, said.wire) == (40, "f" * 64, wire)
    assert said.tally is not None
    assert said.tally.tolist() == [1.0, 1e-300]
    assert again.vector("ada").tolist() == [1.5] * 7
    assert again.sizes["ada"] == answer(wire=wire).size


def test_an_evaluation_without_weights_comes_back_too(folder: Path) -> None:
    kept(folder).put(Answer("ada", 40, "f", None, np.zeros(2)))
    assert kept(folder).answers["ada"].weights is None
    kept(folder).put(Answer("bea", 40, "f", None, None))
    assert kept(folder).answers["bea"].tally is None


def test_other_weights_or_another_round_are_another_request(folder: Path) -> None:
    kept(folder).put(answer())
    assert kept(folder, "other").answers == {}
    assert kept(folder).answers == {}, "what is no answer to this request is gone"
    keys = {
        request_key("f", round_, train=train, evaluate=evaluate, weights=weights)
        for round_ in (1, 2)
        for train in (True, False)
        for evaluate in (True, False)
        for weights in ("a", "b")
    }
    assert len(keys) == 16


def test_rounds_before_are_dropped_and_a_finished_one_leaves_nothing(folder: Path) -> None:
    old = folder.with_name("round-0002")
    kept(old).put(answer())
    now = kept(folder)
    now.put(answer())
    assert not old.exists()
    now.clear()
    assert not folder.exists()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "weights cut": lambda f: (f / "ada.f32").write_bytes(b"1234"),
    "weights changed": lambda f: (f / "ada.f32").write_bytes(bytes(28)),
    "weights gone": lambda f: (f / "ada.f32").unlink(),
    "no JSON": lambda f: (f / "ada.json").write_text("{"),
    "a list": lambda f: (f / "ada.json").write_text("[]"),
    "a key gone": lambda f: (f / "ada.json").write_text('{"request": "k", "site": "ada"}'),
    "another name": lambda f: (f / "ada.json").rename(f / "bea.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_replies_are_asked_for_again(folder: Path, damage: str) -> None:
    kept(folder).put(answer())
    DAMAGE[damage](folder)
    assert kept(folder).answers == {}


def test_a_site_that_is_none_of_the_run_is_not_counted(folder: Path) -> None:
    kept(folder).put(answer("ada"))
    about = json.loads((folder / "ada.json").read_text())
    (folder / "cy.json").write_text(json.dumps(about | {"site": "cy"}))
    (folder / "cy.f32").write_bytes((folder / "ada.f32").read_bytes())
    assert list(kept(folder).answers) == ["ada"]


@pytest.mark.parametrize("durable", [True, False])
def test_in_memory_and_on_the_disk_hold_the_same(folder: Path, durable: bool) -> None:
    for where in (folder, None):
        incoming = kept(where, durable=durable)
        incoming.put(answer(value=2.5))
        assert incoming.vector("ada").tolist() == [2.5] * 7
        assert incoming.answers["ada"].weights is None
    assert kept(folder, durable=False).answers == {}
