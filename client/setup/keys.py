"""The keys, secrets and certificates of a site, which never leave it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.setup.tls import SiteTls
from client.site_folder import SiteFolder
from common.errors import RunError
from common.files import make_private, write_atomically
from common.keys import make_node_key, make_signing_key


@dataclass(frozen=True)
class _Piece:
    """Something that a site needs.

    Attributes:
        called: what it is, for people.
        files: all of it.
        make: writes the files.
    """

    called: str
    files: tuple[Path, ...]
    make: Callable[[], None]


def make_all(folder: SiteFolder, name: str, runtime_hosts: Sequence[str]) -> list[str]:
    """Fill the private folder under another name, so that it is there as a whole or not at all; say what was made.

    Args:
        folder: of the site.
        name: the site's.
        runtime_hosts: where the SuperNode serves its runtime API.
    """
    new = _Draft(folder.path)
    shutil.rmtree(new.private, ignore_errors=True)
    pieces = _pieces(new, name, runtime_hosts)
    _make(new, pieces)
    os.replace(new.private, folder.private)
    return [piece.called for piece in pieces]


def make_missing(folder: SiteFolder, name: str, runtime_hosts: Sequence[str]) -> list[str]:
    """Make what is not there and leave the rest as it is; return what was made.

    Args:
        folder: of the site.
        name: the site's.
        runtime_hosts: where the SuperNode serves its runtime API.

    Raises:
        RunError: something is there in half, or was lost after the site had spent of its budget.
    """
    if not folder.private.exists():
        return make_all(folder, name, runtime_hosts)
    missing = []
    for piece in _pieces(folder, name, runtime_hosts):
        there = [file.exists() for file in piece.files]
        if any(there) and not all(there):
            lost = piece.files[there.index(False)]
            raise _lost(f"Of {piece.called}, {lost.name} is missing; nothing was changed.", lost)
        if not any(there):
            missing.append(piece)
    if missing and folder.ledger.exists():
        what = " and ".join(piece.called for piece in missing)
        raise _lost(f"The site has a ledger, but lost {what}; nothing was changed.", folder.private)
    _make(folder, missing)
    return [piece.called for piece in missing]


def _lost(what: str, where: Path) -> RunError:
    fix = "Restore it with 'consilium site restore'; certificates, with 'consilium site renew'."
    return RunError(what, where=str(where), fix=fix)


def _make(folder: SiteFolder, pieces: Sequence[_Piece]) -> None:
    make_private(folder.private)
    folder.private.chmod(0o700)  # whoever made it
    inner = (folder.tls, folder.logs, folder.running, folder.inbox, folder.states, folder.cohorts)
    for each in inner:
        make_private(each)
    for piece in pieces:
        piece.make()


def _pieces(folder: SiteFolder, name: str, runtime_hosts: Sequence[str]) -> tuple[_Piece, ...]:
    tls, node = SiteTls(folder), (folder.node_key, folder.node_key_public)
    here = ("localhost", "127.0.0.1")
    ends = (tls.runtime, tls.control_server, tls.control_client)

    def certificates() -> None:
        tls.issue(
            name,
            runtime_hosts=tuple(dict.fromkeys((*runtime_hosts, *here))),
            control_hosts=tuple(dict.fromkeys((*here, socket.gethostname()))),
        )

    return (
        _Piece("the node key", node, lambda: make_node_key(*node, name)),
        _Piece(
            "the key that signs approvals",
            (folder.signing_key,),
            lambda: make_signing_key(folder.signing_key),
        ),
        _Piece(
            "the secret of pseudonyms and split",
            (folder.secret,),
            lambda: write_atomically(folder.secret, secrets.token_bytes(32), durable=True),
        ),
        _Piece(
            "the secret of the two halves",
            (folder.superexec_secret,),
            lambda: write_atomically(folder.superexec_secret, secrets.token_hex(32), durable=True),
        ),
        _Piece(  # the authority's key may be kept elsewhere
            "the site's certificates",
            (tls.authority.certificate, *(f for e in ends for f in (e.certificate, e.key))),
            certificates,
        ),
    )


class _Draft(SiteFolder):
    """The same folder, whose private part is not finished yet."""

    @property
    def private(self) -> Path:
        return self.path / ".consilium.new"
