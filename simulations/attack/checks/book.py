"""The ledger: everything that leaves is charged first, as what it is."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from scipy.stats import chi2

from client.guard.book import Charge
from client.messages import Request
from client.randomness import Randomness
from client.training.evaluation import evaluate
from client.training.workspace import Silent
from common.errors import BudgetError, Interrupted
from common.privacy.events import GaussianEvent
from simulations.attack.alarm import FALSE_ALARM
from simulations.attack.checks.base import Finding, check
from simulations.attack.probe import Probe
from simulations.attack.subject import AttackedAgent, Subject, observable

STEPS = 3
ROUNDS = 2
SIGMA = 1.0


class _Counting(Silent):
    """Counts steps, and looks into the ledger when the first is taken."""

    def __init__(self) -> None:
        self.agent: AttackedAgent | None = None
        self.steps = 0
        self.charged_before = True
        self.stop_at: int | None = None

    def step(self, taken: int, planned: int) -> None:
        self.steps += 1
        if taken == 0 and self.agent is not None:
            open_ = [c for c in self.agent.ledger.charges() if not c.settled]
            self.charged_before &= sum(c.event.steps for c in open_) == planned
        if self.stop_at is not None and taken == self.stop_at:
            raise Interrupted("The check stops the round here.")


def _agent(subject: Subject, name: str, counting: _Counting | None = None) -> AttackedAgent:
    """Return an agent of a short study on a few patients."""
    study = observable(
        subject.study,
        learning_rate=0.01,
        rounds=ROUNDS,
        local_steps=STEPS,
        privacy={"noise_multiplier": SIGMA, "epsilon": None},
        training={"physical_batch": 64},
    )
    agent = subject.agent(name, study, real=Probe(subject).real(8), progress=counting)
    if counting is not None:
        counting.agent = agent
    agent.describe()
    return agent


def _ask(agent: AttackedAgent, round_: int, *, evaluate: bool = False, nudge: float = 0) -> Request:
    weights = agent.space.initial + np.float32(nudge)
    return Request(agent.study.fingerprint, round_, weights, train=not evaluate, evaluate=evaluate)


def _charges(agent: AttackedAgent, role: str) -> list[Charge]:
    return [c for c in agent.ledger.charges() if c.group.startswith(f"{role}/")]


@check(
    "released-is-charged",
    "A round is charged before its first step, with the steps, q, σ and C that it then runs; one that is cut short "
    "stays charged in full.",
)
def released_is_charged(subject: Subject) -> Finding:
    """Count the steps of rounds and compare with the ledger; interrupt the last one."""
    counting = _Counting()
    agent = _agent(subject, "charged", counting)
    agent.handle(_ask(agent, 1))
    taken = counting.steps
    counting.stop_at = 1
    with suppress(Interrupted):
        agent.handle(_ask(agent, 2))
    charges = _charges(agent, "train")
    right = len(charges) == ROUNDS and all(_as_run(agent, charge) for charge in charges)
    passed = right and taken == STEPS and counting.charged_before
    before = "before" if counting.charged_before else "after"
    return Finding(
        passed,
        f"{taken} steps ran of {charges[0].event.steps if charges else 0} charged, {before} the first; "
        f"{len(charges)} rounds charged after {ROUNDS} were begun",
    )


def _as_run(agent: AttackedAgent, charge: Charge) -> bool:
    """Whether a charge says what the study says: every step of a round, with its q, σ and C."""
    event, plan = charge.event, agent.plan
    return (
        isinstance(event, GaussianEvent)
        and plan is not None
        and event.steps == STEPS
        and event.sampling_rate == plan.sampling_rate
        and event.noise_multiplier == plan.noise_multiplier == SIGMA
        and event.clip_norm == plan.clip_norm
    )


@check(
    "retry-charged",
    "The same question gets the same bytes for nothing; bytes that were made anew are a new charge.",
)
def retry_charged(subject: Subject) -> Finding:
    """Ask twice, lose the spooled reply, and ask again."""
    agent = _agent(subject, "retry")
    replies = [agent.handle(_ask(agent, 1)).weights for _ in range(2)]
    for file in agent.spool.folder.glob("*"):
        file.unlink()
    replies.append(agent.handle(_ask(agent, 1)).weights)
    different = len({b"" if r is None else r.tobytes() for r in replies})
    charged = len(_charges(agent, "train"))
    return Finding(
        different == charged == 2,
        f"{different} different replies of {len(replies)}, {charged} charges",
    )


@check(
    "hard-stop",
    "A study costs what was planned and no more: what would go beyond is refused before it is computed.",
)
def hard_stop(subject: Subject) -> Finding:
    """Ask other questions in the rounds that there are, until the plan is used up."""
    counting = _Counting()
    agent = _agent(subject, "stop", counting)
    for round_ in range(1, ROUNDS + 1):
        agent.handle(_ask(agent, round_))
    before = counting.steps
    try:
        agent.handle(_ask(agent, 1, nudge=0.5))
        refused = False
    except BudgetError:
        refused = True
    said = "refused" if refused else "answered"
    steps = counting.steps - before
    return Finding(
        refused and not steps, f"a question too many was {said} after {steps} more steps"
    )


@check(
    "statistics-charged",
    "Evaluation statistics leave with noise for one patient, charged to the held-out patients.",
)
def statistics_charged(subject: Subject) -> Finding:
    """Compare the statistics that left with the exact ones."""
    agent = _agent(subject, "statistics")
    request = _ask(agent, ROUNDS + 1, evaluate=True)
    released = agent.handle(request).tally
    plan, bound = agent.plan, agent.space.task.tally_bound
    exact = evaluate(agent.space, request.weights, agent.cohort).flat()
    charges = [c.event for c in _charges(agent, "test")]
    if released is None or plan is None:
        return Finding(not charges, "nothing leaves")
    charged = charges == [plan.evaluation_event(bound)]
    off = (released - exact) / (plan.evaluation_noise * bound)
    p_value = float(chi2.cdf(float((off**2).sum()), off.size))
    deviation = float(np.sqrt((off**2).mean()))
    return Finding(
        charged and p_value >= FALSE_ALARM,
        f"noise {deviation:.3f} of what is planned on {off.size} values, "
        f"{'charged' if charged else 'not charged as planned'}",
    )


@check(
    "randomness-recorded",
    "A hospital draws from the operating system, and a fixed seed is written down as such in the ledger.",
)
def randomness_recorded(subject: Subject) -> Finding:
    """Compare the generator with the word in the ledger, for both kinds."""
    agent = _agent(subject, "recorded")
    agent.handle(_ask(agent, 1))
    words = {c.randomness for c in agent.ledger.charges()}
    stream = agent.randomness.stream("site", "round-1", "noise").origin
    fixed = Randomness(1).stream("site", "round-1", "noise").origin
    gaussian = all(isinstance(c.event, GaussianEvent) for c in agent.ledger.charges())
    passed = words == {"system"} == {stream} and fixed == "fixed" and gaussian
    return Finding(passed, f"ledger: {', '.join(sorted(words))}; stream: {stream}")
