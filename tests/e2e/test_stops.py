"""A run that is stopped, killed or starved goes on to the very weights of one that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import run_forked, run_fresh, start, wait, wait_until
from tiny_hospitals import NAMES, SECRET_WORD, files_below, sha256, write_study

from client.guard.ledger import Ledger
from common.study_file import load_study
from simulations.console import Console
from simulations.engines import InProcess
from simulations.simulate import Simulation, simulate
from simulations.sites import find_sites

ROUNDS = 4
STEPS = 400


@pytest.fixture(scope="module")
def study(memory: Path) -> Path:
    """A study whose rounds last long enough to be stopped in the middle."""
    return write_study(
        memory / "slow.toml",
        training={"local_steps": STEPS},
        federation={"rounds": ROUNDS},
        privacy={"noise_multiplier": 3.0},
    )


@pytest.fixture(scope="module")
def whole(memory: Path, study: Path, hospitals: Path) -> Path:
    """The same run, undisturbed."""
    job = Simulation(
        study=load_study(study),
        hospitals=find_sites(hospitals),
        run=memory / "whole",
        engine=InProcess(2),
        engine_name="in-process",
        seed=5,
        report=False,
    )
    simulate(job, Console(quiet=True))
    return job.run


def rounds_done(run: Path) -> int:
    file = run / "rounds.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def in_the_middle_of(process: subprocess.Popen[str], run: Path, round_: int) -> None:
    """Wait until a round has begun at some site and has not ended."""
    wait_until(lambda: rounds_done(run) >= round_ - 1 or process.poll() is not None)
    time.sleep(0.25)
    assert process.poll() is None
    assert rounds_done(run) == round_ - 1


def trained(run: Path, site: str) -> list[tuple[int, int, bool]]:
    """The charges of a site's training: round, steps, settled."""
    charges = Ledger(run / "ledgers" / f"{site}.ledger", site, site).charges()
    return [(c.round, c.event.steps, c.settled) for c in charges if c.group.startswith("train/")]


def audited(run: Path, cwd: Path) -> None:
    ended = run_forked("audit", "ledger", run, "--json", cwd=cwd)
    assert ended.code == 0, ended.text
    assert [site["chain"]["intact"] for site in json.loads(ended.text)["ledgers"]] == [True] * 3


def test_stopped_terminated_and_killed_it_ends_in_the_same_weights(
    whole: Path, study: Path, hospitals: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("simulate", study, "--hospitals", hospitals, "--run", run)

    process = start(*command, cwd=tmp_path)
    in_the_middle_of(process, run, 2)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    ended = wait(process)
    assert ended.code == 130, ended.text
    assert time.monotonic() - began < 5
    assert "--resume" in ended.text
    assert {(r, s) for site in NAMES for r, s, _ in trained(run, site)} == {(1, STEPS), (2, STEPS)}
    unsettled = [site for site in NAMES if trained(run, site)[-1] == (2, STEPS, False)]
    assert unsettled

    process = start(*command, "--resume", cwd=tmp_path)
    in_the_middle_of(process, run, 3)
    second = run_forked(*command, "--resume", cwd=tmp_path)
    assert second.code == 7, second.text
    assert "Another process" in second.text
    process.send_signal(signal.SIGTERM)
    ended = wait(process)
    assert ended.code == 130, ended.text

    process = start(*command, "--resume", cwd=tmp_path)
    in_the_middle_of(process, run, 4)
    process.kill()
    process.communicate()
    for site in NAMES:
        assert [r for r, _, _ in trained(run, site)][:3] == [1, 2, 3]

    ended = run_fresh(*command, "--resume", cwd=tmp_path)
    assert ended.code == 0, ended.text
    assert sha256(run / "model.safetensors") == sha256(whole / "model.safetensors")
    for site in NAMES:
        assert trained(run, site) == [(r, STEPS, True) for r in range(1, ROUNDS + 1)]
    assert rounds_done(run) == ROUNDS
    assert not [name for name in files_below(run) if Path(name).name.startswith(".round")]
    audited(run, tmp_path)

    for name, content in files_below(run).items():
        assert SECRET_WORD.encode() not in content, name


def test_ctrl_c_before_the_first_round_says_the_truth_about_going_on(
    study: Path, hospitals: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("simulate", study, "--hospitals", hospitals, "--run", run)
    process = start(*command, cwd=tmp_path)
    wait_until(lambda: (run / "study.toml").exists())
    process.send_signal(signal.SIGINT)
    ended = wait(process)
    assert ended.code == 130, ended.text
    if "--resume" in ended.text:
        assert (run / "study.toml").exists()


@pytest.mark.ray
@pytest.mark.deployment
def test_ctrl_c_ends_a_run_on_ray_and_either_engine_goes_on_with_it(
    whole: Path, study: Path, hospitals: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("simulate", study, "--hospitals", hospitals, "--run", run)
    process = start(*command, "--engine", "ray", cwd=tmp_path)
    wait_until(lambda: rounds_done(run) >= 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "--resume" in wait(process).text
    ended = run_forked(*command, "--resume", cwd=tmp_path)
    assert ended.code == 0, ended.text
    assert sha256(run / "model.safetensors") == sha256(whole / "model.safetensors")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


@pytest.mark.deployment
def test_a_disk_that_fills_up_in_the_middle_is_named_and_nothing_is_lost(
    whole: Path, study: Path, hospitals: Path, tmp_path: Path, small_disk: Path
) -> None:
    run = small_disk / "run"
    command = ("simulate", study, "--hospitals", hospitals, "--run", run)
    process = start(*command, cwd=tmp_path)
    in_the_middle_of(process, run, 2)
    filler = fill(small_disk)
    ended = wait(process)
    assert ended.code == 9, ended.text
    assert "disk is full" in ended.text

    still = run_forked(*command, "--resume", cwd=tmp_path)
    assert still.code == 9, still.text

    filler.unlink()
    ended = run_fresh(*command, "--resume", cwd=tmp_path)
    assert ended.code == 0, ended.text
    assert sha256(run / "model.safetensors") == sha256(whole / "model.safetensors")
    for site in NAMES:
        assert [c[:2] for c in trained(run, site)] == [(r, STEPS) for r in range(1, ROUNDS + 1)]
