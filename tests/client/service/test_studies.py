"""Studies at a site: pending, approved, changed, revoked; decided on from the command line while an agent runs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.guard.approvals import NotApproved
from client.guard.chain import Chain
from client.service.inbox import Inbox
from client.service.studies import Studies, differences
from client.site import Site
from client.site_cli import app
from client.site_folder import SiteFolder
from common.bundle import make_bundle, read_bundle
from common.errors import ConsiliumError, PolicyError, StudyError
from common.keys import make_signing_key
from common.study import Study
from common.study_file import dump_study

MakeStudy = Callable[..., Study]


def arrive(studies: Studies, study: Study, connection: str = "trial") -> str:
    bundle = read_bundle(make_bundle(study))
    studies.inbox.put(bundle, connection)
    return bundle.sha256


def run(*arguments: object, given: str = "") -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=given)
    if isinstance(result.exception, ConsiliumError):
        raise result.exception
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_a_study_is_pending_then_approved_then_revoked(
    studies: Studies, make_study: MakeStudy
) -> None:
    study = make_study()
    bundle = read_bundle(make_bundle(study))
    arrive(studies, study)
    with pytest.raises(NotApproved):
        studies.require(bundle)
    approved = studies.approve("small", "Dr. A")
    assert (approved.standing, approved.by, approved.connection) == ("approved", "Dr. A", "trial")
    studies.require(bundle)
    studies.require_study(study)
    assert studies.revoke(bundle.sha256[:8], "Dr. B").standing == "revoked"
    for check in (lambda: studies.require(bundle), lambda: studies.require_study(study)):
        with pytest.raises(NotApproved) as caught:
            check()
        assert caught.value.told == "the site has not approved this study"


def test_deciding_twice_the_same_is_noted_once(studies: Studies, make_study: MakeStudy) -> None:
    arrive(studies, make_study())
    for _ in range(2):
        studies.approve("small", "Dr. A")
    assert len(studies.ledger.decisions()) == 1
    arrive(studies, make_study(study={"name": "other"}))
    with pytest.raises(StudyError, match="nothing to revoke"):
        studies.revoke("other", "Dr. A")


def test_a_changed_study_shows_what_changed_and_is_not_approved(
    studies: Studies, make_study: MakeStudy
) -> None:
    arrive(studies, make_study())
    studies.approve("small", "Dr. A")
    changed = make_study(training={"local_steps": 30}, federation={"rounds": 5})
    sha256 = arrive(studies, changed)
    record = studies.find(sha256)
    assert record.standing == "changed"
    assert record.changed_from == ("federation.rounds", "training.local_steps")
    with pytest.raises(NotApproved):
        studies.require(read_bundle(make_bundle(changed)))
    before = studies.approved_before(record)
    assert before == make_study()
    assert [(d.old, d.new) for d in differences(before, changed)] == [("2", "5"), ("3", "30")]


def test_the_same_study_in_another_bundle_is_another_bundle(
    studies: Studies, make_study: MakeStudy
) -> None:
    arrive(studies, make_study())
    studies.approve("small", "Dr. A")
    other = read_bundle(make_bundle(make_study()) + b"")
    studies.require(other)
    from dataclasses import replace

    with pytest.raises(NotApproved):
        studies.require(replace(other, sha256="0" * 64))


def test_names_that_mean_several_or_none_are_told(studies: Studies, make_study: MakeStudy) -> None:
    arrive(studies, make_study())
    arrive(studies, make_study(federation={"rounds": 3}))
    with pytest.raises(StudyError, match="means 2 studies") as caught:
        studies.find("small")
    assert "pending" in caught.value.fix
    with pytest.raises(StudyError, match="No study 'nothing'"):
        studies.find("nothing")


def test_another_key_approves_nothing(studies: Studies, make_study: MakeStudy) -> None:
    arrive(studies, make_study())
    studies.approve("small", "Dr. A")
    make_signing_key(studies.folder.signing_key)
    with pytest.raises(NotApproved):
        studies.require(read_bundle(make_bundle(make_study())))
    assert studies.find("small").standing == "pending"


def test_an_approval_cannot_be_forged_or_played_again(
    studies: Studies, make_study: MakeStudy
) -> None:
    arrive(studies, make_study())
    studies.approve("small", "Dr. A")
    studies.revoke("small", "Dr. A")
    chain = Chain(studies.folder.ledger)
    old = next(entry for entry in chain.read() if entry.kind == "approve")
    chain.write(lambda writer: writer.append("approve", old.body))
    with pytest.raises(ConsiliumError, match="signature does not hold"):
        studies.require_study(make_study())
    with pytest.raises(ConsiliumError, match="signature does not hold"):
        Studies(studies.site, studies.folder)


def test_the_command_line_and_a_running_agent_share_the_ledger(
    studies: Studies, make_study: MakeStudy, hospital: Callable[..., Site]
) -> None:
    """Each of both writes at the same time; nothing is lost, and each sees what the other wrote."""
    names = [f"study-{number}" for number in range(4)]
    for name in names:
        arrive(studies, make_study(study={"name": name}))
    other = Studies(studies.site, studies.folder)

    def decide(known: Studies, mine: list[str]) -> None:
        for name in mine:
            known.approve(name, "Dr. A")

    threads = [
        threading.Thread(target=decide, args=(studies, names[:2])),
        threading.Thread(target=decide, args=(other, names[2:])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for known in (studies, other):
        assert [each.standing for each in known.all()] == ["approved"] * 4


def test_the_inbox_is_bounded_and_survives_damage(
    studies: Studies, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = arrive(studies, make_study())
    assert not studies.inbox.put(read_bundle(make_bundle(make_study())), "again")
    monkeypatch.setattr("client.service.inbox.MOST", 1)
    other = read_bundle(make_bundle(make_study(study={"name": "other"})))
    assert not studies.inbox.put(other, "trial")
    place = studies.folder.inbox / sha256
    assert place.stat().st_mode & 0o077 == 0
    (place / "study.toml").write_text("[[[")
    assert Inbox(studies.folder.inbox).all() == []


def test_a_study_file_can_be_approved_before_its_bundle_arrives(
    studies: Studies, make_study: MakeStudy, tmp_path: Path
) -> None:
    file = tmp_path / "mailed.toml"
    file.write_text(dump_study(make_study()))
    text = run("approve", studies.site.folder, file, "--yes", "--by", "Dr. A")
    assert "Approved 'small'" in text
    studies.require(read_bundle(make_bundle(make_study())))


def test_show_says_everything_in_words(studies: Studies, make_study: MakeStudy) -> None:
    arrive(studies, make_study(study={"title": "Hearts\x1b[2J", "description": "A\nlong one."}))
    text = run("show", studies.site.folder, "small")
    for expected in (
        "Data set 'scans' (arrays): 40 patients declared; the whole site pays.",
        "2 tensors of the model, 130 numbers (520 bytes, float32)",
        "Statistics of held-out patients, with noise",
        "All together, this study included: ε =",
        "It allows the study.",
        "Came from connection 'trial'; it is not approved yet.",
        "A long one.",
    ):
        assert expected in text
    assert "\x1b" not in text


def test_show_says_what_the_policy_has_against_a_study(
    hospital: Callable[..., Site], make_study: MakeStudy
) -> None:
    site = hospital(max_epsilon=0.01, max_bytes_per_round=100, allowed_models=["mlp"])
    known = Studies(site, SiteFolder(site.folder))
    arrive(known, make_study())
    text = run("show", site.folder, "small")
    assert text.count("It does NOT allow it") == 3
    assert "too much" in text


def test_show_lists_old_and_new_values(studies: Studies, make_study: MakeStudy) -> None:
    arrive(studies, make_study())
    studies.approve("small", "Dr. A")
    sha256 = arrive(studies, make_study(federation={"rounds": 5}))
    text = run("show", studies.site.folder, sha256[:10])
    assert "federation.rounds: 2 → 5" in text


def test_approving_asks_for_the_study_s_name(studies: Studies, make_study: MakeStudy) -> None:
    arrive(studies, make_study())
    with pytest.raises(PolicyError, match="not typed"):
        run("approve", studies.site.folder, "small", "--by", "Dr. A", given="no\n")
    assert studies.find("small").standing == "pending"
    run("approve", studies.site.folder, "small", "--by", "Dr. A", given="small\n")
    assert studies.find("small").by == "Dr. A"
    assert "already" in run("approve", studies.site.folder, "small", "--by", "Dr. B")


def test_studies_are_listed_for_people_and_programs(
    studies: Studies, make_study: MakeStudy
) -> None:
    assert "No study" in run("studies", studies.site.folder)
    arrive(studies, make_study())
    assert "1 waiting" in run("studies", studies.site.folder)
    (listed,) = json.loads(run("studies", studies.site.folder, "--json"))
    assert (listed["study"], listed["standing"]) == ("small", "pending")


def test_revoking_from_the_command_line(studies: Studies, make_study: MakeStudy) -> None:
    arrive(studies, make_study())
    studies.approve("small", "Dr. A")
    assert "Revoked" in run("revoke", studies.site.folder, "small", "--by", "Dr. B")
    assert studies.find("small").standing == "revoked"


def test_the_ledger_stays_private(studies: Studies) -> None:
    assert os.stat(studies.folder.ledger).st_mode & 0o077 == 0
