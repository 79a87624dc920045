"""Who takes part: the willing go on, the others are named, and whoever comes late or comes back is known by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message

from common import wire
from common.errors import SitesError
from server.app import Job, run
from server.conduct import Conduct
from server.enrolled import Enrolled
from server.listener import Listener
from server.members import load_members

WILLING = Conduct(patience=0.2)


class Tells(Listener):
    """Calls a function when a round ends, and remembers who was awaited."""

    def __init__(self, after: Any = None) -> None:
        self.after = after
        self.awaited: list[dict[str, str]] = []

    def gathering(self, here: list[str], absent: Any) -> None:
        self.awaited.append(dict(absent))

    def round_finished(self, record: dict[str, Any]) -> None:
        if self.after:
            self.after(record["round"])


class Refusing:
    """Makes chosen sites of a scripted grid answer `describe` with an error while they are in `names`."""

    def __init__(self, grid: Any, names: set[str], code: int = wire.SITE_ERROR + 6) -> None:
        self.names, self.code, self.asked = names, code, 0
        self.real = grid._reply
        self.grid = grid
        grid._reply = self.reply

    def reply(self, message: Message) -> Message | None:
        site = self.grid.sites[message.metadata.dst_node_id]
        if message.metadata.message_type.startswith("query") and site.name in self.names:
            self.asked += 1
            return Message(Error(self.code, "the study is not approved here"), reply_to=message)
        return self.real(message)


def start(
    made: Any, grid: Any, listener: Listener | None = None, conduct: Conduct = WILLING
) -> None:
    if not made.path.exists():
        made.folder.create(made.study)
    run(Job(made.study, made.folder, listener or Listener(), conduct), grid)


def test_a_site_that_refuses_is_named_and_the_willing_go_on(
    bench: Any, sites: Any, grid_of: Any
) -> None:
    made = bench()
    grid = grid_of(sites(), made.study)
    Refusing(grid, {"cy"})
    start(made, grid)
    for record in made.folder.read_rounds():
        assert list(record["sites"]) == ["ada", "bea"]
        assert record["failures"] == {"node 12": "the study is not approved here"}


def test_a_simulation_ends_where_a_site_refuses(bench: Any, sites: Any, grid_of: Any) -> None:
    made = bench()
    grid = grid_of(sites(), made.study)
    Refusing(grid, {"cy"})
    with pytest.raises(SitesError, match=r"1 of 3 sites cannot take part.*not approved here"):
        start(made, grid, conduct=Conduct(everyone=True))


def test_a_site_that_approves_later_joins_the_next_round(
    bench: Any, sites: Any, grid_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.roster.LOOK_SECONDS", 0.0)
    made = bench()
    grid = grid_of(sites(), made.study)
    refusing = Refusing(grid, {"cy"})
    start(made, grid, Tells(lambda _: refusing.names.clear()))
    assert [sorted(r["sites"]) for r in made.folder.read_rounds()] == [
        ["ada", "bea"],
        ["ada", "bea"],
        ["ada", "bea", "cy"],
    ], "described during round 2, it takes part from the next"
    assert made.folder.read_rounds()[-1]["failures"] == {}
    assert sorted(json.loads(made.folder.outcome.read_text())["sites"]) == ["ada", "bea", "cy"]


def test_approvals_are_waited_for_where_the_run_is_patient(
    bench: Any, sites: Any, grid_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(f"server.roster.{name}", 0.05)
    made = bench(federation={"deadline_seconds": 20.0, "rounds": 1})
    grid = grid_of(sites(), made.study)
    refusing = Refusing(grid, {"ada", "bea", "cy"})
    listener = Tells()
    real = refusing.reply

    def reply(message: Message) -> Message | None:
        if refusing.asked > 5:
            refusing.names.clear()
        return real(message)

    grid._reply = reply
    start(made, grid, listener, Conduct(patient=True))
    assert {"node 10": "the study is not approved here"}.items() <= listener.awaited[-1].items()
    assert sorted(made.folder.read_rounds()[0]["sites"]) == ["ada", "bea", "cy"]


def test_too_few_willing_sites_end_with_their_reasons(bench: Any, sites: Any, grid_of: Any) -> None:
    made = bench()
    for conduct in (WILLING, Conduct(patient=True)):
        grid = grid_of(sites(), made.study)
        Refusing(grid, {"ada", "cy"})
        with pytest.raises(SitesError, match=r"2 of 3 sites cannot.*node 10: the study is not"):
            start(made, grid, conduct=conduct)


def test_a_site_that_comes_back_under_another_number_is_the_same_site(
    bench: Any, sites: Any, grid_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.roster.LOOK_SECONDS", 0.0)
    whole, made = bench(), bench()
    whole.start(sites())
    grid = grid_of(sites(), made.study)

    def move(round_: int) -> None:
        if round_ == 1:
            grid.sites[99] = grid.sites.pop(11)

    start(made, grid, Tells(move))
    assert [sorted(r["sites"]) for r in made.folder.read_rounds()] == [["ada", "bea", "cy"]] * 3
    assert made.model == whole.model


def test_a_second_site_of_a_name_never_takes_the_place_of_a_connected_one(
    bench: Any, site: Any, sites: Any, grid_of: Any
) -> None:
    made = bench()
    grid = grid_of([*sites(), site("ada", 1000)], made.study)
    start(made, grid)
    assert made.folder.read_rounds()[0]["failures"] == {
        "node 13": "Two sites call themselves 'ada'."
    }
    assert grid.sites[13].asked == []


def test_a_name_must_be_the_enrolled_one(
    bench: Any, sites: Any, grid_of: Any, tmp_path: Path
) -> None:
    file = tmp_path / "sites.json"
    names = {"ada": 10, "bea": 11, "dora": 12, "eve": 55}
    file.write_text(json.dumps({name: {"node": node} for name, node in names.items()}))
    made = bench()
    start(made, grid_of(sites(), made.study), conduct=Conduct(enrolled=Enrolled(file)))
    assert made.folder.read_rounds()[0]["failures"] == {
        "dora": "The site calls itself 'cy', which is not its enrolled name."
    }


def test_enrolments_are_read_anew_and_damage_keeps_what_was_known(tmp_path: Path) -> None:
    enrolled = Enrolled(tmp_path / "sites.json")
    assert enrolled() == {}
    enrolled.file.write_text('{"ada": {"node": 3}}')
    assert enrolled() == {3: "ada"}
    enrolled.file.write_text('{"ada": {"node": 4}, "bea": {"node": 5}}')
    assert enrolled() == {4: "ada", 5: "bea"}
    enrolled.file.write_text("{")
    assert enrolled() == {4: "ada", 5: "bea"}


def test_a_resumed_run_counts_the_patients_of_a_site_that_is_not_back(
    bench: Any, sites: Any, grid_of: Any
) -> None:
    made = bench()
    silent = sites()
    for each in silent:
        each.faults[2] = lambda _: None
    with pytest.raises(SitesError):
        start(made, grid_of(silent, made.study))
    assert [m.declared_patients for m in load_members(made.folder.members)] == [100, 250, 70]
    with pytest.raises(SitesError):
        start(made, grid_of([s for s in sites() if s.name != "bea"], made.study))
    start(made, grid_of([s for s in sites() if s.name != "ada"], made.study))
    second = made.folder.read_rounds()[1]
    assert second["failures"] == {"ada": "the site is not connected"}


def test_a_name_that_is_no_file_name_is_refused(
    bench: Any, site: Any, sites: Any, grid_of: Any
) -> None:
    made = bench()
    start(made, grid_of([*sites(), site("../../x")], made.study))
    (reason,) = made.folder.read_rounds()[0]["failures"].values()
    assert "letters, digits and dashes" in reason
