"""Checkpoints and the run folder: readable by anybody, refused when damaged, never half a round."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from common.errors import MachineError, RunError
from common.models import build_model
from common.weights import Layout
from server import checkpoint
from server.checkpoint import Checkpoint
from server.rounds import Rounds
from server.run_folder import RunFolder

Damage = Callable[[Path], None]


@pytest.fixture
def layout(bench: Any) -> Layout:
    return Layout.of(build_model(bench().study, 2).state_dict())


def test_every_round_leaves_a_checkpoint_with_the_networks_own_names(
    bench: Any, sites: Any, layout: Layout
) -> None:
    made = bench()
    made.start(sites())
    for round_ in (1, 2, 3):
        tensors = load_file(made.folder.checkpoints / f"round-{round_:04d}.safetensors")
        assert {k: v.shape for k, v in tensors.items()} == dict(layout.entries)
        about = json.loads((made.folder.checkpoints / f"round-{round_:04d}.json").read_text())
        assert about["round"] == round_
        assert about["fingerprint"] == made.study.fingerprint
    network = build_model(made.study, 2)
    import torch

    network.load_state_dict(
        {k: torch.from_numpy(v) for k, v in load_file(made.folder.model).items()}
    )
    last = (made.folder.checkpoints / "round-0003.safetensors").read_bytes()
    assert last == made.model


def test_weights_and_strategy_come_back_bit_by_bit(tmp_path: Path, layout: Layout) -> None:
    random = np.random.default_rng(1)
    weights = random.standard_normal(layout.size).astype(np.float32)
    state = {"m_t/flat": random.standard_normal(5), "v_t/flat": np.float32([1e-40, -0.0])}
    checkpoint.save(tmp_path, Checkpoint(7, weights, state), layout, "abc")
    found = checkpoint.latest(tmp_path, layout, "abc")
    assert found is not None
    assert found.round == 7
    assert found.weights.tobytes() == weights.tobytes()
    assert {k: (v.dtype, v.tobytes()) for k, v in found.strategy.items()} == {
        k: (v.dtype, v.tobytes()) for k, v in state.items()
    }


def test_the_newest_round_counts_and_no_folder_is_no_checkpoint(
    tmp_path: Path, layout: Layout
) -> None:
    assert checkpoint.latest(tmp_path / "none", layout, "abc") is None
    for round_ in (2, 9, 10, 9999, 10000):
        weights = np.full(layout.size, round_, np.float32)
        checkpoint.save(tmp_path, Checkpoint(round_, weights, {}), layout, "abc")
        found = checkpoint.latest(tmp_path, layout, "abc")
        assert found is not None
        assert (found.round, found.weights[0]) == (round_, round_)


def test_weights_without_their_json_are_no_checkpoint(tmp_path: Path, layout: Layout) -> None:
    zeros = np.zeros(layout.size, np.float32)
    for round_ in (1, 2):
        checkpoint.save(tmp_path, Checkpoint(round_, zeros, {}), layout, "abc")
    (tmp_path / "round-0002.json").unlink()
    found = checkpoint.latest(tmp_path, layout, "abc")
    assert found is not None
    assert found.round == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, tuple[str, Damage]] = {
    "weights cut": ("safetensors", cut),
    "weights gone": ("safetensors", Path.unlink),
    "weights empty": ("safetensors", lambda p: p.write_bytes(b"") and None),
    "weights are text": ("safetensors", lambda p: p.write_text("no such thing" * 9) and None),
    "state cut": ("strategy", cut),
    "state gone": ("strategy", Path.unlink),
    "json cut": ("json", cut),
    "json empty": ("json", lambda p: p.write_text("") and None),
    "json is a list": ("json", lambda p: p.write_text("[]") and None),
    "json is a number": ("json", lambda p: p.write_text("3") and None),
    "json without the study": (
        "json",
        lambda p: p.write_text('{"round":2,"strategy":[]}') and None,
    ),
    "json without a round": (
        "json",
        lambda p: (
            p.write_text(
                json.dumps({k: v for k, v in json.loads(p.read_text()).items() if k != "round"})
            )
            and None
        ),
    ),
    "json in Latin-1": ("json", lambda p: p.write_bytes(b'{"round": "\xe9"}') and None),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_refused_with_the_way_out(
    bench: Any, sites: Any, name: str
) -> None:
    suffix, damage = DAMAGE[name]
    whole, made = (bench(federation={"algorithm": "fedadam"}) for _ in range(2))
    whole.start(sites())
    made.start(sites())
    made.folder.model.unlink()
    made.folder.outcome.unlink()
    damage(made.folder.checkpoints / f"round-0003.{suffix}")
    with pytest.raises(RunError, match=r"checkpoint.*round-0003"):
        made.go_on(sites())
    for path in made.folder.checkpoints.glob("round-0003.*"):
        path.unlink()
    assert made.go_on(sites()).finished == [3]
    assert made.model == whole.model


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, layout: Layout) -> None:
    first, *others = layout.entries
    for entries in (tuple(others), ((first[0], (2, 3)), *others)):
        other = Layout(entries)
        checkpoint.save(tmp_path, Checkpoint(1, np.zeros(other.size, np.float32), {}), other, "abc")
        with pytest.raises(RunError):
            checkpoint.latest(tmp_path, layout, "abc")


def test_a_checkpoint_of_another_study_is_refused(bench: Any, sites: Any) -> None:
    made, other = bench(), bench(training={"learning_rate": 0.2})
    made.start(sites())
    other.path = made.path
    with pytest.raises(RunError, match="another study"):
        other.go_on(sites())


@pytest.mark.parametrize("before", ["_record", "_keep"])
def test_a_crash_inside_a_round_loses_no_line_and_no_weight(
    bench: Any, sites: Any, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    whole, made = bench(), bench()
    whole.start(sites())
    real = getattr(Rounds, before)

    def crash(self: Rounds, round_: int, *args: Any) -> Any:
        if round_ == 2:
            raise KeyboardInterrupt
        return real(self, round_, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, before, crash)
        with pytest.raises(KeyboardInterrupt):
            made.start(sites())
    assert made.go_on(sites()).finished == [2, 3]
    assert [r["round"] for r in made.folder.read_rounds()] == [1, 2, 3]
    assert made.model == whole.model


@pytest.mark.parametrize("call", range(13))
def test_a_full_disk_at_any_write_is_said_and_mended_by_resuming(
    bench: Any, sites: Any, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    whole, made = (bench(federation={"algorithm": "fedavgm", "rounds": 2}) for _ in range(2))
    whole.start(sites())
    made.folder.create(made.study)
    calls, real = [0], os.replace

    def full(source: Any, target: Any) -> None:
        calls[0] += 1
        if calls[0] == call + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        if call >= 11:
            made.go_on(sites())
            assert calls[0] == 11
            return
        with pytest.raises(MachineError, match="disk is full"):
            made.go_on(sites())
    assert not [p for p in made.path.rglob(".*") if p.is_file() and p.suffix != ".lock"]
    made.go_on(sites())
    assert made.model == whole.model
    assert [r["round"] for r in made.folder.read_rounds()] == [1, 2]


def test_a_new_run_never_takes_a_folder_that_holds_something(bench: Any, tmp_path: Path) -> None:
    study = bench().study
    taken, file, empty = tmp_path / "taken", tmp_path / "file", tmp_path / "empty"
    taken.mkdir()
    (taken / "photo.jpg").touch()
    file.touch()
    empty.mkdir()
    for path in (taken, file):
        with pytest.raises(RunError, match="exists already"):
            RunFolder(path).create(study)
    with pytest.raises(MachineError, match="cannot be written"):
        RunFolder(file / "inside").create(study)
    RunFolder(empty).create(study)
    RunFolder(tmp_path / "a" / "b").create(study)


def test_only_this_study_may_be_gone_on_with(bench: Any, tmp_path: Path) -> None:
    study, other = bench().study, bench(federation={"rounds": 4}).study
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match="no run to resume"):
        folder.reopen(study)
    folder.create(study)
    folder.reopen(study)
    with pytest.raises(RunError, match="other settings"):
        folder.reopen(other)


def test_damaged_lines_of_rounds_are_refused(bench: Any, sites: Any) -> None:
    made = bench()
    made.start(sites())
    made.folder.rounds.write_text('{"round": 1}\n{"rou')
    with pytest.raises(RunError, match=r"rounds\.jsonl"):
        made.folder.read_rounds()


def test_figures_that_json_does_not_know_are_written_so_that_every_reader_can_read_them(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    folder.append_round({"round": 1, "metrics": {"auc": float("nan"), "epsilon": float("inf")}})
    text = folder.rounds.read_text()
    assert json.loads(text)["metrics"] == {"auc": None, "epsilon": "inf"}


def test_only_one_process_works_on_a_run(bench: Any) -> None:
    made = bench()
    made.folder.create(made.study)
    with (
        made.folder.locked(),
        pytest.raises(RunError, match="works on this run"),
        RunFolder(made.path).locked(),
    ):
        pass
    with made.folder.locked():
        pass
