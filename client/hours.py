"""When a site trains: the hours that its policy names, in the site's local time."""

from __future__ import annotations

from datetime import datetime, time

from client.site import Site
from common.errors import PolicyError


def check_hours(site: Site, now: datetime | None = None) -> None:
    """Refuse a training outside the policy's hours; whatever was trained before may still be sent.

    Args:
        site: whose policy counts.
        now: the local time; None: the machine's.

    Raises:
        PolicyError: it is another time of the day.
    """
    hours = site.policy.hours
    if hours is None or within(hours, (now or datetime.now()).time()):
        return
    begin, end = hours.split("-")
    raise PolicyError(
        f"The site trains between {begin} and {end} only.",
        where=f"{site.file}, [policy] hours",
        fix="The coordinator may ask again then; or widen the hours.",
    )


def within(hours: str, now: time) -> bool:
    """Return whether a time of the day lies within hours such as "20:00-06:00"; equal ends mean the whole day."""
    begin, end = (time.fromisoformat(each) for each in hours.split("-"))
    if begin == end:
        return True
    if begin < end:
        return begin <= now < end
    return now >= begin or now < end
