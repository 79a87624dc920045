"""The sites that a coordinator has let in, by name: sites.json, and the same nodes at the SuperLink."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from common.errors import RunError, StudyError
from common.files import write_atomically
from common.keys import fingerprint
from common.plugins import nearest
from server.deployment import refused
from server.deployment.config import NAME
from server.deployment.control import connected
from server.deployment.flower_records import OFFLINE, ONLINE, NodeState
from server.deployment.folder import CoordinatorFolder
from server.deployment.runs import changing

NEVER, UNKNOWN = "never", "unknown"


@dataclass(frozen=True)
class EnrolledSite:
    """A site that was let in.

    Attributes:
        name: that the coordinator knows it by; the site must introduce itself with it.
        public_key: one line, as OpenSSH writes it.
        fingerprint: of that key.
        node: Flower's id.
        enrolled: when, in ISO form.
    """

    name: str
    public_key: str
    fingerprint: str
    node: int
    enrolled: str


@dataclass(frozen=True)
class SiteLine:
    """A site and whether it is connected.

    Attributes:
        name, fingerprint, enrolled: as it was enrolled.
        refused: why the running server would not store what it pushed; empty: it stored everything.
        standing: online, offline, never (it has not connected yet) or unknown (the server does not run).
        since: when that began, in ISO form; empty when it is not known.
    """

    name: str
    standing: str
    since: str
    fingerprint: str
    enrolled: str
    refused: str = ""


def read_sites(folder: CoordinatorFolder) -> dict[str, EnrolledSite]:
    """Return the enrolled sites by name.

    Raises:
        RunError: sites.json is damaged.
    """
    if not folder.sites.exists():
        return {}
    try:
        content = json.loads(folder.sites.read_text(encoding="utf-8"))
        return {name: EnrolledSite(name=name, **site) for name, site in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        raise RunError(
            "The list of enrolled sites cannot be read.",
            where=str(folder.sites),
            fix="Restore it from a backup of the coordinator's folder.",
        ) from None


def check_new(folder: CoordinatorFolder, name: str, public: str) -> None:
    """Check that neither name nor key is enrolled, and that the name is fit for one.

    Raises:
        StudyError: saying which.
    """
    if not re.match(NAME, name):
        raise StudyError(
            "A site's name may hold letters, digits and dashes only.",
            where=f"--name {name}",
            fix="Use the [site] name of the hospital's site.toml.",
        )
    sites = read_sites(folder)
    if name in sites:
        raise StudyError(
            f"A site '{name}' is enrolled already, with the key {sites[name].fingerprint}.",
            where=str(folder.sites),
            fix=f"For a new key: 'consilium server enrol {folder.path} --remove {name}', then enrol it again.",
        )
    for other in sites.values():
        if other.public_key == public:
            raise StudyError(
                f"This very key is enrolled already, as '{other.name}'.",
                where=str(folder.sites),
                fix="Every site makes a key of its own with 'consilium site init'.",
            )


def enrol(folder: CoordinatorFolder, name: str, public: str) -> EnrolledSite:
    """Let a site in.

    Args:
        folder: the coordinator's, whose server must run.
        name: of the site.
        public: its public node key, one line.

    Raises:
        StudyError: the name or the key is enrolled already, or the key was removed once.
        RunError: the server does not answer.
    """
    with changing(folder):
        check_new(folder, name, public)
        with connected(folder) as control:
            node = control.register(public, name)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        site = EnrolledSite(name, public, fingerprint(public), node, now)
        _write(folder, read_sites(folder) | {name: site})
    return site


def remove(folder: CoordinatorFolder, name: str) -> EnrolledSite:
    """Shut a site out; its key is never let in again.

    Raises:
        StudyError: there is no such site.
        RunError: the server does not answer.
    """
    with changing(folder):
        sites = read_sites(folder)
        if name not in sites:
            raise StudyError(
                f"There is no site '{name}'.",
                where=str(folder.sites),
                fix=f"{nearest(name, sites)}There are: {', '.join(sorted(sites)) or 'none'}.",
            )
        with connected(folder) as control:
            control.unregister(sites[name].node)
        gone = sites.pop(name)
        _write(folder, sites)
    return gone


def lines(folder: CoordinatorFolder, nodes: Sequence[NodeState] | None) -> list[SiteLine]:
    """Return how each enrolled site stands.

    Args:
        folder: the coordinator's.
        nodes: what the SuperLink says; None: it does not answer.
    """
    known = {node.node: node for node in nodes or ()}
    sites = sorted(read_sites(folder).items())
    refusals = refused.read(folder.running)
    return [
        _line(site, known.get(site.node), nodes is not None, refusals.get(site.node))
        for _, site in sites
    ]


def _line(
    site: EnrolledSite, node: NodeState | None, answered: bool, refusal: refused.Refused | None
) -> SiteLine:
    standing, since = (NEVER if answered else UNKNOWN), ""
    if node is not None and node.standing in (ONLINE, OFFLINE):
        standing = node.standing
        since = node.since.isoformat(timespec="seconds") if node.since else ""
    why = "" if refusal is None else f"{refusal.why} (last {refusal.at})"
    return SiteLine(site.name, standing, since, site.fingerprint, site.enrolled, why)


def _write(folder: CoordinatorFolder, sites: dict[str, EnrolledSite]) -> None:
    content = {name: asdict(site) for name, site in sorted(sites.items())}
    for site in content.values():
        del site["name"]
    write_atomically(folder.sites, json.dumps(content, indent=1) + "\n", durable=True, mode=0o644)
