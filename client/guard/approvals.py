"""Approvals: which studies a site agreed to, signed with the site's own key, in the chain of its ledger.

An entry "approve" or "revoke" says study, fingerprint, bundle, by whom, and carries the public key and its signature
over the canonical JSON of all that together with the hash of the entry before. A signature so holds at one place of one
ledger only: an old approval cannot be played again after it was revoked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import ed25519

from client.guard.entries import Entry, canonical
from common import keys
from common.errors import PolicyError

Standing = Literal["approve", "revoke"]
_FIELDS = ("study", "fingerprint", "bundle", "by")


class NotApproved(PolicyError):
    """The site has not approved what is asked."""

    told = "the site has not approved this study"


@dataclass(frozen=True)
class Decision:
    """What somebody at the site decided about one bundle.

    Attributes:
        kind: approve or revoke.
        study, fingerprint: of the study inside.
        bundle: sha256 of the bundle.
        by: who decided, as the machine knows them.
        at: when, in ISO form; for people.
        key: the public key that signed.
    """

    kind: Standing
    study: str
    fingerprint: str
    bundle: str
    by: str
    at: str
    key: str


def signed(
    kind: Standing, said: dict[str, str], previous: str, key: ed25519.Ed25519PrivateKey
) -> dict[str, Any]:
    """Return the body of an entry that follows the entry with hash `previous`."""
    public = keys.public_text(key)
    body = {**{name: said[name] for name in _FIELDS}, "key": public}
    return {**body, "signature": keys.sign(key, _content(kind, body, previous))}


def decision_from(entry: Entry) -> Decision:
    """Return what an "approve" or "revoke" entry says.

    Raises:
        ValueError, TypeError, KeyError: it is no such entry, or its signature does not hold.
    """
    body = dict(entry.body)
    signature = body.pop("signature")
    if any(not isinstance(value, str) for value in (signature, *body.values())):
        raise TypeError("an approval holds texts")
    if set(body) != {*_FIELDS, "key"}:
        raise ValueError("an approval has other parts")
    if not keys.verify(body["key"], _content(entry.kind, body, entry.previous), signature):
        raise ValueError("the signature does not hold")
    kind: Standing = "approve" if entry.kind == "approve" else "revoke"
    study, fingerprint, bundle, by = (body[name] for name in _FIELDS)
    return Decision(kind, study, fingerprint, bundle, by, entry.at, body["key"])


def standing(decisions: Iterable[Decision], bundle: str, public: str) -> Decision | None:
    """Return the newest decision about a bundle that the site's own key signed."""
    mine = [each for each in decisions if each.bundle == bundle and each.key == public]
    return mine[-1] if mine else None


def approved(decisions: Sequence[Decision], public: str) -> list[Decision]:
    """Return the approvals that stand, oldest first."""
    newest = {each.bundle: each for each in decisions if each.key == public}
    return [each for each in newest.values() if each.kind == "approve"]


def _content(kind: str, body: dict[str, Any], previous: str) -> bytes:
    return canonical({"kind": kind, "previous": previous, **body}).encode()
