"""What arrives by C-STORE: what was asked for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from client.data.pacs.archive import Archive
from client.data.pacs.receive import CANNOT, NO_ROOM, NOT_WANTED, STORED, Receiver
from client.data.pacs.throttle import Throttle
from client.guard.pseudonyms import Pseudonyms
from common.errors import MachineError

SERIES = "1.2.3"


def arrival(uid: str, content: bytes) -> Any:
    request = SimpleNamespace(AffectedSOPInstanceUID=uid)
    return SimpleNamespace(request=request, encoded_dataset=lambda: content)


@pytest.fixture
def image(tmp_path: Path, write_ct: Callable[..., Any]) -> tuple[str, bytes]:
    """An image's UID and file."""
    made = write_ct(tmp_path / "x.dcm", np.zeros((4, 4), np.int16), "p", SeriesInstanceUID=SERIES)
    return str(made.SOPInstanceUID), (tmp_path / "x.dcm").read_bytes()


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    """A receiver with an empty archive."""
    return Receiver(Archive(tmp_path / "archive", Pseudonyms(b"1" * 32)), Throttle(None))


def test_only_what_is_expected(
    receiver: Receiver, image: tuple[str, bytes], tmp_path: Path
) -> None:
    assert receiver.store(arrival(*image)) == NOT_WANTED
    with receiver.expecting(SERIES, ["1.2.9"]):
        assert receiver.store(arrival(*image)) == NOT_WANTED
    with receiver.expecting(SERIES, [image[0]]):
        assert receiver.store(arrival(image[0], b"damaged")) == CANNOT
        assert receiver.store(arrival(*image)) == STORED
    assert receiver.store(arrival(*image)) == NOT_WANTED, "afterwards nothing is"
    assert len(list((tmp_path / "archive").rglob("*.dcm"))) == 1


def test_a_full_disk_is_told(
    receiver: Receiver, image: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.data.pacs.archive.os.fsync", full)

    def during() -> None:
        with receiver.expecting(SERIES, [image[0]]):
            assert receiver.store(arrival(*image)) == NO_ROOM
            assert receiver.store(arrival(*image)) == NOT_WANTED, "no more are taken"

    with pytest.raises(MachineError, match="full"):
        during()
