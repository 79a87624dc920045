"""Warm agents: data, model and compiled kernels of a study stay loaded between its rounds, within bounded memory."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

from client.agent import Agent, Folders
from client.randomness import Randomness
from client.site import Site
from client.site_folder import SiteFolder
from client.training.workspace import Progress
from common.errors import MachineError
from common.memory import keep_freed_memory
from common.study import Study

WARM_AGENTS, WARM_BYTES = 8, 8 << 30
"""Beyond so many agents, or so much prepared data, the one used longest ago is let go."""

Watch = Callable[[Study, int], Progress]
"""Makes the progress of a study's round."""


class WarmAgents:
    """The agents of a running site, by their study's fingerprint.

    Args:
        site: the hospital.
        folder: its keys, ledger and states.
        watch: makes the progress of a round.
        approved: raises when a study is not approved any more; asked before every answer.
        testing_seed: makes everything repeatable, as in a simulation, and protects nobody.
        most, most_bytes: what is kept.
    """

    def __init__(
        self,
        site: Site,
        folder: SiteFolder,
        *,
        watch: Watch,
        approved: Callable[[Study], None],
        testing_seed: int | None = None,
        most: int = WARM_AGENTS,
        most_bytes: int = WARM_BYTES,
    ) -> None:
        self._site, self._folder = site, folder
        self._watch, self._approved = watch, approved
        self._randomness = Randomness(testing_seed)
        self._most, self._most_bytes = most, most_bytes
        self._agents: OrderedDict[str, Agent] = OrderedDict()
        self._lock = threading.Lock()
        self._stopped = False
        keep_freed_memory()

    def get(self, study: Study) -> Agent:
        """Return the agent of a study, made if it is not there.

        Raises:
            ConsiliumError: it cannot be made.
        """
        with self._lock:
            if study.fingerprint not in self._agents:
                self._agents[study.fingerprint] = self._make(study)
            self._agents.move_to_end(study.fingerprint)
            while len(self._agents) > 1 and self._too_much():
                self._agents.popitem(last=False)
            return self._agents[study.fingerprint]

    def stop(self) -> None:
        """End whatever trains at its next step."""
        with self._lock:
            self._stopped = True
            for agent in self._agents.values():
                agent.stop()

    def _too_much(self) -> bool:
        held = sum(agent.held_bytes for agent in self._agents.values())
        return len(self._agents) > self._most or held > self._most_bytes

    def _make(self, study: Study) -> Agent:
        folders = Folders(
            ledger=self._folder.ledger,
            state=self._folder.states / study.fingerprint,
            cache=self._folder.cohorts,
            egress=self._folder.egress_log,
        )
        agent = Agent(
            self._site,
            study,
            folders,
            secret=self._secret(),
            randomness=self._randomness,
            watch=lambda round_: self._watch(study, round_),
            approved=lambda: self._approved(study),
        )
        if self._stopped:
            agent.stop()
        return agent

    def _secret(self) -> bytes:
        seed = self._randomness.seed
        if seed is not None:  # as a simulation with this seed has it, so that both can be compared
            return hashlib.sha256(f"simulated site|{seed}|{self._site.name}".encode()).digest()
        try:
            secret = self._folder.secret.read_bytes()
        except OSError as error:
            raise MachineError(
                "The site's secret cannot be read.",
                where=str(self._folder.secret),
                fix="Restore it from the site's backup: with another secret the same patients would be split anew.",
            ) from error
        if len(secret) != 32:
            raise MachineError("The site's secret is damaged.", where=str(self._folder.secret))
        return secret
