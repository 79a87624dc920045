"""The ledger never under-counts: not after a crash, not with two agents, not on a retry."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from client.guard.book import Charge, Reservation
from client.guard.budget import Budget, spent
from client.guard.chain import Chain
from client.guard.entries import Writer
from client.guard.ledger import AlreadySettled, Ledger
from common.errors import BudgetError, StudyError, TamperedError
from common.privacy.events import Event, GaussianEvent, UnprotectedEvent

EVENT = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10)
SHA = "a" * 64


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "site.ledger", "a", "a")


def reserve(ledger: Ledger, key: str, event: Event = EVENT, **terms: Any) -> Reservation:
    values: dict[str, Any] = {
        "study": "s",
        "fingerprint": "f",
        "round": 1,
        "group": "train/1",
        "delta": 1e-3,
        "randomness": "system",
    }
    return ledger.reserve(key, event=event, **{**values, **terms})


def steps(ledger: Ledger) -> list[int]:
    return [charge.event.steps for charge in ledger.charges()]


def test_open_reservations_count_in_full(ledger: Ledger) -> None:
    first, _ = reserve(ledger, "1"), reserve(ledger, "2")
    assert steps(ledger) == [10, 10]
    ledger.settle(first, steps=4, released=SHA)
    assert steps(ledger) == [4, 10]
    assert [charge.settled for charge in ledger.charges()] == [True, False]


def test_another_process_sees_the_same(ledger: Ledger) -> None:
    ledger.settle(reserve(ledger, "1"), steps=4, released=SHA)
    reserve(ledger, "2", UnprotectedEvent("counts", 3, declared_public=True), group="test/1")
    again = Ledger(ledger.path, "a", "a")
    assert again.charges() == ledger.charges()
    assert again.head() == ledger.head()


def test_an_open_key_is_not_charged_twice(ledger: Ledger) -> None:
    first = reserve(ledger, "1")
    head = ledger.head()
    assert reserve(ledger, "1") == first
    assert reserve(Ledger(ledger.path, "a", "a"), "1") == first
    assert ledger.head() == head
    assert steps(ledger) == [10]


@pytest.mark.parametrize(
    "other",
    [
        {"event": EVENT.with_steps(11)},
        {"event": GaussianEvent("poisson", Fraction(1, 4), 1.3, 1.0, 10)},
        {"group": "test/1"},
        {"round": 2},
        {"study": "t"},
        {"fingerprint": "g"},
        {"delta": 1e-4},
        {"randomness": "fixed"},
    ],
)
def test_an_open_key_keeps_its_terms(ledger: Ledger, other: dict[str, Any]) -> None:
    reserve(ledger, "1")
    with pytest.raises(BudgetError, match="other terms"):
        reserve(ledger, "1", **other)
    assert steps(ledger) == [10]


def test_a_settled_key_asks_for_the_spooled_bytes(ledger: Ledger) -> None:
    made = reserve(ledger, "1")
    ledger.settle(made, steps=7, released=SHA)
    with pytest.raises(AlreadySettled) as caught:
        reserve(ledger, "1")
    assert (caught.value.released, caught.value.steps) == (SHA, 7)
    assert caught.value.reservation == made
    assert steps(ledger) == [7]


def test_nothing_left_costs_nothing(ledger: Ledger) -> None:
    ledger.settle(reserve(ledger, "1"), steps=0, released=None)
    assert spent(ledger.charges(), 1e-3) == 0


@pytest.mark.parametrize("count", [11, -1, True])
def test_no_more_than_reserved_is_settled(ledger: Ledger, count: int) -> None:
    made = reserve(ledger, "1")
    with pytest.raises(BudgetError, match="10 reserved"):
        ledger.settle(made, steps=count, released=SHA)
    assert steps(ledger) == [10]


def test_settling_twice_is_the_same_once(ledger: Ledger) -> None:
    made = reserve(ledger, "1")
    ledger.settle(made, steps=4, released=SHA)
    head = ledger.head()
    ledger.settle(made, steps=4, released=SHA)
    assert ledger.head() == head
    for other in ({"steps": 3, "released": SHA}, {"steps": 4, "released": "b" * 64}):
        with pytest.raises(BudgetError, match="another result"):
            ledger.settle(made, **other)  # type: ignore[arg-type]
    assert steps(ledger) == [4]


def test_a_reservation_of_another_ledger_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "other.ledger", "a", "a")
    reserve(other, "0")
    made = reserve(other, "1")
    with pytest.raises(StudyError, match="not of this ledger"):
        ledger.settle(made, steps=0, released=None)
    reserve(ledger, "1")
    with pytest.raises(StudyError, match="not of this ledger"):
        ledger.settle(made, steps=0, released=None)
    assert steps(ledger) == [10]


@pytest.mark.parametrize("released", ["", "abc", "A" * 64, "a" * 64 + "\n"])
def test_released_is_a_sha256(ledger: Ledger, released: str) -> None:
    made = reserve(ledger, "1")
    with pytest.raises(StudyError, match="sha256"):
        ledger.settle(made, steps=1, released=released)


@pytest.mark.parametrize(
    ("terms", "name"),
    [({"group": "train"}, "group"), ({"group": "val/1"}, "group"), ({"delta": 0.0}, "delta")],
)
def test_nonsense_terms_are_refused_by_name(
    ledger: Ledger, terms: dict[str, Any], name: str
) -> None:
    with pytest.raises(StudyError) as caught:
        reserve(ledger, "1", **terms)
    assert caught.value.where == name
    assert steps(ledger) == []


def test_a_policy_is_noted_when_it_changes(ledger: Ledger) -> None:
    def count() -> int:
        return Chain(ledger.path).verify().entries

    policy = {"max_epsilon": 8.0, "delta": 1e-3, "allowed": ("a", "b"), "none": None}
    before = count()
    ledger.record_policy(policy)
    ledger.record_policy({**policy, "allowed": ["a", "b"]})
    Ledger(ledger.path, "a", "a").record_policy(policy)
    assert count() == before + 1
    ledger.record_policy({**policy, "max_epsilon": float("inf")})
    assert count() == before + 2


@pytest.mark.parametrize(("site", "population"), [("b", "a"), ("a", "b")])
def test_a_ledger_has_one_owner(ledger: Ledger, site: str, population: str) -> None:
    with pytest.raises(StudyError, match="belongs to"):
        Ledger(ledger.path, site, population)


def test_a_refused_charge_is_not_written(ledger: Ledger) -> None:
    budget = Budget(3.0, 1e-3)
    reserve(ledger, "1", budget=budget)
    head = ledger.head()
    with pytest.raises(BudgetError) as caught:
        reserve(ledger, "2", budget=budget)
    for part in ("2.167 spent", "3.109 with it", "ε = 3 allowed", "add"):
        assert part in str(caught.value)
    assert ledger.head() == head


def test_the_lock_is_held_while_the_budget_is_asked(ledger: Ledger) -> None:
    """A second agent, whose ledger object knows nothing of the first, must see the first charge."""
    other = Ledger(ledger.path, "a", "a")
    seen: list[int] = []
    entered, started = threading.Event(), threading.Event()

    class Slow:
        def check(self, charges: Iterable[Charge], asked: Charge) -> None:
            entered.set()
            started.wait(5)

    class Count:
        def check(self, charges: Iterable[Charge], asked: Charge) -> None:
            seen.append(len(list(charges)))

    def second() -> None:
        entered.wait(5)
        started.set()
        reserve(other, "2", budget=Count())

    thread = threading.Thread(target=second)
    thread.start()
    reserve(ledger, "1", budget=Slow())
    thread.join()
    assert seen == [1]


def test_two_processes_cannot_both_pass_the_budget(ledger: Ledger) -> None:
    script = f"""
        import sys
        from fractions import Fraction
        from pathlib import Path
        from client.guard.budget import Budget
        from client.guard.ledger import Ledger
        from common.errors import BudgetError
        from common.privacy.events import GaussianEvent
        event = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10)
        ledger = Ledger(Path({str(ledger.path)!r}), "a", "a")
        passed = 0
        for n in range(8):
            try:
                ledger.reserve(f"{{sys.argv[1]}}-{{n}}", study="s", fingerprint="f", round=n,
                    group="train/1", event=event, delta=1e-3, randomness="system",
                    budget=Budget(5.0, 1e-3))
                passed += 1
            except BudgetError:
                pass
        print(passed)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    agents = [subprocess.Popen([*command, name], stdout=subprocess.PIPE) for name in "xy"]
    passed = [int(agent.communicate()[0]) for agent in agents]
    assert sum(passed) == len(ledger.charges()) == 4  # four fit ε = 5, a fifth would not
    assert spent(ledger.charges(), 1e-3) <= 5.0


def test_one_ledger_in_many_threads(ledger: Ledger) -> None:
    def work(name: int) -> None:
        for n in range(5):
            ledger.settle(reserve(ledger, f"{name}-{n}"), steps=n, released=SHA)
            ledger.charges()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(steps(ledger)) == sorted(list(range(5)) * 4)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("open", {"site": "a", "population": "b"}),
        ("discount", {}),
        ("settle", {"key": "1", "steps": 11, "released": None}),
        ("settle", {"key": "none", "steps": 1, "released": None}),
        ("settle", {"key": "1", "steps": -1, "released": None}),
        ("settle", {"key": "1"}),
        ("policy", {"policy": 3}),
        ("reserve", {"key": "1"}),
        ("reserve", {"key": "2", "event": {"type": "gaussian"}}),
    ],
)
def test_a_well_chained_lie_is_noticed(ledger: Ledger, kind: str, body: dict[str, Any]) -> None:
    """Somebody who can compute hashes appends what a ledger would never say."""
    reserve(ledger, "1")

    def lie(writer: Writer) -> None:
        writer.append(kind, body)

    Chain(ledger.path).write(lie)
    with pytest.raises(TamperedError, match="makes no sense"):
        Ledger(ledger.path, "a", "a")
    with pytest.raises(TamperedError):
        reserve(ledger, "2")


def test_a_ledger_put_back_from_a_backup_is_noticed_by_its_agent(ledger: Ledger) -> None:
    reserve(ledger, "1")
    backup = ledger.path.read_bytes()
    reserve(ledger, "2")
    ledger.path.write_bytes(backup)
    with pytest.raises(TamperedError, match="gone or changed"):
        reserve(ledger, "3")


class NeverUnderCounts(RuleBasedStateMachine):
    """Any order of reservations, settlements, retries, refusals and crashes of the process."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "a.ledger"
        self.ledger = Ledger(self.path, "a", "a")
        self.open: dict[str, Reservation] = {}
        self.truth: dict[str, int] = {}
        self.settled: set[str] = set()

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(key=st.sampled_from("abcdef"), most=st.integers(0, 20), refuse=st.booleans())
    def reserve(self, key: str, most: int, refuse: bool) -> None:
        class Refuse:
            def check(self, charges: Iterable[Charge], asked: Charge) -> None:
                if refuse:
                    raise BudgetError("refused")

        try:
            made = reserve(self.ledger, key, EVENT.with_steps(most), budget=Refuse())
        except AlreadySettled:
            assert key in self.settled
            return
        except BudgetError:
            assert refuse or self.open[key].event.steps != most
            return
        assert key not in self.settled
        self.open[key] = made
        self.truth.setdefault(key, most)
        assert self.truth[key] == most

    @rule(key=st.sampled_from("abcdef"), ran=st.integers(0, 25))
    def settle(self, key: str, ran: int) -> None:
        if key not in self.open:
            return
        try:
            self.ledger.settle(self.open[key], steps=ran, released=SHA)
        except BudgetError:
            assert key in self.settled or ran > self.truth[key]
            return
        assert key not in self.settled or self.truth[key] == ran
        self.truth[key] = ran
        self.settled.add(key)

    @rule(settling=st.booleans())
    def crash(self, settling: bool) -> None:
        """A process dies inside a write; the next one opens the file anew."""

        def cut(writer: Writer) -> None:
            kind = "settle" if settling else "reserve"
            writer.append(kind, {"key": "lost", "steps": 0, "released": None})
            raise SystemExit

        with pytest.raises(SystemExit):
            Chain(self.path).write(cut)
        self.ledger = Ledger(self.path, "a", "a")

    @invariant()
    def charged_is_what_ran_or_more(self) -> None:
        expected = [self.truth[key] for key in self.truth]
        assert steps(self.ledger) == expected
        assert sum(not charge.settled for charge in self.ledger.charges()) == len(
            set(self.truth) - self.settled
        )


TestNeverUnderCounts = NeverUnderCounts.TestCase
TestNeverUnderCounts.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
