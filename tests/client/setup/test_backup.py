"""`consilium site backup` and `restore`: a consistent copy, and no ledger that forgets."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from client.agent import Folders
from client.guard.budget import spent
from client.guard.chain import Chain
from client.guard.ledger import Ledger
from client.setup import backup as backup_module
from client.setup import backup_restore
from client.setup.backup import back_up
from client.setup.backup_archive import Archive, read_archive
from client.setup.backup_cli import backup, restore
from client.setup.backup_evidence import memory
from client.site import Site
from client.site_folder import SiteFolder
from common import keys, witness
from common.errors import ConsiliumError, MachineError, RunError, StudyError, TamperedError
from common.privacy.events import GaussianEvent
from common.study import Study
from common.study_file import dump_study
from common.witness import Witnessed

EVENT = GaussianEvent("poisson", Fraction(1, 8), 1.2, 1.0, 10)
REASON = "Dr. Meier counts rounds 2 and 3 as spent."

app = typer.Typer()
app.command("backup")(backup)
app.command("restore")(restore)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, ConsiliumError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


class House:
    """A hospital that spends, and a coordinator that keeps its heads."""

    def __init__(self, site: Site, study: Study, place: Path) -> None:
        self.site, self.study, self.place = site, study, place
        self.folder = SiteFolder(site.folder)
        keys.make_node_key(self.folder.node_key, self.folder.node_key_public, site.name)
        keys.make_signing_key(self.folder.signing_key)
        for file in (self.folder.secret, self.folder.superexec_secret):
            file.write_bytes(os.urandom(32))
            file.chmod(0o600)
        self.folder.tls.mkdir()
        (self.folder.tls / "runtime.crt").write_text("a certificate")
        Chain(self.folder.egress_log).create("open", {"site": site.name})
        (self.folder.states / "f" / "spool").mkdir(parents=True)
        (self.folder.states / "f" / "spool" / "reply.npz").write_bytes(b"patients, in a way")
        self.run = place / "run"
        self.run.mkdir()
        (self.run / "study.toml").write_text(dump_study(study))
        self.round(1)

    @property
    def ledger(self) -> Ledger:
        anchors = Folders(self.folder.ledger, self.folder.states / "f").anchors
        return Ledger(self.folder.ledger, self.site.name, self.site.name, anchors=anchors)

    def round(self, number: int) -> None:
        ledger = self.ledger
        made = ledger.reserve(
            f"round-{number}",
            study=self.study.name,
            fingerprint=self.study.fingerprint,
            round=number,
            group="train/1",
            event=EVENT,
            delta=1e-3,
            randomness="system",
        )
        Chain(self.folder.egress_log).write(lambda log: log.append("reply", {"round": number}))
        ledger.settle(made, steps=10, released="a" * 64)
        witness.append(self.run, [Witnessed(self.site.name, number, ledger.head(), 8)])

    def back_up(self, *options: object) -> Path:
        run("backup", self.site.folder, self.place / "site.tar", *options)
        return self.place / "site.tar"

    def lose(self, *, memory_too: bool = True) -> None:
        """Lose the disk, or only the two logs."""
        if memory_too:
            shutil.rmtree(self.site.folder)
        else:
            self.folder.ledger.unlink()
            self.folder.egress_log.unlink()

    def restore(self, *options: object) -> str:
        return run("restore", self.place / "site.tar", self.site.folder, *options)

    @property
    def epsilon(self) -> float:
        return spent(self.ledger.charges(), 1e-3)


@pytest.fixture
def house(
    tmp_path: Path, make_site: Callable[..., Site], make_study: Callable[..., Study]
) -> House:
    return House(make_site(), make_study(federation={"rounds": 5}), tmp_path)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("sealed", [False, True])
def test_there_and_back(house: House, sealed: bool) -> None:
    phrase = house.place / "phrase"
    phrase.write_text("correct horse battery staple\n")
    options = ("--passphrase-file", phrase) if sealed else ()
    head, before = house.ledger.head(), content(house.site.folder)
    archive = house.back_up(*options)
    assert archive.stat().st_mode & 0o777 == 0o600
    assert (b"OPENSSH PRIVATE KEY" in archive.read_bytes()) is not sealed
    house.lose()
    said = house.restore("--witness", house.run, *options)
    assert f"3 entries, head {head}" in said
    assert "confirmed by: the coordinator's run 'small'" in said
    after = content(house.site.folder)
    lost = set(before) - set(after)
    assert lost == {
        "scans.npz",
        ".consilium/state/f/spool/reply.npz",
        ".consilium/state/f/ledger-head.json",
    }
    assert all(
        before[name] == after[name] for name in after if not name.startswith(".consilium/site.")
    )
    assert house.ledger.head() == head
    for path in house.folder.private.rglob("*"):
        assert path.stat().st_mode & 0o777 in ((0o700,) if path.is_dir() else (0o600, 0o644)), path
    assert house.folder.node_key.stat().st_mode & 0o777 == 0o600


def test_the_memory_is_where_the_agent_keeps_it(house: House) -> None:
    assert memory(house.folder) == Folders(house.folder.ledger, house.place).anchors[0]
    assert memory(house.folder).exists()


def test_an_older_backup_is_refused_by_the_sites_own_memory(house: House) -> None:
    house.back_up()
    house.round(2)
    house.lose(memory_too=False)
    with pytest.raises(TamperedError, match="older copy") as caught:
        house.restore()
    assert "--charge-missing" in caught.value.fix
    assert not house.folder.ledger.exists()


def test_an_older_backup_is_refused_by_the_coordinators_witness(house: House) -> None:
    house.back_up()
    house.round(2)
    house.round(3)
    house.lose()
    with pytest.raises(TamperedError, match="charges of rounds 2–3"):
        house.restore("--witness", house.run)
    assert not house.folder.ledger.exists()


def test_a_backup_that_nobody_confirms_is_refused(house: House) -> None:
    house.back_up()
    house.lose()
    with pytest.raises(StudyError, match="Nothing here tells"):
        house.restore()
    with pytest.raises(StudyError, match="sentence"):
        house.restore("--accept-older", "because")


def test_the_newest_backup_is_confirmed_by_the_memory_alone(house: House) -> None:
    house.back_up()
    house.lose(memory_too=False)
    assert "this machine's own memory" in house.restore()
    house.round(2)


@pytest.mark.parametrize("memory_too", [True, False])
def test_missing_rounds_are_charged_in_full(house: House, memory_too: bool) -> None:
    """What is charged is never less than what was spent, and the site's memory knows the new end."""
    house.back_up()
    house.round(2)
    house.round(3)
    before = house.epsilon
    house.lose(memory_too=memory_too)
    if memory_too:
        house.site.folder.mkdir()
    said = house.restore("--witness", house.run, "--charge-missing")
    assert "4 releases" in said, "training and statistics of two rounds"
    assert house.epsilon >= before
    assert {charge.round for charge in house.ledger.charges()} == {1, 2, 3}
    added = [charge for charge in house.ledger.charges() if charge.round > 1]
    assert {charge.group for charge in added} == {"all/restored"}, "nobody knows the split any more"
    assert not any(charge.settled for charge in added)
    assert json.loads(memory(house.folder).read_text())["head"] == house.ledger.head()
    house.round(4)


def test_charging_does_not_hide_what_no_coordinator_saw(house: House) -> None:
    """The site remembers an entry that the witness lacks, such as a round of another coordinator."""
    house.back_up()
    kept = (house.run / "witness.jsonl").read_text()
    house.round(2)
    (house.run / "witness.jsonl").write_text(kept)
    house.lose(memory_too=False)
    with pytest.raises(TamperedError, match="older copy"):
        house.restore("--witness", house.run, "--charge-missing")


def test_an_older_one_is_accepted_for_a_reason_that_the_chain_keeps(house: House) -> None:
    house.back_up()
    house.round(2)
    house.lose(memory_too=False)
    house.restore("--accept-older", REASON)
    entry = list(Chain(house.folder.ledger).read())[-1]
    assert (entry.kind, entry.body["reason"], entry.body["entries"]) == ("restored", REASON, 3)
    from client.audit.ledger_report import audit

    assert REASON in " ".join(audit([house.folder.ledger]).ledgers[0].notes)
    house.round(3)


def test_a_run_that_never_heard_from_the_site_confirms_nothing(house: House) -> None:
    house.back_up()
    house.lose()
    (house.run / "witness.jsonl").write_text(Witnessed("south", 1, "0" * 64, 8).to_line())
    with pytest.raises(StudyError, match="never heard"):
        house.restore("--witness", house.run)


def test_nothing_is_overwritten(house: House) -> None:
    archive = house.back_up()
    with pytest.raises(RunError, match="there already"):
        house.back_up()
    with pytest.raises(RunError, match="has a ledger"):
        house.restore("--witness", house.run)
    house.lose(memory_too=False)
    house.folder.secret.write_bytes(b"another")
    with pytest.raises(RunError, match="nothing is ever overwritten"):
        house.restore("--witness", house.run)
    assert house.folder.secret.read_bytes() == b"another"
    assert archive.exists()


def test_an_egress_log_that_outlived_the_ledger_is_kept(house: House) -> None:
    house.back_up()
    Chain(house.folder.egress_log).write(lambda log: log.append("refused", {"round": 2}))
    before = house.folder.egress_log.read_bytes()
    house.folder.ledger.unlink()
    house.restore("--witness", house.run)
    assert house.folder.egress_log.read_bytes() == before


def test_another_egress_log_is_in_the_way(house: House) -> None:
    house.back_up()
    house.lose(memory_too=False)
    Chain(house.folder.egress_log).create("open", {"site": "another"})
    with pytest.raises(RunError, match="nothing is ever overwritten"):
        house.restore("--witness", house.run)


def test_while_the_service_writes(house: House) -> None:
    """The copy is of one moment, and no writer fails."""
    stop, problems = threading.Event(), []

    def spend() -> None:
        number = 2
        while not stop.is_set():
            try:
                house.round(number)
            except Exception as error:
                problems.append(error)
                return
            number += 1

    writer = threading.Thread(target=spend)
    writer.start()
    try:
        made = [back_up(house.site.folder, house.place / f"{n}.tar") for n in range(5)]
    finally:
        stop.set()
        writer.join()
    assert problems == []
    heads = {entry.seq: entry.hash for entry in Chain(house.folder.ledger).read()}
    for each in made:
        assert each.ledger
        assert each.egress
        assert heads[each.ledger.entries] == each.ledger.head
        settled = (each.ledger.entries - 1) // 2
        reserved = each.ledger.entries // 2
        assert settled <= each.egress.entries - 1 <= reserved, (
            "a reply lacks its charge, or the charge its reply"
        )


def test_what_leaves_between_the_two_copies(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that knew more than the log would look like a reply that was never logged."""
    real = backup_module._copied

    def copied(log: Path, copy: Path) -> Path:
        done = real(log, copy)
        house.round(2)
        monkeypatch.setattr(backup_module, "_copied", real)
        return done

    monkeypatch.setattr(backup_module, "_copied", copied)
    made = back_up(house.site.folder, house.place / "site.tar")
    assert made.ledger is not None
    assert made.egress is not None
    assert (made.ledger.entries, made.egress.entries) == (5, 3)


def test_a_damaged_ledger_is_not_backed_up(house: House) -> None:
    with sqlite3.connect(house.folder.ledger) as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET at = 'x' WHERE seq = 2")
    connection.close()
    with pytest.raises(TamperedError, match="Entry 2"):
        house.back_up()
    assert not (house.place / "site.tar").exists()


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("how", ["flipped", "cut"])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_damaged_archive_restores_nothing(
    house: House, where: float, how: str, sealed: bool
) -> None:
    phrase = house.place / "phrase"
    phrase.write_text("correct horse battery staple\n")
    options = ("--passphrase-file", phrase) if sealed else ()
    archive = house.back_up(*options)
    data = bytearray(archive.read_bytes())
    place = _inside(archive, where) if not sealed else int(len(data) * where)
    if how == "flipped":
        data[place] ^= 1
    else:
        del data[place:]
    archive.write_bytes(data)
    house.lose()
    with pytest.raises(TamperedError):
        house.restore("--witness", house.run, *options)
    assert not house.site.folder.exists()


def _inside(archive: Path, where: float) -> int:
    """A byte of some member's content: what lies between members means nothing."""
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    member = members[int(len(members) * where)]
    return member.offset_data + member.size // 2


def test_a_wrong_passphrase_and_none(house: House) -> None:
    phrase = house.place / "phrase"
    phrase.write_text("correct horse battery staple\n")
    archive = house.back_up("--passphrase-file", phrase)
    with pytest.raises(TamperedError, match="passphrase is another"):
        read_archive(archive, b"incorrect horse battery")
    with pytest.raises(StudyError, match="sealed"):
        read_archive(archive, None)
    phrase.write_text("short\n")
    with pytest.raises(StudyError, match="fewer than 12"):
        run("backup", house.site.folder, house.place / "other.tar", "--passphrase-file", phrase)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside"])
def test_an_archive_cannot_reach_out_of_the_folder(house: House, name: str) -> None:
    archive = house.back_up()
    made = read_archive(archive, None)
    from client.setup.backup_archive import sha256

    files = {**made.files, name: b"x"}
    hashes = {each: sha256(data) for each, data in files.items()}
    forged = Archive(type(made.manifest)(**{**vars(made.manifest), "files": hashes}), files)
    archive.write_bytes(forged.to_bytes(None))
    with pytest.raises(TamperedError):
        read_archive(archive, None)


def test_a_crash_in_the_middle_of_a_backup_leaves_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(Archive, "to_bytes", crash)
    with pytest.raises(KeyboardInterrupt):
        back_up(house.site.folder, house.place / "site.tar")
    assert not list(house.place.glob("*.tar")) + list(house.place.glob(".site*"))
    assert not list(house.folder.private.glob(".backup-*"))


@pytest.mark.parametrize("after", range(12))
def test_a_crash_in_the_middle_of_a_restore_can_be_repeated(
    house: House, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whatever was written before, the site has no ledger until all else is there."""
    house.back_up()
    head = house.ledger.head()
    house.lose()
    written = 0
    real = backup_restore.publish

    def crash(path: Path, *, mode: int) -> Any:
        nonlocal written
        written += 1
        if written > after:
            raise KeyboardInterrupt
        return real(path, mode=mode)

    with monkeypatch.context() as patched:
        patched.setattr(backup_restore, "publish", crash)
        try:
            house.restore("--witness", house.run)
        except (KeyboardInterrupt, SystemExit, AssertionError):
            assert not house.folder.ledger.exists()
            patched.undo()
            house.restore("--witness", house.run)
        else:
            assert after >= len(read_archive(house.place / "site.tar", None).files)
    assert house.ledger.head() == head
    assert not list(house.folder.private.glob(".restore-*"))


def test_a_full_disk_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MachineError, match="disk is full"):
        back_up(house.site.folder, house.place / "site.tar")
    assert not (house.place / "site.tar").exists()


def test_a_backup_without_a_ledger_where_there_was_one(house: House) -> None:
    house.folder.ledger.rename(house.place / "away")
    house.back_up()
    with pytest.raises(TamperedError, match="no ledger"):
        house.restore()
    house.lose()
    assert "ledger:" not in house.restore()


def test_the_archive_is_a_tar_that_anybody_can_look_into(house: House) -> None:
    with tarfile.open(fileobj=io.BytesIO(house.back_up().read_bytes())) as tar:
        names = tar.getnames()
    assert names[0] == "manifest.json"
    assert not [name for name in names if "spool" in name or "cohort" in name or "scans" in name]
