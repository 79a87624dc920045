"""What is audited: a study, at one hospital, with that hospital's own patients."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from client.agent import Agent, Folders
from client.data.cohort import Cohort
from client.randomness import Randomness
from client.site import Site
from client.training.batches import Samples
from client.training.workspace import Progress, Silent, Workspace, choose_device
from common.errors import StudyError
from common.lazy import lazy
from common.privacy.plan import SitePlan, plan_site
from common.study import Choice, Study
from simulations.attack.canaries import MarkedWorkspace, marked

SECRET = b"of a site that is under attack.."
BOUNDLESS = 1e300
"""The attack spends from a ledger of its own, which is thrown away: nothing that it releases leaves the machine."""


@dataclass(frozen=True)
class Subject:
    """A study at a hospital.

    Attributes:
        study: private, as it would run.
        site: the hospital's own settings.
        scratch: a folder for ledgers and spools.
        seed: of the attack with canaries; None draws noise, sampling and coins from the operating system.
    """

    study: Study
    site: Site
    scratch: Path
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.study.privacy.enabled:
            raise StudyError(
                "The study trains without privacy: there is no promise to test.",
                where="[privacy] enabled",
                fix="Enable [privacy], with --set privacy.enabled=true if need be.",
            )

    @property
    def declared_patients(self) -> int:
        """The public number of patients."""
        return self.site.dataset(self.study.data).declared_patients

    @lazy
    def plan(self) -> SitePlan:
        """What the study costs here."""
        return plan_site(self.study, self.declared_patients)

    @lazy
    def cohort(self) -> Cohort:
        """The hospital's patients."""
        agent: Agent = self._agent(Agent, "data", self.study)
        return agent.cohort

    @lazy
    def samples(self) -> Samples:
        """The training samples by unit, made by the agent."""
        return self.agent("samples", self.study).samples

    @property
    def device(self) -> torch.device:
        """Where the hospital computes."""
        return choose_device(self.site.compute.device)

    def agent(
        self,
        name: str,
        study: Study,
        *,
        marks: int = 0,
        canaries: list[list[int]] | None = None,
        real: Samples | None = None,
        progress: Progress | None = None,
        seed: int | None = None,
    ) -> AttackedAgent:
        """Return an agent with a ledger of its own.

        Args:
            name: begins its folder's name.
            study: what it approved.
            marks: coordinates for canaries; 0: none.
            canaries: the marks of each canary's samples.
            real: real patients; default: all.
            progress: hears about the steps.
            seed: of a repeatable generator; None: the operating system's, as hospitals have it.
        """
        made: AttackedAgent = self._agent(AttackedAgent, name, study, progress, seed)
        made.subject, made.marks, made.real = self, marks, real
        made.canaries = canaries or []
        return made

    def _agent(
        self,
        kind: type[Any],
        name: str,
        study: Study,
        progress: Progress | None = None,
        seed: int | None = None,
    ) -> Any:
        self.scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
        limits = {
            "max_epsilon": BOUNDLESS,
            "delta": study.privacy.delta,
            "min_patients": 1,
            "statistics": "noisy",
            "allowed_tasks": None,
            "allowed_models": None,
            "max_epsilon_per_study": None,
            "max_delta_per_study": None,
            "populations": {},
            "max_bytes_per_round": None,
        }
        return kind(
            replace(self.site, policy=self.site.policy.model_copy(update=limits)),
            study,
            Folders(folder / "site.ledger", folder / "state"),
            secret=SECRET,
            randomness=Randomness(seed),
            watch=lambda _: progress or Silent(),
            simulated=True,
        )


class AttackedAgent(Agent):
    """The agent as it is, but for whose patients it trains on: canaries are among them."""

    subject: Subject
    marks: int
    canaries: list[list[int]]
    real: Samples | None

    @lazy
    def cohort(self) -> Cohort:
        """The hospital's patients, read once for all agents."""
        return self.subject.cohort

    @lazy
    def space(self) -> Workspace:
        """The study, with marks where there are any."""
        device = self.subject.device
        return (
            MarkedWorkspace(self.study, device, self.marks)
            if self.marks
            else Workspace(self.study, device)
        )

    @lazy
    def samples(self) -> Samples:
        """The real training samples, then the canaries'."""
        real = Agent.samples.make(self) if self.real is None else self.real
        return marked(real, self.canaries) if self.marks else real


def observable(
    study: Study,
    *,
    learning_rate: float | None = None,
    rounds: int | None = None,
    local_steps: int | None = None,
    privacy: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    algorithm: Choice | None = None,
) -> Study:
    """Return the study with a local optimiser that hides nothing: what leaves is the sum of the noisy gradients.

    Every other optimiser computes its weights from those alone, so that its user sees no more. The statistics count
    what is protected, as a policy of noisy statistics demands.
    """
    bare = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, **(training or {})}
    if learning_rate is not None:
        bare["learning_rate"] = learning_rate
    if local_steps is not None:
        bare |= {"local_steps": local_steps, "local_epochs": None}
    federation: dict[str, Any] = {"algorithm": algorithm or Choice(name="fedavg")}
    if rounds is not None:
        federation["rounds"] = rounds
    changes = {
        "training": study.training.model_copy(update=bare),
        "federation": study.federation.model_copy(update=federation),
        "privacy": study.privacy.model_copy(update=privacy or {}),
        "evaluation": study.evaluation.model_copy(update={"per": study.privacy.unit}),
    }
    return study.model_copy(update=changes)
