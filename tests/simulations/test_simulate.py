"""Whole simulated runs in this process: repeatable, resumable, accounted, and silent about patients."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from safetensors.numpy import load_file
from tiny_hospitals import (
    NAMES,
    SECRET_WORD,
    files_below,
    sha256,
    tiny_study,
    write_hospitals,
    write_site,
)

from client.audit.egress_report import audit as audit_egress
from client.guard.ledger import Ledger
from client.training.workspace import Workspace
from common.errors import BudgetError, DataError, PolicyError, RunError, SitesError, StudyError
from server.run_folder import RunFolder
from simulations import sites
from simulations.console import Console, Steps
from simulations.engines import InProcess, Ray
from simulations.grid import InProcessGrid
from simulations.sites import SimulatedSites

Run = Callable[..., Path]
EVERY_ALGORITHM: list[str | dict[str, Any]] = [
    "fedavg",
    {"name": "fedprox", "proximal_mu": 0.5},
    "fedavgm",
    "fedadam",
    "fedyogi",
    "fedadagrad",
    "median",
    {"name": "trimmed-mean", "beta": 0.34},
    {"name": "krum", "num_malicious_nodes": 1},
]


def model(run: Path) -> str:
    return sha256(run / "model.safetensors")


def charges(run: Path, site: str) -> list[Any]:
    return Ledger(run / "ledgers" / f"{site}.ledger", site, site).charges()


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_one_seed_gives_the_same_model_and_another_seed_another(finished: Path, run: Run) -> None:
    assert model(run()) == model(finished)
    assert model(run(seed=8)) != model(finished)


def test_a_run_is_quiet_and_what_comes_after_is_not(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("client.agent")
    monkeypatch.setattr(InProcessGrid, "close", lambda self: log.error("during"))
    run()
    log.error("after")
    assert "during" not in caplog.text
    assert "after" in caplog.text


def test_the_seed_reaches_sampling_and_noise_and_not_the_split_alone(
    finished: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedSites, "_secret", lambda self, name: name.encode() * 8)
    assert model(run(seed=7)) == model(run(seed=7)) != model(run(seed=8))


def test_how_many_sites_train_at_once_makes_no_difference(finished: Path, run: Run) -> None:
    assert model(run(engine=InProcess(3))) == model(finished)


def test_the_order_of_the_folders_makes_no_difference(
    finished: Path, run: Run, tmp_path: Path, hospitals: Path
) -> None:
    renamed = tmp_path / "renamed"
    for old, new in zip(NAMES, ("c", "a", "b"), strict=True):
        shutil.copytree(hospitals / old, renamed / new)
    assert model(run(hospitals=renamed)) == model(finished)


@pytest.mark.ray
def test_rays_engine_gives_the_same_model(finished: Path, run: Run) -> None:
    before = dict(os.environ)
    made = run(engine=Ray(2))
    assert os.environ.get("PYTHONPATH") == before.get("PYTHONPATH")
    assert model(made) == model(finished)
    for site in NAMES:
        assert [c.event for c in charges(made, site)] == [c.event for c in charges(finished, site)]


def test_the_operating_systems_randomness_never_repeats_and_the_ledger_says_so(
    finished: Path, run: Run
) -> None:
    first, second = run(seed=None), run(seed=None)
    assert len({model(first), model(second), model(finished)}) == 3
    assert {c.randomness for c in charges(first, NAMES[0])} == {"system"}
    assert {c.randomness for c in charges(finished, NAMES[0])} == {"fixed"}


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM, ids=str)
def test_every_algorithm_trains_on_real_sites_and_resumes_to_identical_weights(
    run: Run, monkeypatch: pytest.MonkeyPatch, algorithm: str | dict[str, Any]
) -> None:
    study = tiny_study(federation={"algorithm": algorithm})
    whole = run(study)
    part = stopped(run, monkeypatch, study, 3)
    assert [r["round"] for r in RunFolder(part).read_rounds()] == [1, 2]
    assert not (part / "model.safetensors").exists()
    run(study, run=part, resume=True)
    assert model(part) == model(whole)
    initial = Workspace(study).template.state_dict()
    moved = load_file(part / "model.safetensors")
    assert any((moved[name] != value.numpy()).any() for name, value in initial.items())


def stopped(run: Run, monkeypatch: pytest.MonkeyPatch, study: Any, round_: int) -> Path:
    """Stop a run, as Ctrl-C does, while the last site of a round trains; return its folder."""
    real = Console.watch
    begun: list[str] = []

    class Stop(Steps):
        def step(self, taken: int, planned: int) -> None:
            if taken == 1:
                raise SystemExit
            super().step(taken, planned)

    def watch(self: Console, site: str, number: int) -> Any:
        begun.extend([site] if number == round_ else [])
        return Stop(self, site) if len(begun) == len(NAMES) else real(self, site, number)

    with monkeypatch.context() as patch:
        patch.setattr(Console, "watch", watch)
        with pytest.raises(SystemExit):
            run(study)
    folder: Path = run.folder / f"run-{run.count}"  # type: ignore[attr-defined]
    return folder


def test_a_stopped_round_is_charged_once_and_ends_in_the_same_weights(
    finished: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = stopped(run, monkeypatch, tiny_study(), 2)
    trained = [c for name in NAMES for c in charges(part, name) if c.group.startswith("train/")]
    assert sorted((c.round, c.settled) for c in trained) == [
        *[(1, True)] * 3,
        (2, False),
        *[(2, True)] * 2,
    ]
    run(run=part, resume=True)
    assert model(part) == model(finished)
    for site in NAMES:
        told = [(c.round, c.group, c.event, c.settled) for c in charges(part, site)]
        assert told == [(c.round, c.group, c.event, c.settled) for c in charges(finished, site)]
        assert [c.round for c in charges(part, site) if c.group.startswith("train/")] == [1, 2, 3]


def test_a_finished_run_resumes_to_itself(finished: Path, run: Run, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(finished, again)
    before = files_below(again)
    run(run=again, resume=True)
    assert files_below(again) == before


def test_a_run_is_resumed_with_the_generator_and_the_sites_it_was_started_with(
    finished: Path, run: Run, tmp_path: Path, hospitals: Path
) -> None:
    for seed in (8, None):
        with pytest.raises(RunError, match="another generator"):
            run(run=finished, resume=True, seed=seed)
    with pytest.raises(RunError, match="other settings"):
        run(tiny_study(federation={"rounds": 4}), run=finished, resume=True)
    more = tmp_path / "more"
    shutil.copytree(hospitals, more)
    write_site(more / "hospital-4", "hospital-4", 9)
    with pytest.raises(RunError, match="other sites"):
        run(run=finished, resume=True, hospitals=more)


def test_the_folder_of_a_run_holds_what_it_should(finished: Path) -> None:
    names = set(files_below(finished))
    assert {"model.safetensors", "study.toml", "rounds.jsonl", "metrics.json"} <= names
    assert {f"ledgers/{site}.ledger" for site in NAMES} <= names
    assert {f"checkpoints/round-000{n}.safetensors" for n in (1, 2, 3)} <= names
    assert not [name for name in names if name.endswith(".tmp")]


def test_figures_are_strict_json_with_all_keys(finished: Path) -> None:
    metrics = strict((finished / "metrics.json").read_text())
    wanted = "study fingerprint final non_private sites rounds seconds device versions seed"
    assert set(wanted.split()) <= set(metrics)
    assert metrics["rounds"] == 3
    assert metrics["seed"] == 7
    assert (metrics["simulation"], metrics["generated"]) == (True, False)
    assert 0 <= metrics["final"]["auc"] <= 1
    site = metrics["sites"][NAMES[0]]
    wanted = "patients samples quarantined steps sigma epsilon delta bytes_sent"
    assert set(wanted.split()) <= set(site)
    assert (site["patients"], site["samples"], site["steps"], site["sigma"]) == (40, 80, 9, 1.0)
    for line in (finished / "rounds.jsonl").read_text().splitlines():
        strict(line)


def test_what_sites_sent_is_weights_and_tallies_and_no_more(finished: Path) -> None:
    study = tiny_study()
    layout = Workspace(study).layout
    tally = 8 * (2 * 2 + 2 * 10 + 1)
    rounds = RunFolder(finished).read_rounds()
    for line in rounds:
        each = 4 * layout.size + (tally if line["round"] > 1 else 0)
        assert {s["bytes_sent"] for s in line["sites"].values()} == {each}
    metrics = json.loads((finished / "metrics.json").read_text())
    total = 3 * 4 * layout.size + 3 * tally
    assert {s["bytes_sent"] for s in metrics["sites"].values()} == {total}


def test_epsilon_agrees_with_dp_accounting_by_hand(finished: Path) -> None:
    one = pld.from_gaussian_mechanism(
        1.0,
        value_discretization_interval=1e-4,
        sampling_prob=0.25,
    )
    want = one.self_compose(9).get_epsilon_for_delta(1e-3)
    metrics = json.loads((finished / "metrics.json").read_text())
    for site in NAMES:
        assert metrics["sites"][site]["epsilon"] == pytest.approx(want, abs=2e-3)
        trained = [c for c in charges(finished, site) if c.group.startswith("train/")]
        assert [(c.event.sampling_rate, c.event.steps) for c in trained] == [
            (Fraction(1, 4), 3)
        ] * 3
    rounds = RunFolder(finished).read_rounds()
    assert rounds[-1]["sites"][NAMES[0]]["epsilon"] == pytest.approx(want, abs=2e-3)
    earlier = one.self_compose(3).get_epsilon_for_delta(1e-3)
    assert rounds[0]["sites"][NAMES[0]]["epsilon"] == pytest.approx(earlier, abs=2e-3)


def test_no_identifier_of_a_patient_is_anywhere_in_the_run(finished: Path, hospitals: Path) -> None:
    scans = (hospitals / NAMES[0] / "scans.npz").read_bytes()
    assert SECRET_WORD.encode("utf-32-le") in scans or SECRET_WORD.encode() in scans
    for name, content in files_below(finished).items():
        for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
            assert SECRET_WORD.encode(encoding) not in content, name
        assert SECRET_WORD not in name


def test_the_comparison_without_privacy_has_a_ledger_of_its_own(run: Run) -> None:
    made = run(tiny_study(evaluation={"compare_non_private": True}))
    metrics = json.loads((made / "metrics.json").read_text())
    assert 0 <= metrics["non_private"]["auc"] <= 1
    plain = made / "non-private" / "ledgers" / f"{NAMES[0]}.ledger"
    with sqlite3.connect(plain) as base:
        assert base.execute("select count(*) from sqlite_master").fetchone()[0] > 0
    assert all(c.event.noise_multiplier == 1.0 for c in charges(made, NAMES[0])[:1])
    assert metrics["sites"][NAMES[0]]["epsilon"] < 50


def test_no_comparison_where_the_policy_forbids_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    houses = write_hospitals(tmp_path / "strict")
    write_site(houses / NAMES[2], NAMES[2], 3, policy={"allow_non_private": False})
    told: list[str] = []
    monkeypatch.setattr("simulations.console.Console.note", lambda _, text: told.append(text))
    made = run(tiny_study(evaluation={"compare_non_private": True}), hospitals=houses)
    metrics = json.loads((made / "metrics.json").read_text())
    assert metrics["non_private"] is None
    assert (made / "model.safetensors").exists()
    assert not (made / "non-private").exists()
    (why,) = (text for text in told if text.startswith("Not compared: Site 'hospital-3'"))
    assert "elsewhere" not in why, "a comparison has the sites of its run"


def test_training_without_privacy_needs_the_sites_leave(run: Run, tmp_path: Path) -> None:
    study = tiny_study(privacy={"enabled": False})
    houses = write_hospitals(tmp_path / "strict", policy={"allow_non_private": False})
    with pytest.raises(PolicyError, match=r"Site 'hospital-1'.*without privacy"):
        run(study, hospitals=houses)
    made = run(study)
    assert json.loads((made / "metrics.json").read_text())["sites"][NAMES[0]]["epsilon"] == "inf"


def test_a_budget_that_is_too_small_for_the_whole_study_refuses_it_before_the_first_round(
    run: Run, tmp_path: Path
) -> None:
    houses = write_hospitals(tmp_path / "poor")
    write_site(houses / NAMES[2], NAMES[2], 3, policy={"max_epsilon": 0.5})
    with pytest.raises(BudgetError, match="hospital-3"):
        run(hospitals=houses)
    write_site(houses / NAMES[2], NAMES[2], 3, policy={"max_epsilon": 5.6, "delta": 1e-6})
    with pytest.raises(BudgetError, match="hospital-3"):
        run(hospitals=houses)


def test_who_refuses_is_named_with_the_way_to_go_on_without(run: Run, tmp_path: Path) -> None:
    houses = write_hospitals(tmp_path / "poor")
    write_site(houses / NAMES[2], NAMES[2], 3, policy={"max_epsilon": 0.5})
    with pytest.raises(BudgetError) as alone:
        run(hospitals=houses)
    assert alone.value.fix.endswith(
        "Or move the site's folder elsewhere, and simulate the others alone."
    )
    assert not list(tmp_path.glob("**/metrics.json")), "nothing was run"
    (houses / NAMES[2]).rename(tmp_path / "elsewhere")
    assert (run(hospitals=houses) / "metrics.json").exists()
    write_site(houses / NAMES[1], NAMES[1], 2, policy={"max_epsilon": 0.5})
    with pytest.raises(BudgetError, match="hospital-2") as too_few:
        run(hospitals=houses)
    assert "alone" not in too_few.value.fix


def test_all_who_refuse_are_named(run: Run, tmp_path: Path) -> None:
    houses = write_hospitals(tmp_path / "poor", policy={"max_epsilon": 0.5})
    with pytest.raises(
        BudgetError, match=r"'hospital-1'.*2 more refused: 'hospital-2', 'hospital-3'"
    ):
        run(hospitals=houses)


def test_one_site_too_few_ends_at_once_and_does_not_wait(run: Run, tmp_path: Path) -> None:
    houses = tmp_path / "lonely"
    write_site(houses / "a", "a", 1)
    with pytest.raises(SitesError, match="at least 2"):
        run(hospitals=houses)


def test_what_left_is_logged_and_agrees_with_the_ledgers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run()
    reports = audit_egress(made)
    assert [report.site for report in reports] == list(NAMES)
    for report in reports:
        assert report.verdict == "sound", report.contradictions
        assert report.ledger is not None
        assert {each.release.round for each in report.entries} >= {1, 2, 3}
    monkeypatch.setattr(sites, "LOGGED_SITES", 1)
    with pytest.raises(StudyError, match="no egress log"):
        audit_egress(run())


def test_twins_are_refused(run: Run, tmp_path: Path) -> None:
    houses = tmp_path / "twins"
    for folder in ("a", "b"):
        write_site(houses / folder, "same", 1)
    with pytest.raises(SitesError, match="'same'"):
        run(hospitals=houses)


def test_a_site_that_diverges_is_left_out_by_name(run: Run, monkeypatch: Any) -> None:
    from client.agent import Agent

    real = Agent._train

    def diverge(self: Agent, request: Any) -> Any:
        weights = real(self, request)
        return (
            weights * float("nan") if (self.site.name, request.round) == (NAMES[0], 2) else weights
        )

    monkeypatch.setattr(Agent, "_train", diverge)
    made = run()
    failures = [r["failures"] for r in RunFolder(made).read_rounds()]
    assert [list(f) for f in failures] == [[], [NAMES[0]], []]
    steps = [(c.round, c.event.steps) for c in charges(made, NAMES[0]) if "train" in c.group]
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_a_late_site_is_left_out_and_does_not_hold_up_the_end(run: Run, monkeypatch: Any) -> None:
    import time

    real = Console.watch

    class Slow(Steps):
        def step(self, taken: int, planned: int) -> None:
            for _ in range(600):
                super().step(taken, planned)
                time.sleep(0.05)

    def watch(self: Console, site: str, number: int) -> Any:
        return Slow(self, site) if (site, number) == (NAMES[0], 2) else real(self, site, number)

    monkeypatch.setattr(Console, "watch", watch)
    study = tiny_study(federation={"deadline_seconds": 1.5})
    began = time.monotonic()
    made = run(study, engine=InProcess(3))
    assert time.monotonic() - began < 20
    failures = [r["failures"] for r in RunFolder(made).read_rounds()]
    assert "deadline" in failures[1][NAMES[0]]
    assert "busy" in failures[2][NAMES[0]]
    assert (2, False) in [(c.round, c.settled) for c in charges(made, NAMES[0])]


def test_an_unforeseen_exception_at_a_site_names_the_site_and_no_patient(
    run: Run, monkeypatch: Any, capfd: Any
) -> None:
    from client.agent import Agent

    def fails(self: Agent, request: Any) -> Any:
        raise KeyError(f"{SECRET_WORD}0001")

    monkeypatch.setattr(Agent, "_train", fails)
    with pytest.raises(Exception, match="KeyError") as caught:
        run()
    shown = "".join(capfd.readouterr()) + str(caught.value)
    assert "hospital-" in shown
    assert SECRET_WORD not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "no site.toml"),
        ("[site\nname=1", "not valid TOML"),
        ("[site]\nname = 'x'\n", "missing"),
        ("[site]\nname = 'a/../b'\n", "letters, digits"),
        ("[site]\nname = 'x'\n[data]\nkind = 'arays'\npath = 'x'\ndeclared_patients = 3\n", "kind"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_bad_site_file_is_named_before_anything_is_made(
    run: Run, tmp_path: Path, content: Any, fault: str
) -> None:
    houses = write_hospitals(tmp_path / "houses")
    file = houses / NAMES[1] / "site.toml"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((StudyError, DataError, SitesError), match=fault) as caught:
        run(hospitals=houses)
    assert "hospital-2" in str(caught.value)
    assert not (tmp_path / "run-1").exists()


def test_a_site_without_the_data_set_or_without_patients_is_named(run: Run, tmp_path: Path) -> None:
    houses = write_hospitals(tmp_path / "houses")
    (houses / NAMES[1] / "scans.npz").unlink()
    with pytest.raises(DataError, match="hospital-2"):
        run(hospitals=houses)
    write_site(houses / NAMES[1], NAMES[1], 2, patients=0 + 1)
    with pytest.raises((PolicyError, DataError), match="hospital-2"):
        run(hospitals=houses)


def test_a_tampered_ledger_stops_a_resumed_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    from common.errors import TamperedError

    part = stopped(run, monkeypatch, tiny_study(), 3)
    (part / "ledgers" / f"{NAMES[0]}.ledger").write_bytes(b"no ledger at all" * 99)
    with pytest.raises(TamperedError, match="hospital-1"):
        run(run=part, resume=True)


def test_bfloat16_halves_what_sites_send_and_is_as_repeatable(finished: Path, run: Run) -> None:
    study = tiny_study(federation={"wire": "bfloat16"})
    one, three = run(study), run(study, engine=InProcess(3))
    assert model(one) == model(three) != model(finished)
    size = Workspace(study).layout.size
    sent = [RunFolder(made).read_rounds()[0]["bytes_sent"] for made in (finished, one)]
    assert sent == [3 * 4 * size, 3 * 2 * size]
