"""What goes wrong in hospitals, done to real processes: the run finishes, or stops with the reason and goes on later.

Either way its weights are those of the undisturbed simulation, and "healthy" is not said while nothing can go on.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chaos import PAUSE, health
from survival import survive
from tiny_hospitals import NAMES, sha256, tiny_study, write_hospitals

from common.certificates import Pair, issue
from common.errors import MachineError, RunError
from common.study import Study
from common.supervise import LONGEST_PAUSE
from server.run_folder import RunFolder
from simulations.console import Console
from simulations.engines import InProcess
from simulations.rehearsal.federation import Federation, state_of
from simulations.rehearsal.hospital import Hospital
from simulations.rehearsal.processes import send, wait_until
from simulations.simulate import Simulation, simulate

pytestmark = [pytest.mark.slow, pytest.mark.deployment]

SEED = 5
SECONDS = 300.0


def test_a_hundred_kills_change_nothing(tmp_path: Path) -> None:
    outcome = survive(tmp_path, kills=100, rounds=7, seed=1, seconds=900)
    print(outcome.chaos.summary(), f"in {outcome.seconds:.0f} s")
    assert outcome.deployed == outcome.simulated, outcome.chaos.summary()
    assert outcome.faults == []
    assert outcome.chaos.killed.total() >= 100


@dataclass
class House:
    """A federation of one hospital, whose folder is on a small disk of its own where that is permitted.

    Attributes:
        federation: coordinator and hospital.
        original: the hospital's data.
        gone: while this file is there, its device is lost.
        disk: where the small disk is mounted; None: it could not be.
    """

    federation: Federation
    original: Path
    gone: Path
    disk: Path | None

    @property
    def hospital(self) -> Hospital:
        """The hospital."""
        return self.federation.hospitals[NAMES[0]]

    def study(self, name: str) -> Study:
        """A study that lasts some seconds."""
        return tiny_study(
            study={"name": name},
            federation={"rounds": 4, "min_sites": 1},
            privacy={"noise_multiplier": 8.0},
        )

    def begin(self, name: str) -> RunFolder:
        """Submit an approved study."""
        study = self.study(name)
        return self.federation.coordinator.submit(self.federation.approve(study), name)

    def in_round(self, run: RunFolder, round_: int) -> None:
        """Wait until a round is in hand."""
        wait_until(lambda: state_of(run).get("round", 0) >= round_, "the round", SECONDS)

    def fails(self, run: RunFolder) -> str:
        """Wait until a run stops, and return the reason."""
        with pytest.raises(RunError) as stopped:
            self.federation.follow(run, SECONDS)
        assert state_of(run)["phase"] == "failed"
        return str(stopped.value)

    def goes_on(self, run: RunFolder) -> None:
        """Resume a run that stopped."""
        self.federation.coordinator.resume(run.path.name)
        self.finishes(run)

    def finishes(self, run: RunFolder) -> None:
        """Wait for the end of a run, which gives what the simulation gives."""
        self.federation.follow(run, SECONDS)
        simulated = run.path.parents[2] / f"simulated-{run.path.name}"
        simulate(
            Simulation(
                study=self.study(run.path.name),
                hospitals=[self.original],
                run=simulated,
                engine=InProcess(1),
                engine_name="in-process",
                seed=SEED,
                report=False,
            ),
            Console(quiet=True),
        )
        assert sha256(run.model) == sha256(simulated / "model.safetensors")

    def becomes_healthy(self) -> None:
        """Wait for good health."""
        wait_until(self.healthy, "good health", SECONDS)

    def healthy(self) -> bool:
        """Whether the site says that it is healthy."""
        found = health(self.hospital.folder)
        return found is not None and found.progress

    def ill(self, check: str, seconds: float) -> Any:
        """Wait until a check says that the site is not healthy, and return all that is said."""
        found: list[Any] = []

        def told() -> bool:
            found[:] = [health(self.hospital.folder)]
            said = found[0] is not None and not found[0].progress
            return said and check in {each.check for each in found[0].reasons}

        wait_until(told, f"the word of '{check}'", seconds)
        return found[0]

    def start_again(self) -> None:
        """Start the hospital's service anew."""
        self.hospital.stop()
        self.hospital.start()


@contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A file system of 600 MB, where it is permitted."""
    place.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    try:
        yield place if made.returncode == 0 else None
    finally:
        if made.returncode == 0:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    original = write_hospitals(folder / "data") / NAMES[0]
    gone = folder / "gone"
    vanishing = str(Path(__file__).parents[1] / "helpers" / "gpu_gone")
    path = os.pathsep.join(filter(None, [vanishing, os.environ.get("PYTHONPATH")]))
    environments = {NAMES[0]: {"PYTHONPATH": path, "GPU_GONE": str(gone)}}
    with pytest.MonkeyPatch.context() as patch, small_disk(folder / "f" / "hospitals") as disk:
        patch.setenv(LONGEST_PAUSE, str(PAUSE))
        federation = Federation.make(folder / "f", [original], seed=SEED, environments=environments)
        try:
            federation.start()
            yield House(federation, original, gone, disk)
        finally:
            try:
                federation.stop()
            finally:
                federation.kill()


def test_a_lost_device_stops_the_run_with_the_reason(house: House) -> None:
    run = house.begin("gpu")
    house.in_round(run, 2)
    house.gone.touch()
    try:
        reason = house.fails(run)
        told = house.ill("task", 30)
    finally:
        house.gone.unlink()
    assert f"{NAMES[0]}: {MachineError.told}" in reason
    assert "The device failed" in str(told)
    house.goes_on(run)
    house.becomes_healthy()


def test_a_locked_ledger_stops_the_run_and_is_told(house: House) -> None:
    run = house.begin("locked")
    house.in_round(run, 2)
    other = sqlite3.connect(house.hospital.folder.ledger, isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    try:
        reason = house.fails(run)
        house.ill("ledger", 30)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert f"{NAMES[0]}: {MachineError.told}" in reason
    house.goes_on(run)
    house.becomes_healthy()


def test_a_full_disk_stops_the_run_and_is_told(house: House) -> None:
    if house.disk is None:
        pytest.skip("needs the right to mount a small file system")
    run = house.begin("full")
    house.in_round(run, 2)
    filler = house.disk / "filler"
    fill(filler)
    try:
        reason = house.fails(run)
        house.ill("disk", 30)
    finally:
        filler.unlink()
    assert f"{NAMES[0]}: {MachineError.told}" in reason
    house.goes_on(run)
    house.becomes_healthy()


def fill(path: Path) -> None:
    """Leave no room."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def test_stale_files_of_a_killed_service_do_not_matter(house: House) -> None:
    hospital, folder = house.hospital, house.hospital.folder
    assert hospital.service.process is not None
    started = hospital.service.parts()
    send(hospital.service.process.pid, signal.SIGKILL)
    hospital.service.process.wait()
    wait_until(lambda: not any(map(runs, started)), "the end of its children", 10)
    for lock in folder.running.glob("*.lock"):
        lock.write_text("1\n")  # a process that runs, but is another
    assert folder.control_socket.is_socket()
    hospital.start()
    house.becomes_healthy()


def runs(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_tiny_shm_and_a_read_only_cache_do_not_matter(house: House) -> None:
    script = (
        "mount --make-rprivate / && mount -t tmpfs -o size=64k tmpfs /dev/shm && "
        'mkdir -p "$0" && mount -t tmpfs -o ro,size=4k tmpfs "$0" && exec "$@"'
    )
    prefix = ["unshare", "--mount", "sh", "-c", script, str(house.hospital.folder.cohorts)]
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("needs the right to mount in a namespace of its own")
    house.hospital.service.prefix = prefix
    try:
        house.start_again()
        house.becomes_healthy()
        house.finishes(house.begin("tiny-shm"))
    finally:
        house.hospital.service.prefix = ()
        house.start_again()
        house.becomes_healthy()


def test_an_expired_certificate_of_the_coordinator_is_told(house: House) -> None:
    folder = house.federation.coordinator.folder / "tls"
    files, kept = Pair(folder / "server.crt", folder / "server.key"), folder / "kept.crt"
    kept.write_bytes(files.certificate.read_bytes())
    restart = restarting(house)
    issue(files, Pair(folder / "ca.crt", folder / "ca.key"), "server", ["127.0.0.1"], days=-1)
    try:
        restart()
        told = house.ill("link", 60)
        wait_until(lambda: "has expired" in str(health(house.hospital.folder)), "the reason", 60)
    finally:
        kept.replace(files.certificate)
        restart()
    assert not told.ready
    house.becomes_healthy()


def restarting(house: House) -> Callable[[], None]:
    """Return what starts both services anew."""

    def restart() -> None:
        house.federation.coordinator.stop()
        house.federation.coordinator.start()
        house.start_again()

    return restart


def test_a_supernode_that_hangs_is_never_called_healthy(house: House) -> None:
    house.becomes_healthy()
    (supernode,) = house.hospital.service.part("client.service.supernode")
    send(supernode, signal.SIGSTOP)
    began = time.monotonic()
    try:
        house.ill("link", 60)
        assert time.monotonic() - began < 50
    finally:
        send(supernode, signal.SIGCONT)
    house.becomes_healthy()
