"""Are the coordinators reached? Agent to SuperNode, and SuperNode to coordinator."""

from __future__ import annotations

from collections.abc import Iterator

from client.control.health import NO_TASKS, PROGRESS_ONLY, STUCK, Probe, Reason, Stillness
from client.service.state import Link, Snapshot

POLL_SECONDS = 30.0
"""The agent looks for work several times a second; after so long without an answer something is wrong."""

CONTACT_SECONDS = 90.0
"""A SuperNode talks to its coordinator every few seconds, and a restart of either takes less than this."""

_AHEAD = 5.0  # a time in the future by more than this: the clock was set back


def link_reasons(now: Snapshot, at: float, still: Stillness) -> Iterator[Reason]:
    """Say which coordinators are not reached; a new task is impossible only when none is."""
    if not now.links:
        yield Reason(
            "link",
            "No coordinator is configured, so there is nothing to do.",
            "Add a [connection] with its server to site.toml and start the service again.",
        )
    found = {name: _reason(link, now, at, still) for name, link in sorted(now.links.items())}
    reasons = [reason for reason in found.values() if reason is not None]
    nowhere = len(reasons) == len(found)
    for reason in reasons:
        stuck = Probe.LIVE in reason.probes
        probes = STUCK if stuck else NO_TASKS if nowhere else PROGRESS_ONLY
        yield Reason(reason.check, reason.problem, reason.fix, probes)


def _reason(link: Link, now: Snapshot, at: float, still: Stillness) -> Reason | None:
    """Why there is no way to one coordinator."""
    unpolled = still.seconds(f"polled {link.connection}", link.polled)
    if link.polled == 0 or not _fresh(link.polled, at, POLL_SECONDS) or unpolled > POLL_SECONDS:
        return _no_supernode(link, now, at, unpolled)
    still_contact = still.seconds(f"contact {link.connection}", link.contact)
    if link.contact and not _fresh(link.contact, at, CONTACT_SECONDS):
        return _no_contact(link, f"for {_spoken(at - link.contact)}")
    if link.contact and still_contact > CONTACT_SECONDS:
        return _no_contact(link, f"for {_spoken(still_contact)}")
    if not link.contact and link.problem:
        return _no_contact(link, "since the start")
    return None


def _no_supernode(link: Link, now: Snapshot, at: float, unpolled: float) -> Reason:
    which = f"for the coordinator '{link.connection}' ({link.server})"
    if not link.problem and unpolled > POLL_SECONDS:
        return Reason(
            "link",
            f"The part of the agent that looks for work {which} has stood still for {_spoken(unpolled)}.",
            "Start the service again; if it happens again, report it with the agent's log.",
            STUCK,
        )
    if not link.polled and not link.problem and 0 <= at - now.started < POLL_SECONDS:
        return Reason("link", f"The SuperNode {which} was not reached yet.", "Wait half a minute.")
    why = f": {link.problem.rstrip('.')}" if link.problem else ""
    return Reason(
        "link",
        f"The agent does not reach its SuperNode {which}{why}.",
        "See that the SuperNode runs, and the end of its log; 'consilium site doctor' checks the way to it.",
    )


def _no_contact(link: Link, how_long: str) -> Reason:
    why = f": {link.problem.rstrip('.')}" if link.problem else ""
    return Reason(
        "link",
        f"The SuperNode has not reached the coordinator '{link.connection}' ({link.server}) {how_long}{why}.",
        "Run 'consilium site doctor', which checks network, certificate, clock and enrolment.",
    )


def _fresh(when: float, at: float, limit: float) -> bool:
    """Whether something happened lately; what lies in the future tells nothing."""
    return -_AHEAD <= at - when <= limit


def _spoken(seconds: float) -> str:
    if seconds < 0:
        return "an unknown time (the clock was set back)"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
