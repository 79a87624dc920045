"""Waits for the sites before the first round, no longer than the study's deadline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import SitesError
from common.study import Study
from server.listener import Listener
from server.members import Member
from server.post import Post
from server.roster import Roster

PAUSE = 0.05
SETTLE_SECONDS = 30.0
"""Once there are enough, how long enrolled sites that are not connected yet are waited for."""


@dataclass(frozen=True)
class Gathering:
    """The wait for enough sites.

    Attributes:
        post: carries the messages.
        roster: knows who is there.
        study: says how many are enough, and how long to wait.
        listener: hears who is missing.
        everyone: a site that cannot take part ends the run, before its first round; simulations want to know.
        patient: go on waiting where enough sites are connected but refuse: an approval may come.
    """

    post: Post
    roster: Roster
    study: Study
    listener: Listener
    everyone: bool
    patient: bool

    def members(self) -> list[Member]:
        """Return those that take part, in the order of their names.

        Raises:
            SitesError: too few came before the deadline, or cannot take part. No round starts then.
        """
        began = self.post.now()
        told: tuple[list[str], Mapping[str, str]] | None = None
        while not self._settled(began):
            here, absent = sorted(self._here()), dict(self.roster.absent)
            if (here, absent) != told:
                told = (here, absent)
                self.listener.gathering(here, absent)
            if self.post.now() - began > self.study.federation.deadline_seconds:
                break
            self.post.wait(self.roster.questions, PAUSE)
            self._step()
        self._check()
        return sorted(self.roster.members.values(), key=lambda member: member.name)

    def _step(self) -> None:
        self.roster.look()
        for reply in self.post.fetch(self.roster.questions):
            self.roster.take(reply)

    def _here(self) -> list[str]:
        return [name for name in self.roster.members if self.roster.node(name) is not None]

    def _settled(self, began: float) -> bool:
        """Whether there is nobody to wait for, or nothing to hope for."""
        connected = len(self.roster.online)
        if self.roster.questions or connected < self.study.federation.min_sites:
            return False
        if self._enough():
            long = self.post.now() - began > SETTLE_SECONDS
            return not self.patient or long or self._nobody_else()
        return not self.patient

    def _nobody_else(self) -> bool:
        """Whether every enrolled and every known site is here, or has said why not."""
        expected = {*self.roster.enrolled().values(), *self.roster.members}
        return expected <= {*self._here(), *self.roster.absent}

    def _enough(self) -> bool:
        federation, members = self.study.federation, self.roster.members
        here = sum(members[name].declared_patients for name in self._here())
        known = sum(member.declared_patients for member in members.values())
        share = federation.min_patient_share * known
        return len(self._here()) >= federation.min_sites and here >= share

    def _check(self) -> None:
        absent = self.roster.absent
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(absent.items()))
        if self._enough() and not (self.everyone and (absent or self.roster.questions)):
            return
        federation = self.study.federation
        if len(self.roster.online) < federation.min_sites:
            raise SitesError(
                f"Only {len(self.roster.online)} of at least {federation.min_sites} sites are connected.",
                where="[federation] min_sites",
                fix="Start the missing sites, or lower min_sites.",
            )
        silent = len(self.roster.questions)
        raise SitesError(
            f"{len(absent)} of {len(self.roster.online)} sites cannot take part and {silent} did not answer.",
            where=f"study '{self.study.name}'",
            fix=f"They said: {reasons or 'nothing'}.",
        )
