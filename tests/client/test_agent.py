"""The agent: charged before it answers, the same bytes for the same question, and no more than allowed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import gate as gate_module
from client.agent import Agent, Folders
from client.guard.book import Charge
from client.guard.budget import spent
from client.guard.chain import Chain
from client.guard.egress import Parcel
from client.guard.ledger import Ledger
from client.messages import Request
from client.site import Site
from client.status import SiteStatus
from client.terms import Terms
from client.training.workspace import Silent
from common.errors import (
    BudgetError,
    DataError,
    Interrupted,
    MachineError,
    PolicyError,
    TamperedError,
)
from common.privacy.events import GaussianEvent, UnprotectedEvent
from common.privacy.plan import evaluated_rounds
from common.study import Study
from common.tasks.base import Tally

Make = Callable[..., Agent]
Ask = Callable[..., Request]
MakeStudy = Callable[..., Study]
OFF = {"enabled": False}

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


def charges(agent: Agent, role: str = "") -> list[Charge]:
    """What the ledger on disk says, as another process reads it."""
    ledger = Ledger(agent.folders.ledger, site=agent.site.name, population=agent.site.name)
    return [c for c in ledger.charges() if c.group.startswith(role)]


def nothing_spent(agent: Agent) -> bool:
    return charges(agent) == [] and not list(agent.folders.state.glob("spool/*"))


def test_a_round_is_charged_and_settled_before_its_reply(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    introduced = agent.describe()
    assert (introduced.site, introduced.declared_patients) == ("north", 40)
    answer = agent.handle(ask(agent))
    assert answer.weights is not None
    assert answer.tally is None
    assert answer.weights.any()
    (charge,) = charges(agent)
    assert charge.settled
    assert charge.event == agent.plan.training_event()  # type: ignore[union-attr]
    assert (charge.group, charge.round) == ("train/hash:0.25", 1)
    assert charge.randomness == "system"
    assert charge.fingerprint == agent.study.fingerprint
    assert answer.ledger_head == agent.ledger.head()


def test_the_reply_leaves_after_the_settlement(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent()

    def refuse(*_: Any, **__: Any) -> None:
        raise MachineError("The disk is full.")

    monkeypatch.setattr(agent.ledger, "settle", refuse)
    with pytest.raises(MachineError):
        agent.handle(ask(agent))
    assert [c.settled for c in charges(agent)] == [False]


def test_the_same_question_gets_the_same_bytes_and_one_charge(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    first = agent.handle(ask(agent, evaluate=True))
    for other in (agent, make_agent(site=agent.site)):  # the same process, and one started anew
        again = other.handle(ask(other, evaluate=True))
        assert first.weights is not None
        assert again.weights is not None
        assert again.weights.tobytes() == first.weights.tobytes()
        assert np.array_equal(again.tally, first.tally)  # type: ignore[arg-type]
    assert len(charges(agent)) == 2  # training, statistics
    assert all(c.settled for c in charges(agent))


def test_another_question_is_another_charge(
    make_agent: Make, make_study: Callable[..., Study], ask: Ask
) -> None:
    agent = make_agent(make_study(federation={"rounds": 3}))
    first = agent.handle(ask(agent))
    moved = ask(agent, weights=np.full(agent.space.layout.size, 1e-6, np.float32))
    second = agent.handle(moved)
    third = agent.handle(ask(agent, 2))
    assert len({a.weights.tobytes() for a in (first, second, third)}) == 3  # type: ignore[union-attr]
    assert len(charges(agent)) == 3


@pytest.mark.parametrize("place", ["_train", "spool.save", "inspect", "settle"])
def test_a_crash_keeps_the_charge_and_a_retry_makes_no_second(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    agent = make_agent()

    class Crash(BaseException):
        pass

    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        if place == "inspect":
            patched.setattr(gate_module, "inspect", crash)
        elif place == "settle":
            patched.setattr(agent.ledger, "settle", crash)
        elif place == "spool.save":
            patched.setattr(agent.spool, "save", crash)
        else:
            patched.setattr(agent, "_train", crash)
        with pytest.raises(Crash):
            agent.handle(ask(agent))
    (charge,) = charges(agent)
    assert not charge.settled
    assert charge.event.steps == 3, "in full"
    restarted = make_agent(site=agent.site)
    restarted.handle(ask(restarted))
    (charge,) = charges(agent)
    assert charge.settled


def test_bytes_that_are_gone_cost_a_second_charge(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    first = agent.handle(ask(agent))
    for file in agent.spool.folder.iterdir():
        file.unlink()
    second = agent.handle(ask(agent))
    assert len(charges(agent)) == 2
    assert first.weights.tobytes() != second.weights.tobytes()  # type: ignore[union-attr]
    third = agent.handle(ask(agent))
    assert third.weights.tobytes() == second.weights.tobytes()  # type: ignore[union-attr]
    assert len(charges(agent)) == 2


def test_other_bytes_in_the_spool_never_leave_under_a_settled_charge(
    make_agent: Make, ask: Ask
) -> None:
    agent = make_agent()
    request = ask(agent)
    agent.handle(request)
    forged = np.full(agent.space.layout.size, 7, np.float32)
    agent.spool.save(request.key, Parcel(forged, None))
    answer = agent.handle(request)
    assert answer.weights is not None
    assert not (answer.weights == 7).all()
    assert len(charges(agent)) == 2


def test_two_questions_at_once_get_one_release(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    request = ask(agent)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(agent.handle(request))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert len({a.weights.tobytes() for a in answers}) == 1
    assert len(charges(agent)) == 1


def test_stopping_a_round_leaves_it_to_be_finished(make_agent: Make, ask: Ask) -> None:
    class Stop(Silent):
        def step(self, taken: int, planned: int) -> None:
            if taken == 1:
                raise Interrupted("stopped")

    agent = make_agent(watch=lambda _: Stop())
    with pytest.raises(Interrupted):
        agent.handle(ask(agent))
    assert [c.settled for c in charges(agent)] == [False]
    again = make_agent(site=agent.site)
    again.handle(ask(again))
    assert [c.settled for c in charges(agent)] == [True]


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "0" * 64},
        {"round_": 0},
        {"round_": -1},
        {"round_": 3},
        {"round_": 4, "train": False, "evaluate": True},
        {"weights": "short"},
        {"weights": "square"},
        *({"weights": value} for value in (np.nan, np.inf, -np.inf)),
    ],
)
def test_questions_that_are_not_the_studys_cost_nothing(
    make_agent: Make, ask: Ask, changes: dict[str, Any]
) -> None:
    agent = make_agent()
    size = agent.space.layout.size
    weights = changes.pop("weights", None)
    if isinstance(weights, str):
        shape = (size - 1,) if weights == "short" else (1, size)
        changes["weights"] = np.zeros(shape, np.float32)
    elif weights is not None:
        changes["weights"] = np.r_[np.zeros(size - 1), weights].astype(np.float32)
    with pytest.raises(PolicyError):
        agent.handle(ask(agent, **changes))
    assert nothing_spent(agent)


@pytest.mark.parametrize(
    ("study", "policy", "key"),
    [
        ({"privacy": OFF}, {}, "allow_non_private"),
        ({}, {"allowed_tasks": ["forecasting"]}, "allowed_tasks"),
        ({}, {"allowed_models": []}, "allowed_models"),
        ({}, {"allowed_models": ["mlp"]}, "allowed_models"),
        ({}, {"min_patients": 35}, "min_patients"),
        ({"evaluation": {"per": "sample"}}, {"statistics": "noisy"}, "statistics"),
        ({"privacy": {"unit": "sample"}}, {"statistics": "noisy"}, "statistics"),
    ],
)
@pytest.mark.parametrize("described", [True, False])
def test_policies_refuse_before_anything_is_spent_whatever_the_coordinator_skips(
    make_agent: Make,
    make_study: MakeStudy,
    ask: Ask,
    study: dict[str, Any],
    policy: dict[str, Any],
    key: str,
    described: bool,
) -> None:
    agent = make_agent(make_study(**study), **policy)
    with pytest.raises(PolicyError) as caught:
        agent.describe() if described else agent.handle(ask(agent))
    assert f"[policy] {key}" in caught.value.where
    assert caught.value.fix
    assert nothing_spent(agent)


def test_a_study_that_costs_more_than_the_site_allows_is_refused_at_once(
    make_agent: Make,
) -> None:
    agent = make_agent(max_epsilon=1.0)
    with pytest.raises(BudgetError, match="whole study"):
        agent.describe()
    assert nothing_spent(agent)


def test_the_sites_delta_counts_and_not_the_studys(make_agent: Make, make_study: MakeStudy) -> None:
    lax = make_study(privacy={"delta": 0.1}, evaluation={"epsilon": 1.0})
    probe = make_agent(lax)
    assert probe.plan is not None
    whole = probe.plan.epsilon
    with pytest.raises(BudgetError):
        make_agent(lax, max_epsilon=whole * 1.1, delta=1e-6).describe()


def test_what_other_studies_spent_counts_too(
    make_agent: Make, make_study: MakeStudy, ask: Ask
) -> None:
    first = make_agent(statistics="none")
    assert first.plan is not None
    first.describe()
    first.handle(ask(first))
    other = make_study(study={"name": "another"})
    tight = make_agent(other, statistics="none", max_epsilon=first.plan.epsilon * 1.05)
    with pytest.raises(BudgetError, match="whole study"):
        tight.describe()
    same = make_agent(statistics="none", max_epsilon=first.plan.epsilon * 1.05)
    same.describe()  # its own first round is not counted twice


def test_a_coordinator_gets_no_more_than_the_plan(make_agent: Make, ask: Ask) -> None:
    """Asking the two planned rounds again with other weights is a third charge, which nobody approved."""
    agent = make_agent()
    for round_ in (1, 2):
        agent.handle(ask(agent, round_))
    moved = ask(agent, weights=np.full(agent.space.layout.size, 1e-6, np.float32))
    with pytest.raises(BudgetError, match="planned"):
        agent.handle(moved)
    assert len(charges(agent)) == 2


@pytest.mark.parametrize("train", [True, False])
def test_what_has_no_epsilon_leaves_no_more_often_than_planned(
    make_agent: Make, make_study: MakeStudy, ask: Ask, train: bool
) -> None:
    """Exact figures of ever other weights would tell ever more about the same patients."""
    free = make_study(privacy={"enabled": False})
    agent = make_agent(free, allow_non_private=True, statistics="exact")

    def moved(number: int) -> Any:
        weights = np.full(agent.space.layout.size, number / 1e6, np.float32)
        return ask(agent, 1, weights=weights, train=train, evaluate=not train)

    planned = free.federation.rounds if train else len(evaluated_rounds(free))
    for number in range(planned):
        agent.handle(moved(number))
    with pytest.raises(BudgetError, match=f"{planned} times"):
        agent.handle(moved(planned))
    assert len(charges(agent)) == planned
    agent.handle(moved(planned - 1))  # the same bytes again


def test_a_round_that_overruns_the_budget_is_a_hard_stop(make_agent: Make, ask: Ask) -> None:
    free = make_agent(statistics="none")
    assert free.plan is not None
    agent = make_agent(statistics="none", max_epsilon=free.plan.epsilon * 1.0001)
    agent.handle(ask(agent, 1))
    agent.handle(ask(agent, 2))
    more = ask(agent, 2, weights=np.ones(agent.space.layout.size, np.float32))
    with pytest.raises(BudgetError, match="does not fit"):
        agent.handle(more)
    assert len(charges(agent)) == 2
    assert spent(charges(agent), 1e-3) <= agent.site.policy.max_epsilon


def test_statistics_stay_when_the_policy_keeps_them(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(statistics="none")
    assert agent.describe().statistics == "none"
    assert agent.handle(ask(agent, evaluate=True)).tally is None
    assert agent.handle(ask(agent, 3, train=False, evaluate=True)).tally is None
    assert [c.group.split("/")[0] for c in charges(agent)] == ["train"]


def exact_tally(agent: Agent, answer_tally: Any) -> Tally:
    return Tally.from_flat(answer_tally, agent.space.task.tally_layout)


def test_exact_statistics_are_declared_public_and_exact(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(statistics="exact")
    answer = agent.handle(ask(agent, 3, train=False, evaluate=True))
    assert answer.weights is None
    tally = exact_tally(agent, answer.tally)
    assert tally.arrays["confusion"].sum() == agent.cohort.test_patients
    (charge,) = charges(agent)
    assert isinstance(charge.event, UnprotectedEvent)
    assert charge.event.declared_public
    assert charge.group.startswith("test/")
    assert spent(charges(agent), 1e-3) == 0


def test_noisy_statistics_are_charged_to_the_held_out_patients(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(statistics="noisy")
    assert agent.plan is not None
    request = ask(agent, 3, train=False, evaluate=True)
    noisy = agent.handle(request).tally
    assert noisy is not None
    (charge,) = charges(agent)
    assert isinstance(charge.event, GaussianEvent)
    assert charge.group.startswith("test/")
    assert charge.event.clip_norm == agent.space.task.tally_bound
    assert charge.event.noise_multiplier == agent.plan.evaluation_noise
    exact = make_agent(
        site=replace(
            agent.site, policy=agent.site.policy.model_copy(update={"statistics": "exact"})
        )
    )
    truth = exact._tally(request)
    deviation = agent.plan.evaluation_noise * agent.space.task.tally_bound
    drawn = []
    for number in range(30):
        moved = ask(agent, 3, train=False, evaluate=True, round=3, fingerprint=f"{number}")
        drawn.append(agent._tally(moved) - truth)
    assert np.std(drawn) == pytest.approx(deviation, rel=0.1)
    assert abs(np.mean(drawn)) < 0.3 * deviation


def test_training_and_statistics_of_one_round_are_two_charges(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(statistics="noisy")
    agent.handle(ask(agent, 2, evaluate=True))
    assert [c.group.split("/")[0] for c in charges(agent)] == ["train", "test"]


def test_training_without_privacy_is_recorded_as_such(
    make_agent: Make, make_study: MakeStudy, ask: Ask
) -> None:
    study = make_study(privacy=OFF, training={"local_steps": 40})
    agent = make_agent(study, allow_non_private=True, statistics="noisy")
    agent.describe()
    answer = agent.handle(ask(agent, evaluate=True))
    assert answer.weights is not None
    assert spent(charges(agent, "train"), 1e-3) == np.inf
    statistics = [c.event for c in charges(agent, "test")]
    assert [e.declared_public for e in statistics] == [False], "the policy did not declare it"  # type: ignore[union-attr]
    status = SiteStatus.read(agent.folders.state)
    assert status is not None
    assert (status.epsilon, status.sigma) == (np.inf, 0.0)
    private = make_agent(site=agent.site)
    with pytest.raises(BudgetError):
        private.handle(ask(private))


def test_an_infinite_result_stays_and_its_charge_stands(
    make_agent: Make, make_study: MakeStudy, ask: Ask
) -> None:
    agent = make_agent(make_study(training={"learning_rate": 1e38}))
    for _ in range(2):
        with pytest.raises(PolicyError, match="diverged"):
            agent.handle(ask(agent))
    assert [c.settled for c in charges(agent)] == [False]


def test_fixed_seeds_repeat_and_the_ledger_says_so(
    make_agent: Make, ask: Ask, tmp_path: Path
) -> None:
    agent = make_agent(seed=3)
    first = agent.handle(ask(agent))
    agent.folders.ledger.unlink()
    for file in agent.spool.folder.iterdir():
        file.unlink()
    again = make_agent(site=agent.site, seed=3)
    assert again.handle(ask(again)).weights.tobytes() == first.weights.tobytes()  # type: ignore[union-attr]
    assert charges(again)[0].randomness == "fixed"


def test_the_status_tells_what_was_spent_and_sent(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(statistics="noisy")
    agent.describe()
    before = SiteStatus.read(agent.folders.state)
    assert before is not None
    assert (before.steps, before.epsilon, before.bytes_sent) == (0, 0, 0)
    answer = agent.handle(ask(agent, evaluate=True))
    after = SiteStatus.read(agent.folders.state)
    assert after is not None
    assert (after.steps, after.sigma) == (3, 1.0)
    assert after.epsilon == spent(charges(agent), 1e-3) > 0
    assert after.bytes_sent == answer.size > 0
    assert (after.patients, after.declared_patients) == (40, 40)
    assert after.train_patients + after.test_patients == 40


def test_the_unit_of_a_sample_splits_a_patient(make_agent: Make, make_study: MakeStudy) -> None:
    by_patient = make_agent(make_study())
    by_sample = make_agent(make_study(privacy={"unit": "sample"}), statistics="none")
    assert by_patient.samples.units == by_patient.cohort.train_patients
    assert by_sample.samples.units == by_sample.cohort.count("train") > by_patient.samples.units


def test_data_that_are_gone_cost_nothing(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    (agent.site.folder / "scans.npz").unlink()
    with pytest.raises(DataError):
        agent.describe()
    with pytest.raises(DataError):
        agent.handle(ask(agent))
    assert nothing_spent(agent)


def test_data_have_one_ledger(make_agent: Make, ask: Ask, tmp_path: Path) -> None:
    """The same data in another site.toml would have a second budget."""
    first = make_agent()
    first.describe()
    first.handle(ask(first))
    assert (tmp_path / "north" / ".scans.npz.consilium-claim").exists()
    folders = Folders(tmp_path / "other" / "second.ledger", tmp_path / "other" / "state")
    second = Agent(
        replace(first.site, name="second"),
        first.study,
        folders,
        secret=b"another secret of 32 bytes here.",
        randomness=first.randomness,
    )
    for use in (second.describe, lambda: second.handle(ask(second))):
        with pytest.raises(BudgetError) as caught:
            use()
        assert str(first.folders.ledger) in caught.value.what
        assert str(folders.ledger) in caught.value.what
    assert nothing_spent(second)


@pytest.mark.parametrize("how", ["seed", "simulated"])
def test_a_simulation_claims_nothing(make_agent: Make, ask: Ask, tmp_path: Path, how: str) -> None:
    agent = make_agent(seed=3) if how == "seed" else make_agent(simulated=True)
    agent.handle(ask(agent))
    assert not list((tmp_path / "north").glob(".*claim"))
    sources = [e.body for e in Chain(agent.folders.ledger).read() if e.kind == "source"]
    assert [body["standing"] for body in sources] == ["simulated"]
    assert str(tmp_path) not in str(sources)


def test_the_data_are_noted_before_they_are_charged(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    agent.handle(ask(agent))
    kinds = [entry.kind for entry in Chain(agent.folders.ledger).read()]
    assert kinds == ["open", "source", "reserve", "settle"]
    restarted = make_agent(site=agent.site)
    restarted.describe()
    assert [e.kind for e in Chain(agent.folders.ledger).read()].count("source") == 1


def test_a_ledger_copied_back_is_refused_when_the_agent_starts(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    agent.handle(ask(agent, 1))
    backup = agent.folders.ledger.read_bytes()
    agent.handle(ask(agent, 2))
    newest = agent.folders.ledger.read_bytes()
    agent.folders.ledger.write_bytes(backup)
    with pytest.raises(TamperedError, match="older copy"):
        make_agent(site=agent.site)
    agent.folders.ledger.unlink()
    with pytest.raises(TamperedError, match="missing"):
        make_agent(site=agent.site)
    agent.folders.ledger.write_bytes(newest)
    assert make_agent(site=agent.site).handle(ask(agent, 2)).ledger_head == agent.ledger.head()


def in_population(agent: Agent, name: str) -> Site:
    dataset = agent.site.datasets["scans"].model_copy(update={"population": name})
    return replace(agent.site, datasets={"scans": dataset})


def test_a_population_pays_from_its_own_budget(
    make_agent: Make, make_study: MakeStudy, ask: Ask
) -> None:
    """Two data sets of disjoint patients: what one spent leaves the other's budget whole."""
    probe = make_agent(statistics="none")
    assert probe.plan is not None
    tight = {"statistics": "none", "max_epsilon": probe.plan.epsilon * 1.05}
    adults = make_agent(site=in_population(make_agent(**tight), "adults"))
    adults.describe()
    adults.handle(ask(adults))
    assert [c.population for c in charges(adults)] == ["adults"]
    other = make_study(study={"name": "another"})
    site = in_population(adults, "children")
    path = site.folder / "children.npz"
    path.write_bytes((site.folder / "scans.npz").read_bytes())
    moved = site.datasets["scans"].model_copy(update={"path": path})
    children = make_agent(other, site=replace(site, datasets={"children": moved}))
    children.describe()
    children.handle(ask(children))
    assert [c.population for c in charges(children)] == ["adults", "children"]
    whole = make_agent(make_study(study={"name": "third"}), site=make_agent(**tight).site)
    with pytest.raises(BudgetError, match="whole study"):
        whole.describe()


def test_the_same_data_cannot_become_another_population(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    adults = make_agent(site=in_population(agent, "adults"))
    adults.handle(ask(adults))
    fresh = make_agent(site=in_population(agent, "fresh"))
    with pytest.raises(BudgetError, match="second budget"):
        fresh.handle(ask(fresh))
    assert len(charges(agent)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"local_steps": 4}},
        {"privacy": {"sampling_rate": "1/2"}},
        {"privacy": {"noise_multiplier": 0.5}},
        {"privacy": {"clip_norm": 9.0}},
        {"privacy": {"samples_per_patient": 5}},
        {"federation": {"rounds": 3}},
    ],
)
def test_what_was_not_approved_is_another_study(
    make_agent: Make, make_study: MakeStudy, ask: Ask, change: dict[str, Any]
) -> None:
    """More steps, another q or a lower σ: the coordinator can only ask under the changed study's fingerprint."""
    agent = make_agent()
    asked = make_study(**change)
    with pytest.raises(PolicyError, match="another study"):
        agent.handle(ask(agent, fingerprint=asked.fingerprint))
    assert nothing_spent(agent)


@pytest.mark.parametrize("wanted", ["more steps", "another q", "a lower σ", "a second time"])
def test_the_plan_of_the_approved_study_is_a_hard_stop(
    make_agent: Make, ask: Ask, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever made the terms of a round differ from what was approved: the ledger refuses before the first step."""
    agent = make_agent(statistics="none")
    approved = agent.plan.training_event()  # type: ignore[union-attr]
    assert isinstance(approved, GaussianEvent)
    whole = approved.with_steps(agent.plan.steps)  # type: ignore[union-attr]
    asked = {
        "more steps": whole.with_steps(whole.steps + 1),
        "another q": replace(whole, sampling_rate=Fraction(1, 3)),
        "a lower σ": replace(whole, noise_multiplier=0.99),
        "a second time": whole,
    }[wanted]
    if wanted == "a second time":
        agent.handle(ask(agent, 1))
    before = len(charges(agent))
    monkeypatch.setattr(Terms, "_training", lambda _: asked)
    trained: list[int] = []
    monkeypatch.setattr(agent, "_train", lambda _: trained.append(1))
    with pytest.raises(BudgetError, match="planned to cost"):
        agent.handle(ask(agent, 2))
    assert trained == []
    assert len(charges(agent)) == before
