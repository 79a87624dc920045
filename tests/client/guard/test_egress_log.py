"""The egress log: on the disk before anything leaves, chained, and nothing that it does not understand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.guard.chain import Chain
from client.guard.egress_log import EgressLog, Release
from client.guard.ledger import Ledger
from common.errors import MachineError, StudyError, TamperedError

RELEASE = Release(
    study="lung",
    fingerprint="f" * 64,
    round=1,
    key="round-1-abc",
    sha256="a" * 64,
    bytes=20,
    parts={"weights": 12, "statistics": 8},
    layout="b" * 64,
)


def kinds(path: Path) -> list[str]:
    return [entry.kind for entry in Chain(path, writable=False).read()]


def test_what_leaves_and_what_is_kept_come_back_as_they_were_noted(tmp_path: Path) -> None:
    log = EgressLog(tmp_path / "a.egress", "north")
    kept = Release(**{**vars(RELEASE), "key": "round-2-x", "reason": "not finite"})
    log.leaving(RELEASE)
    log.refused(kept)
    entries = list(Chain(log.path, writable=False).read())
    assert [entry.kind for entry in entries] == ["open", "reply", "refused"]
    assert [Release.from_json(entry.body) for entry in entries[1:]] == [RELEASE, kept]
    assert log.released(RELEASE.key) == RELEASE.sha256
    assert log.released(kept.key) is None, "it did not leave"
    again = EgressLog(log.path, "north")
    assert again.released(RELEASE.key) == RELEASE.sha256
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_two_agents_of_a_site_write_one_log(tmp_path: Path) -> None:
    logs = [EgressLog(tmp_path / "a.egress", "north") for _ in range(2)]

    def write(log: EgressLog, name: str) -> None:
        for number in range(10):
            log.leaving(Release(**{**vars(RELEASE), "key": f"{name}-{number}"}))

    threads = [threading.Thread(target=write, args=(log, str(i))) for i, log in enumerate(logs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds(logs[0].path).count("reply") == 20
    assert all(log.released("0-9") and log.released("1-9") for log in logs)


def test_a_log_has_one_site(tmp_path: Path) -> None:
    EgressLog(tmp_path / "a.egress", "north")
    with pytest.raises(StudyError, match="north"):
        EgressLog(tmp_path / "a.egress", "south")


def test_a_ledger_is_no_log(tmp_path: Path) -> None:
    Ledger(tmp_path / "a", "north", "north")
    with pytest.raises(TamperedError, match="egress log"):
        EgressLog(tmp_path / "a", "north")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("reply", {"bytes": -1}),
        ("reply", {"bytes": True}),
        ("reply", {"round": "1"}),
        ("reply", {"sha256": None}),
        ("reply", {"parts": {"weights": "12"}}),
        ("reply", {"parts": [1]}),
        ("reply", {"resent": 1}),
        ("reply", {"more": 1}),
        ("reply", {"reason": "but it left"}),
        ("refused", {}),
        ("open", {"log": "egress", "site": "north"}),
        ("else", {}),
    ],
)
def test_entries_that_make_no_sense_are_refused(
    tmp_path: Path, kind: str, change: dict[str, Any]
) -> None:
    log = EgressLog(tmp_path / "a.egress", "north")
    body = {**RELEASE.to_json(), **change}
    Chain(log.path).write(lambda writer: writer.append(kind, body))
    with pytest.raises(TamperedError, match="makes no sense"):
        log.released("any")
    with pytest.raises(TamperedError):
        EgressLog(log.path, "north")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x" * 5000)])
def test_a_log_that_cannot_be_written_raises(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    log = EgressLog(tmp_path / "a.egress", "north")
    damage(log.path)
    with pytest.raises((MachineError, TamperedError)):
        log.leaving(RELEASE)
