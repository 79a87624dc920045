"""The honest path passes: every check once with either engine, the random ones many times."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulations.attack.checks import CHECKS, Finding
from simulations.attack.one_run import attack, full_batches
from simulations.attack.subject import Subject

Check = Callable[[str, Subject], Finding]
RUNS = {"noise-scale": 100, "empty-step": 100, "noise-gaussian": 20, "sampling-distribution": 10}
ATTACKS = 5
OF_THE_LEDGER = "simulations.attack.checks.book"

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_check_passes_the_code_as_it_is(name: str, subject: Subject, check: Check) -> None:
    found = check(name, subject)
    assert found.passed, found.figures


@pytest.mark.parametrize(
    "sections", [{"clipping": "per-layer"}, {"clipping": "automatic"}, {"sampling_rate": "1"}]
)
def test_the_checks_pass_other_mechanisms(
    make_subject: Callable[..., Subject], sections: dict[str, str]
) -> None:
    subject = make_subject(privacy=sections)
    tried = [check for check in CHECKS if check.run.__module__ != OF_THE_LEDGER]
    found = {check.name: check.run(subject) for check in tried}
    assert [name for name, finding in found.items() if not finding.passed] == []


@pytest.mark.parametrize("name", RUNS)
def test_a_random_check_passes_every_time(
    name: str, make_subject: Callable[..., Subject], check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulations.attack.checks.noise.VALUES", 1000)
    subject = make_subject()
    found = [check(name, subject) for _ in range(RUNS[name])]
    assert [each.figures for each in found if not each.passed] == []


def test_canaries_raise_no_alarm(make_subject: Callable[..., Subject]) -> None:
    for seed in range(ATTACKS):
        subject = make_subject(seed=seed, privacy={"noise_multiplier": 2.5})
        outcome = attack(subject, full_batches(subject), 300, "canaries")
        assert not outcome.leaking
