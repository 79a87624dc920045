"""Nobody trusts anybody: a coordinator that asks for more than was approved, and a hospital that sends what it likes.

Real processes over TLS with node keys. What is hostile is put into the processes of one party from outside
(`tests/e2e/hostile`); nothing of the product knows of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from tiny_hospitals import NAMES, tiny_study, write_hospitals

from client.guard.chain import Chain
from client.guard.ledger import Ledger
from client.guard.schema import ORIGIN
from client.service.studies import Studies
from client.site import load_site
from common import wire
from common.study import Study
from server.deployment.control import connected
from server.deployment.folder import open_folder
from server.deployment.submission import submit as submit_study
from server.run_folder import RunFolder
from simulations.rehearsal.federation import Federation, rehearsed
from simulations.rehearsal.hospital import Hospital
from simulations.rehearsal.processes import Service, call, free_ports

HERE = Path(__file__).parent / "hostile"
sys.path.append(str(HERE))  # and away below: nothing else may find the sitecustomize there

from hostile_bundle import bundle_with_code  # noqa: E402
from hostile_hospital import HUGE, MARK, TWISTS  # noqa: E402

sys.path.remove(str(HERE))

FIRST, SECOND, WOLF = NAMES
PATIENCE = 240.0
"""Seconds that something may take on a busy machine."""
REFUSED = wire.SITE_ERROR + 6

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A coordinator that is hostile in some runs, two honest hospitals, and one that is hostile in some studies."""
    hospitals = write_hospitals(tmp_path_factory.mktemp("data"))
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    hostile = {"PYTHONPATH": path}
    with rehearsed(
        tmp_path_factory.mktemp("deployed"),
        [hospitals / name for name in NAMES],
        seed=5,
        environments={"coordinator": hostile, WOLF: hostile},
    ) as started:
        yield started


def study(name: str, **sections: dict[str, Any]) -> Study:
    """Return a short study."""
    sections.setdefault("federation", {"rounds": 2, "deadline_seconds": 200})
    return tiny_study(study={"name": name}, **sections)


def approve(federation: Federation, chosen: Study, *names: str) -> None:
    """Have hospitals approve a study, while they run."""
    for name in names or NAMES:
        folder = federation.hospitals[name].folder
        studies = Studies(load_site(folder.path), folder)
        studies.approve(studies.take_file(chosen).bundle, "a doctor")


def submit(federation: Federation, chosen: Study, name: str) -> RunFolder:
    """Submit a study to the coordinator."""
    folder = open_folder(federation.coordinator.folder)
    submit_study(folder, chosen, name)
    return folder.run(name)


@dataclass(frozen=True)
class Books:
    """What a site has spent and let out.

    Attributes:
        charges: of the ledger.
        left: entries of the egress log.
    """

    charges: list[Any]
    left: list[Any]

    @classmethod
    def of(cls, hospital: Hospital) -> Books:
        """Read them."""
        ledger = Ledger(hospital.folder.ledger, hospital.name, hospital.name)
        log = hospital.folder.egress_log
        entries = Chain(log).read(0, ORIGIN) if log.exists() else []
        return cls(
            ledger.charges(),
            [(e.kind, e.body["study"], e.body["round"]) for e in entries if e.kind != "open"],
        )

    def of_study(self, name: str) -> tuple[int, int]:
        """How many charges and replies are a study's."""
        return (
            sum(charge.study == name for charge in self.charges),
            sum(study == name for _, study, _ in self.left),
        )


def books(federation: Federation) -> dict[str, Books]:
    """Return everybody's."""
    return {name: Books.of(each) for name, each in federation.hospitals.items()}


def log_of(hospital: Hospital) -> str:
    """Return what the agent logged."""
    return (hospital.folder.logs / "agent.log").read_text()


def answers_of(file: Path) -> dict[str, dict[str, Any]]:
    """Wait for what the sites answered a hostile coordinator."""
    wait_until(file.exists, PATIENCE)
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return found


@pytest.mark.deployment
def test_a_site_that_refuses_is_named_and_the_others_go_on(federation: Federation) -> None:
    """An unapproved study, a changed one, and a hospital that introduces itself as another one; three runs at once.

    The run "echo" beside them has every reply arrive twice, and again with all that come after it.
    """
    three = federation.hospitals[WOLF]
    before = Books.of(three)
    unapproved, echo, impostor = study("unapproved"), study("asked"), study("impostor")
    agreed = study("changed", privacy={"noise_multiplier": 2.0})
    changed = study("changed", privacy={"noise_multiplier": 1.5})
    approve(federation, agreed, WOLF)
    for each in (unapproved, changed):
        approve(federation, each, FIRST, SECOND)
    for each in (echo, impostor):
        approve(federation, each)
    runs = {
        each.name: submit(federation, each, name)
        for name, each in (
            ("unapproved", unapproved), ("changed", changed), ("impostor", impostor), ("echo", echo)
        )
    }  # fmt: skip
    for run in runs.values():
        federation.follow(run, PATIENCE)

    reasons = {
        "unapproved": "the site has not approved this study",
        "changed": "the site has not approved this study",
        "impostor": f"The site calls itself '{FIRST}', which is not its enrolled name.",
    }
    for name, reason in reasons.items():
        rounds = runs[name].read_rounds()
        assert [line["failures"] for line in rounds] == [{WOLF: reason}] * 2, name
        assert [sorted(line["sites"]) for line in rounds] == [[FIRST, SECOND]] * 2
        assert WOLF in (runs[name].path / "report.html").read_text()
        assert before.of_study(name) == Books.of(three).of_study(name) == (0, 0)
    assert [line["failures"] for line in runs["asked"].read_rounds()] == [{}, {}]

    listed = json.loads(call("site", "studies", three.folder.path, "--json"))
    standing = {each["study"]: each for each in listed if each["standing"] != "approved"}
    assert standing["unapproved"]["standing"] == "pending"
    assert standing["changed"]["standing"] == "changed"
    assert standing["changed"]["changed"] == ["privacy.noise_multiplier"]
    assert "The study 'unapproved' is not approved here" in log_of(three)


@pytest.mark.deployment
def test_what_nobody_approved_is_refused_logged_and_costs_nothing(federation: Federation) -> None:
    """The study was approved, and run to its end, by the test before: asking on must buy nothing."""
    before = books(federation)
    run = submit(federation, study("asked"), "hostile")
    answers = answers_of(run.path / "answers.json")

    assert len(answers) == 42
    for case, told in answers.items():
        assert told["code"] in (REFUSED, wire.SITE_ERROR + 3), (case, told)
        assert told["reason"].startswith("the site"), case
    assert books(federation) == before
    log = "".join(log_of(hospital) for hospital in federation.hospitals.values())
    for reason in (
        "1 keys that this site does not know, such as 'local-steps'",
        "1 keys that this site does not know, such as 'noise-multiplier'",
        "1 keys that this site does not know, such as 'sampling-rate'",
        "1 records that this site does not know, such as 'more'",
        "where the study's model has",
        "larger than the study's model allows",
        "outside the study's 2 rounds",
        "was planned to",
        "asks for another study",
        "asks for 'query.patients', which no site does",
    ):
        assert reason in log, reason
    assert "Traceback" not in log


@pytest.mark.deployment
def test_the_first_round_again_and_again_buys_no_more_than_the_study(
    federation: Federation,
) -> None:
    chosen = study("flood")
    approve(federation, chosen)
    run = submit(federation, chosen, "hostile-flood")
    answers = answers_of(run.path / "answers.json")

    for kind in ("train", "evaluate"):
        codes = [answers[f"{kind} {n}"]["code"] for n in range(1, 5)]
        assert codes == [0, 0, wire.SITE_ERROR + 3, wire.SITE_ERROR + 3], kind
    assert sorted(books(federation)[name].of_study("flood") for name in NAMES) == [
        (0, 0),
        (0, 0),
        (4, 4),
    ]


def test_code_in_a_bundle_never_runs_at_a_site(federation: Federation, tmp_path: Path) -> None:
    """Submitted with Flower's own client: an approved study, with code beside it."""
    approved = study("coded")
    approve(federation, approved)
    before = books(federation)
    mark, file = tmp_path / "ran", tmp_path / "answers.json"
    bundle = bundle_with_code(approved, mark, file)
    with connected(open_folder(federation.coordinator.folder)) as control:
        control.start_run(bundle, hashlib.sha256(bundle).hexdigest(), "code")
    answers = answers_of(file)

    assert len(answers) == 3
    assert {told["code"] for told in answers.values()} == {REFUSED}
    assert not mark.exists()
    assert books(federation) == before
    for hospital in federation.hospitals.values():
        assert "a study carries no code" in log_of(hospital)
        found = [path for path in hospital.folder.private.rglob("*") if "evil" in path.name]
        assert found == []


@pytest.fixture
def strangers(federation: Federation, tmp_path: Path) -> Iterator[dict[str, Service]]:
    """A hospital whose key nobody enrolled, and one that trusts another authority than the coordinator's."""
    from common.certificates import Pair, make_authority

    other = Pair(tmp_path / "other.crt", tmp_path / "other.key")
    make_authority(other, "an imposter")
    services = {}
    for name, authority in (
        ("unknown", federation.coordinator.certificates),
        ("elsewhere", other.certificate),
    ):
        folder = tmp_path / name
        call(
            *("site", "init", folder, "--name", name, "--yes", "--data-kind", "arrays"),
            *("--server", federation.coordinator.address, "--certificates", authority),
            *("--data-path", tmp_path, "--declared-patients", 100),
            *("--runtime", f"127.0.0.1:{free_ports(1)[0]}"),
        )
        arguments = ["site", "start", folder, "--only", "supernode"]
        services[name] = Service(arguments, folder / "service.log")
    services["elsewhere"].start()
    services["unknown"].start()
    yield services
    for service in services.values():
        service.stop()


def peak(service: Service, program: str) -> int:
    """Return the most memory that a program of a service ever had, in bytes."""
    found = [
        int(line.split()[1]) << 10
        for pid in service.part(program)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return max(found, default=0)


@pytest.mark.deployment
def test_a_hostile_hospital_is_left_out_by_name_and_the_run_goes_on(
    federation: Federation, strangers: dict[str, Service]
) -> None:
    rounds = max(TWISTS) + 1
    wolf = study(
        "wolf",
        federation={"rounds": rounds, "deadline_seconds": 200},
        privacy={"noise_multiplier": 4.0},
    )
    approve(federation, wolf)
    run = submit(federation, wolf, "wolf")
    memory: dict[str, dict[int, int]] = {"flwr-serverapp": {}, "server.deployment.superlink": {}}

    def each(state: dict[str, Any]) -> None:
        for program, seen in memory.items():
            seen[state.get("round", 0)] = peak(federation.coordinator.service, program)

    federation.follow(run, PATIENCE, each)

    failures = {line["round"]: line["failures"] for line in run.read_rounds()}
    assert failures[1] == failures[rounds] == {}
    reasons = {
        2: "the weights hold values that are not finite",
        3: "the weights do not have the study's layout",
        4: "The weights are float64, not float32.",
        5: "The site's reply lacks a part, or a part is damaged.",
        6: "the site's reply is damaged",
        7: "the reply names another site, or another number of patients",
        8: "the reply names another site, or another number of patients",
        10: "the site's reply is damaged",
        11: "the site's reply is larger than the study allows",
    }
    for round_, reason in reasons.items():
        assert failures[round_] == {WOLF: reason}, round_
    rude = failures[9][WOLF]
    assert len(rude) <= 300
    assert rude.isprintable()
    report = (run.path / "report.html").read_text()
    assert MARK not in report
    # What the SuperLink holds of it for a moment is stock Flower's affair; the ServerApp never takes it in.
    for program, most in (("flwr-serverapp", HUGE // 2), ("server.deployment.superlink", 2 * HUGE)):
        seen = memory[program]
        assert seen[rounds] - seen[10] < most, (program, seen)

    assert federation.coordinator.online() == set(NAMES)
    for name, reason in (
        ("unknown", "the coordinator does not know this site's key"),
        ("elsewhere", "signed by an authority that this site does not know"),
    ):
        assert reason in strangers[name].log.read_text()
