"""Two coordinators and one hospital: one device, one ledger, one egress log, and nobody waits for a description."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from processes import wait_until
from tiny_hospitals import tiny_study, write_site

from client.guard.budget import spent
from client.guard.ledger import Ledger
from client.service.studies import Studies
from client.site import load_site
from common.errors import RunError
from common.privacy.plan import plan_site
from common.study import Study
from server.deployment.folder import open_folder
from server.deployment.submission import submit
from server.run_folder import RunFolder
from simulations.rehearsal.coordinator import Coordinator
from simulations.rehearsal.federation import Federation, state_of
from simulations.rehearsal.hospital import Hospital
from simulations.rehearsal.processes import call, free_ports

HERE = Path(__file__).parent / "hostile"
DELTA, PATIENTS = 1e-3, 40
PATIENCE = 240.0
"""Seconds that something may take on a busy machine."""

pytestmark = [pytest.mark.slow, pytest.mark.deployment]


def study(name: str, rounds: int = 2, deadline: float = 200) -> Study:
    """Return a study for one site."""
    federation = {"rounds": rounds, "min_sites": 1, "deadline_seconds": deadline}
    return tiny_study(
        study={"name": name}, federation=federation, privacy={"noise_multiplier": 2.0}
    )


def epsilon(rounds: int) -> float:
    """Return what so many rounds cost, of one study or of several."""
    return plan_site(study("any", rounds), PATIENTS).epsilon


@dataclass
class Meeting:
    """Everybody.

    Attributes:
        north, south: two federations with one hospital in common.
        hospital: the hospital; its budget is that of four rounds and a half.
        diary: what it did.
        gate: until it exists, trainings take for ever.
    """

    north: Federation
    south: Federation
    hospital: Hospital
    diary: Path
    gate: Path

    def done(self) -> list[list[str]]:
        """Return what the hospital did so far."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return [json.loads(line) for line in lines]

    def approve(self, chosen: Study) -> None:
        """Have the hospital approve a study."""
        studies = Studies(load_site(self.hospital.folder.path), self.hospital.folder)
        studies.approve(studies.take_file(chosen).bundle, "a doctor")


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meeting]:
    """Two coordinators, and a hospital that both have enrolled."""
    folder = tmp_path_factory.mktemp("meeting")
    limit = (epsilon(4) + epsilon(5)) / 2
    original = write_site(
        folder / "data", "hospital-1", 1, patients=PATIENTS, policy={"max_epsilon": limit}
    )
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    diary, gate = folder / "diary", folder / "gate"
    started: list[Any] = []
    try:
        both = {}
        for name in ("north", "south"):
            both[name] = Coordinator.make(folder / name, name)
            started.append(both[name].service)
            both[name].start()
        hospital = Hospital.join(original, folder / "hospital", both["north"], seed=5)
        both["south"].enrol(hospital.name, hospital.folder.node_key_public)
        connect(hospital, both)
        hospital.service.environment = {
            "PYTHONPATH": path, "TEST_DIARY": str(diary), "TEST_GATE": str(gate)
        }  # fmt: skip
        started.append(hospital.service)
        hospital.start()
        members = {hospital.name: hospital}
        north, south = (Federation(folder, each, members) for each in both.values())
        for each in (north, south):
            each.wait_online({hospital.name})
        yield Meeting(north, south, hospital, diary, gate)
    finally:
        gate.touch()
        for service in reversed(started):
            service.stop()
            service.kill()


def connect(hospital: Hospital, coordinators: dict[str, Coordinator]) -> None:
    """Give the hospital a table [connection.NAME] for each coordinator."""
    file = hospital.folder.path / "site.toml"
    content = tomllib.loads(file.read_text())
    content["connection"] = {
        name: {
            "server": each.address,
            "certificates": str(each.certificates),
            "runtime": f"127.0.0.1:{free_ports(1)[0]}",
        }
        for name, each in coordinators.items()
    }
    file.write_text(tomli_w.dumps(content))


def start(federation: Federation, chosen: Study) -> RunFolder:
    """Submit a study."""
    folder = open_folder(federation.coordinator.folder)
    submit(folder, chosen, chosen.name)
    return folder.run(chosen.name)


def test_two_coordinators_share_one_device_one_ledger_and_one_log(meeting: Meeting) -> None:
    first, second, unapproved = study("first"), study("second"), study("unapproved", deadline=30)
    for each in (first, second):
        meeting.approve(each)
    north = start(meeting.north, first)
    refused = start(meeting.south, unapproved)
    wait_until(lambda: ["trains", "first"] in meeting.done(), PATIENCE)
    wait_until(lambda: "not approved" in str(state_of(refused).get("problem")), PATIENCE)
    south = start(meeting.south, second)
    wait_until(lambda: ["described", "second"] in meeting.done(), PATIENCE)
    assert ["trained", "first"] not in meeting.done()  # neither waited for the training
    meeting.gate.touch()
    meeting.north.follow(north, PATIENCE)
    meeting.south.follow(south, PATIENCE)

    trainings = [line for line in meeting.done() if line[0] != "described"]
    assert len(trainings) == 8
    for begun, ended in zip(trainings[::2], trainings[1::2], strict=True):
        assert (begun[0], ended[0], begun[1]) == ("trains", "trained", ended[1])
    assert [line["failures"] for run in (north, south) for line in run.read_rounds()] == [{}] * 4

    charges = Ledger(meeting.hospital.folder.ledger, "hospital-1", "hospital-1").charges()
    alone = {
        each.name: spent([c for c in charges if c.study == each.name], DELTA)
        for each in (first, second)
    }
    joint = spent(charges, DELTA)
    assert all(cost == pytest.approx(epsilon(2), rel=1e-6) for cost in alone.values())
    assert max(alone.values()) < joint == pytest.approx(epsilon(4), rel=1e-6)
    audit = json.loads(call("audit", "egress", meeting.hospital.folder.path, "--json"))
    assert {"first", "second"} <= set(json.dumps(audit).replace('"', " ").split())


def test_what_exceeds_the_budget_of_both_together_is_refused(meeting: Meeting) -> None:
    third = study("third", rounds=1, deadline=60)
    meeting.approve(third)
    before = Ledger(meeting.hospital.folder.ledger, "hospital-1", "hospital-1").charges()
    run = start(meeting.south, third)
    with pytest.raises(RunError, match="privacy budget does not allow it"):
        meeting.south.follow(run, PATIENCE)
    assert before == Ledger(meeting.hospital.folder.ledger, "hospital-1", "hospital-1").charges()
    log = (meeting.hospital.folder.logs / "agent.log").read_text()
    assert "The whole study does not fit the budget" in log
