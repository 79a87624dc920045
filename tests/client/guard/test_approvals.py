"""Approvals in the ledger: signed, in their place, and told by the audits."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from client.audit.export import to_file
from client.audit.ledger_json import to_json
from client.audit.ledger_report import audit
from client.guard.approvals import approved, standing
from client.guard.chain import Chain
from client.guard.ledger import Ledger
from common.errors import TamperedError
from common.keys import public_text
from common.privacy.events import GaussianEvent

SAID = {"study": "hearts", "fingerprint": "f" * 64, "bundle": "b" * 64, "by": "Dr. A"}
VERIFY = Path(__file__).parents[3] / "docs" / "verify_ledger.py"


@pytest.fixture
def key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.ledger"


def test_the_newest_decision_of_the_site_s_own_key_counts(
    path: Path, key: ed25519.Ed25519PrivateKey
) -> None:
    ledger, stranger = Ledger(path, "a", "a"), ed25519.Ed25519PrivateKey.generate()
    mine = public_text(key)
    assert standing(ledger.decisions(), SAID["bundle"], mine) is None
    ledger.decide("approve", SAID, stranger)
    assert approved(ledger.decisions(), mine) == []
    ledger.decide("approve", SAID, key)
    (found,) = approved(ledger.decisions(), mine)
    assert (found.study, found.by, found.key) == ("hearts", "Dr. A", mine)
    ledger.decide("revoke", SAID, key)
    assert approved(ledger.decisions(), mine) == []
    ledger.decide("approve", SAID, stranger)
    assert approved(ledger.decisions(), mine) == []


@pytest.mark.parametrize("changed", ["study", "fingerprint", "bundle", "by", "signature", "key"])
def test_a_changed_approval_breaks_the_chain(
    path: Path, key: ed25519.Ed25519PrivateKey, changed: str
) -> None:
    other = Ledger(path.with_name("other"), "a", "a")
    other.decide("approve", SAID, key)
    body = dict(list(Chain(other.path).read())[-1].body)
    Ledger(path, "a", "a")
    body[changed] = body[changed].upper()
    Chain(path).write(lambda writer: writer.append("approve", body))
    with pytest.raises(TamperedError, match="makes no sense"):
        Ledger(path, "a", "a")
    assert audit([path]).verdict == "tampered"


def test_an_approval_of_another_ledger_does_not_hold_here(
    path: Path, key: ed25519.Ed25519PrivateKey
) -> None:
    other = Ledger(path.with_name("other"), "b", "b")
    other.decide("approve", SAID, key)
    body = list(Chain(other.path).read())[-1].body
    Ledger(path, "a", "a")
    Chain(path).write(lambda writer: writer.append("approve", body))
    with pytest.raises(TamperedError, match="signature does not hold"):
        Ledger(path, "a", "a")


def test_an_approval_is_not_a_revocation(path: Path, key: ed25519.Ed25519PrivateKey) -> None:
    from client.guard.approvals import signed

    ledger = Ledger(path, "a", "a")
    body = signed("approve", SAID, ledger.head(), key)
    Chain(path).write(lambda writer: writer.append("revoke", body))
    with pytest.raises(TamperedError, match="signature does not hold"):
        ledger.decisions()


def test_audit_and_export_know_approvals(
    path: Path, tmp_path: Path, key: ed25519.Ed25519PrivateKey
) -> None:
    ledger = Ledger(path, "a", "a")
    ledger.decide("approve", SAID, key)
    report = audit([path])
    assert report.verdict == "sound"
    (one,) = to_json(report)["ledgers"]
    assert [each["by"] for each in one["decisions"]] == ["Dr. A"]
    json.dumps(one)
    exported = tmp_path / "export.jsonl"
    to_file(path, exported)
    command = [sys.executable, str(VERIFY), str(exported)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_an_older_copy_that_lacks_a_revocation_is_noticed(
    path: Path, tmp_path: Path, key: ed25519.Ed25519PrivateKey
) -> None:
    anchors = (tmp_path / ".head",)
    ledger = Ledger(path, "a", "a", anchors)
    ledger.decide("approve", SAID, key)
    copy = path.read_bytes()
    ledger.decide("revoke", SAID, key)
    path.write_bytes(copy)
    with pytest.raises(TamperedError, match="older copy"):
        Ledger(path, "a", "a", anchors)


def test_a_broken_limit_of_a_population_is_over_budget(path: Path) -> None:
    ledger = Ledger(path, "a", "a")
    limits = {"max_epsilon": 1e3, "delta": 1e-3}
    event = GaussianEvent("poisson", Fraction(1, 4), 1.5, 1.0, 10)
    ledger.reserve(
        "1",
        study="s",
        fingerprint="f",
        round=1,
        group="train/1",
        event=event,
        delta=1e-3,
        randomness="system",
        population="children",
    )
    ledger.record_policy({**limits, "populations": {"adults": {**limits, "max_epsilon": 0.1}}})
    assert audit([path]).verdict == "sound"
    ledger.record_policy({**limits, "populations": {"children": {**limits, "max_epsilon": 0.1}}})
    assert audit([path]).verdict == "over budget"
    tight = {"max_epsilon": 0.1, "delta": 1e-3}
    ledger.record_policy({**tight, "populations": {"children": limits}})
    assert audit([path]).verdict == "sound"
