"""What the control plane asks of the running service; `client/service` provides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from client.service.state import ServiceState
from common.study import Study


class StudyRecord(Protocol):
    """A study that a coordinator sent, and what the site decided about it."""

    @property
    def bundle(self) -> str:
        """The sha256 of its bundle."""

    @property
    def study(self) -> Study:
        """The study inside."""

    @property
    def connection(self) -> str:
        """Who sent it, by the site's name for the coordinator."""

    @property
    def first_seen(self) -> float:
        """When, in seconds since 1970."""

    @property
    def standing(self) -> str:
        """One of pending, approved, revoked, changed."""

    @property
    def changed_from(self) -> Sequence[str]:
        """Keys that differ from an approved study of the same name."""

    @property
    def by(self) -> str:
        """Who decided last; empty while nobody did."""

    @property
    def at(self) -> str:
        """When, in ISO 8601; empty while nobody did."""


class BudgetLine(Protocol):
    """What the patients of one population have spent."""

    @property
    def population(self) -> str:
        """Its name; empty: the whole site."""

    @property
    def spent(self) -> float:
        """The ε at `delta`, for adding or removing one patient."""

    @property
    def limit(self) -> float:
        """The policy's limit."""

    @property
    def delta(self) -> float:
        """The policy's δ."""

    @property
    def left(self) -> float:
        """What of the limit is left."""

    @property
    def studies(self) -> Sequence[str]:
        """Names of the studies that were charged."""


class Running(Protocol):
    """The running service, as far as people may see and steer it."""

    @property
    def state(self) -> ServiceState:
        """What it is doing."""

    def pause(self) -> None:
        """Finish the round in hand and take no new task; outlives a restart."""

    def resume(self) -> None:
        """Take tasks again."""

    def studies(self) -> Sequence[StudyRecord]:
        """Studies that coordinators sent."""

    def approve(self, bundle: str, by: str) -> StudyRecord:
        """Approve a study, by its bundle's sha256, the beginning of that, or the study's name."""

    def revoke(self, bundle: str, by: str) -> StudyRecord:
        """Take an approval back."""

    def budget(self) -> Sequence[BudgetLine]:
        """What each population has spent."""
