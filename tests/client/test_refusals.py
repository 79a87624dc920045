"""The reason of a refusal is kept in full for the site's own people."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.guard.book import Reservation
from client.guard.ledger import AlreadySettled, Settlement
from client.refusals import FILE, Refusals
from common import errors
from common.errors import ConsiliumError
from common.privacy.events import UnprotectedEvent

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ConsiliumError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_reason_comes_back(tmp_path: Path, kind: type[ConsiliumError]) -> None:
    kept = Refusals(tmp_path / "state")
    kept.write(kind("What, ü?", where="site.toml", fix="Mend it."))
    back = kept.read()
    assert type(back) is kind
    assert back is not None
    assert (back.what, back.where, back.fix) == ("What, ü?", "site.toml", "Mend it.")
    kept.clear()
    kept.clear()
    assert kept.read() is None


def test_an_error_of_elsewhere_comes_back_as_the_base(tmp_path: Path) -> None:
    event = UnprotectedEvent("x", 1)
    made = Reservation(2, "k", "s", "f", 1, "train/a", event, 0.1, "fixed")
    Refusals(tmp_path).write(AlreadySettled(made, Settlement(1, None)))
    assert type(Refusals(tmp_path).read()) is ConsiliumError


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff",
        b'{"class": "annotations", "what": 1}',
        b'{"class": ["x"], "what": "", "where": "", "fix": ""}',
        b'{"what": "x"}',
    ],
)
def test_damage_is_no_reason(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    assert Refusals(tmp_path).read() is None


def test_a_disk_that_refuses_does_not_hide_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Refusals(tmp_path / "file" / "state").write(ConsiliumError("x"))
