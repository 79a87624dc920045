"""The round loop: fixed order, failures by name, sampling, evaluation, and going on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, MetricRecord, RecordDict

from common import wire, witness
from common.errors import SitesError
from server.app import Job, run
from server.listener import Listener
from server.members import Member, choose

ALGORITHMS: list[dict[str, Any]] = [
    {"name": "fedavg"},
    {"name": "fedprox", "proximal_mu": 0.1},
    {"name": "fedavgm", "server_learning_rate": 0.7, "server_momentum": 0.9},
    {"name": "fedadam"},
    {"name": "fedyogi"},
    {"name": "fedadagrad"},
    {"name": "median"},
    {"name": "trimmed-mean", "beta": 0.34},
    {"name": "krum", "num_malicious_nodes": 1},
]
NAMES = [a["name"] for a in ALGORITHMS]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=NAMES)
def test_the_order_of_replies_leaves_no_trace(bench: Any, sites: Any, algorithm: Any) -> None:
    models = set()
    for order in (list, lambda r: r[::-1], lambda r: [*r[1:], r[0]]):
        made = bench(federation={"algorithm": algorithm})
        made.start(sites(), order=order)
        models.add(made.model)
    assert len(models) == 1


def test_the_order_of_nodes_leaves_no_trace(bench: Any, sites: Any) -> None:
    one, other = bench(), bench()
    one.start(sites())
    other.start(sites()[::-1])
    assert one.model == other.model


def test_averaging_weighs_by_declared_patients(bench: Any, sites: Any) -> None:
    made = bench(federation={"rounds": 1})
    three = sites()
    made.start(three)
    start = made.folder.checkpoints / "round-0001.safetensors"
    assert start.read_bytes() == made.model
    layout_size = 4 * 4 * 2 + 2
    from common.models import build_model
    from common.weights import Layout, pack
    from server.checkpoint import load_model

    network = build_model(made.study, 2).state_dict()
    initial, layout = pack(network), Layout.of(network)
    assert layout.size == layout_size
    want = sum(site.drift(initial, 1).astype(float) * site.patients for site in three) / 420
    np.testing.assert_allclose(load_model(made.folder.model, layout), want, rtol=1e-5)


@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=NAMES)
def test_every_algorithm_goes_on_to_identical_weights(
    bench: Any, sites: Any, algorithm: Any, stop: int
) -> None:
    whole = bench(federation={"algorithm": algorithm})
    whole.start(sites())
    broken = bench(federation={"algorithm": algorithm})
    silent = sites()
    for each in silent:
        each.faults[stop + 1] = lambda _: None
    with pytest.raises(SitesError):
        broken.start(silent)
    assert not broken.folder.model.exists()
    heard = broken.go_on(sites())
    assert (heard.first, heard.finished) == (stop + 1, list(range(stop + 1, 4)))
    assert broken.model == whole.model
    assert [r["round"] for r in broken.folder.read_rounds()] == [1, 2, 3]


def nan(reply: RecordDict) -> RecordDict:
    weights = wire.read_reply(reply).weights
    assert weights is not None
    return with_weights(reply, np.full_like(weights, np.nan))


def with_weights(reply: RecordDict, weights: Any) -> RecordDict:
    changed = RecordDict(dict(reply.items()))
    changed["weights"] = ArrayRecord({"flat": Array(weights)})
    return changed


def with_metrics(values: dict[str, Any]) -> Callable[[RecordDict], RecordDict]:
    def change(reply: RecordDict) -> RecordDict:
        changed = RecordDict(dict(reply.items()))
        changed["metrics"] = MetricRecord(values)
        return changed

    return change


def with_answer(**values: Any) -> Callable[[RecordDict], RecordDict]:
    def change(reply: RecordDict) -> RecordDict:
        said = ConfigRecord({**dict(reply.config_records["answer"]), **values})
        return RecordDict({**dict(reply.items()), "answer": said})

    return change


def damaged_array(data: bytes, shape: tuple[int, ...] = (34,)) -> Callable[..., RecordDict]:
    def change(reply: RecordDict) -> RecordDict:
        array = Array("float32", shape, "numpy.ndarray", data)
        return RecordDict({**dict(reply.items()), "weights": ArrayRecord({"flat": array})})

    return change


HUGE = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }"
HUGE += b" " * (10 + 118 - len(HUGE) - 1) + b"\n"

FAULTS: dict[str, tuple[Callable[[RecordDict], Any], str]] = {
    "an error reply": (
        lambda _: Error(wire.SITE_ERROR + 6, "the site's policy does not allow it"),
        "the site's policy does not allow it",
    ),
    "a crash": (lambda _: Error(2, "whatever"), "the site's process failed"),
    "silence": (lambda _: None, "did not answer before the deadline"),
    "no number": (nan, "not finite"),
    "too few weights": (lambda r: with_weights(r, np.zeros(3, np.float32)), "study's layout"),
    "a matrix": (lambda r: with_weights(r, np.zeros((34, 1), np.float32)), "study's layout"),
    "no weights": (
        lambda r: RecordDict({k: v for k, v in r.items() if k != "weights"}),
        "study's layout",
    ),
    "words for weights": (lambda r: with_weights(r, np.array(["x"] * 34)), "not float32"),
    "complex weights": (lambda r: with_weights(r, np.full(34, 1j)), "not float32"),
    "doubles": (lambda r: with_weights(r, np.zeros(34)), "not float32"),
    "a zip file": (damaged_array(b"PK\x03\x04 and so on"), "damaged"),
    "no bytes in the array": (damaged_array(b""), "damaged"),
    "garbage in the array": (damaged_array(b"\x93NUMPY garbage"), "damaged"),
    "an array that claims petabytes": (damaged_array(HUGE), "damaged"),
    "nothing": (lambda _: RecordDict(), "damaged"),
    "an impostor": (with_answer(site="bea"), "another site"),
    "another number of patients": (with_metrics({"weight": 1e9}), "another number of patients"),
    "a fraction of a patient more": (with_metrics({"weight": 100.5}), "number of patients"),
    "infinitely many patients": (with_metrics({"weight": float("inf")}), "number of patients"),
    "no patients": (with_metrics({"weight": float("nan")}), "number of patients"),
    "a list of patients": (with_metrics({"weight": [100.0]}), "number of patients"),
    "a tally of another size": (with_answer(tally=np.zeros(3).tobytes()), "tally of 3 values"),
    "a tally that is no number": (with_answer(tally=np.full(13, np.nan).tobytes()), "not finite"),
    "half a tally": (with_answer(tally=b"12345"), "damaged"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_reply_is_a_failure_by_name_and_the_run_goes_on(
    bench: Any, sites: Any, name: str
) -> None:
    fault, reason = FAULTS[name]
    made, three = bench(), sites()
    three[0].faults[2] = fault
    made.start(three)
    first, second, third = made.folder.read_rounds()
    assert first["failures"] == third["failures"] == {}
    assert list(second["failures"]) == ["ada"]
    assert reason in second["failures"]["ada"]
    assert list(second["sites"]) == ["bea", "cy"]


@pytest.mark.parametrize("extra", ["record", "metric", "array", "metric record"])
def test_what_a_reply_holds_beyond_the_contract_has_no_effect(
    bench: Any, sites: Any, extra: str
) -> None:
    def add(reply: RecordDict) -> RecordDict:
        parts = dict(reply.items())
        if extra == "record":
            parts["more"] = ArrayRecord({"flat": Array(np.ones(34, np.float32))})
        elif extra == "metric":
            parts["metrics"] = MetricRecord({"weight": 100.0, "more": 1.0})
        elif extra == "metric record":
            parts["more"] = MetricRecord({"weight": 100.0})
        else:
            flat = reply.array_records["weights"]["flat"]
            parts["weights"] = ArrayRecord({"flat": flat, "more": flat})
        return RecordDict(parts)

    sound, made, three = bench(), bench(), sites()
    sound.start(sites())
    three[0].faults[2] = add
    made.start(three)
    assert made.model == sound.model


def test_too_few_sites_end_the_run_and_say_who_failed(bench: Any, sites: Any) -> None:
    made, three = bench(federation={"min_sites": 3}), sites()
    three[2].faults[2] = nan
    with pytest.raises(SitesError, match=r"2 of 3 sites.*round 2.*cy: .*not finite"):
        made.start(three)
    assert [r["round"] for r in made.folder.read_rounds()] == [1]
    assert made.go_on(sites()).finished == [2, 3]


def test_too_few_patients_end_the_run_even_with_enough_sites(bench: Any, sites: Any) -> None:
    made, three = bench(federation={"min_patient_share": 0.5}), sites()
    three[1].faults[1] = lambda _: None
    with pytest.raises(SitesError, match="170 of 420 declared patients"):
        made.start(three)


def test_a_site_that_fails_the_last_evaluation_is_left_out_of_the_final_figures(
    bench: Any, sites: Any
) -> None:
    made, three = bench(), sites()
    three[0].faults[4] = lambda _: None
    made.start(three)
    outcome = json.loads(made.folder.outcome.read_text())
    assert sorted(outcome["site_metrics"]) == ["bea", "cy"]


@pytest.mark.parametrize(("every", "rounds", "want"), [(1, 3, [2, 3]), (2, 5, [3, 5]), (9, 4, [])])
def test_models_are_evaluated_as_planned(
    bench: Any, sites: Any, every: int, rounds: int, want: list[int]
) -> None:
    made, three = bench(federation={"rounds": rounds}, evaluation={"every": every}), sites()
    made.start(three)
    for each in three:
        assert [round_ for round_, kind, asked in each.asked if kind == "train" and asked] == want
        assert each.asked[-1] == (rounds + 1, "evaluate", True)
    from common.privacy.plan import evaluated_rounds

    assert len(want) + 1 == len(evaluated_rounds(made.study))
    with_metrics = [r["round"] for r in made.folder.read_rounds() if r["metrics"]]
    assert with_metrics == want


def test_sampling_of_sites_is_public_and_repeatable(bench: Any, site: Any) -> None:
    made = bench(federation={"sites_per_round": 0.4, "rounds": 8})
    many = [Member(f"site-{n}", n, 100) for n in range(10)]
    drawn = [[m.name for m in choose(many, made.study, r)] for r in range(1, 9)]
    assert drawn == [[m.name for m in choose(many, made.study, r)] for r in range(1, 9)]
    assert all(len(names) == 4 and names == sorted(names) for names in drawn)
    assert len({tuple(names) for names in drawn}) > 4
    assert len({name for names in drawn for name in names}) >= 8

    runs = [[site(f"site-{n}") for n in range(10)] for _ in range(2)]
    other = bench(federation={"sites_per_round": 0.4, "rounds": 8})
    made.start(runs[0])
    other.start(runs[1][::-1])
    assert [sorted(r["sites"]) for r in made.folder.read_rounds()] == drawn
    assert made.model == other.model


def test_fewer_sites_than_the_least_are_never_drawn(bench: Any) -> None:
    study = bench(federation={"sites_per_round": 0.01, "min_sites": 3}).study
    assert len(choose([Member(f"s{n}", n, 1) for n in range(9)], study, 1)) == 3


def test_two_sites_with_one_name_are_refused_before_any_round(bench: Any, site: Any) -> None:
    made, twins = bench(), [site("ada"), site("ada"), site("bea")]
    with pytest.raises(SitesError, match="'ada'"):
        made.start(twins)
    assert all(twin.asked == [] for twin in twins)


def test_a_site_with_another_network_or_no_patients_is_refused(
    bench: Any, site: Any, grid_of: Any
) -> None:
    made = bench()
    with pytest.raises(SitesError, match="declares no patients"):
        made.start([site("ada"), site("bea", 0)])
    grid = grid_of([site("ada"), site("bea")], made.study)
    grid.layout = type(grid.layout)(grid.layout.entries[:1])
    job = Job(made.study, made.folder, Listener())
    with pytest.raises(SitesError, match="another network"):
        run(job, grid)


def test_missing_sites_are_waited_for_until_the_deadline(bench: Any, site: Any) -> None:
    made = bench(federation={"deadline_seconds": 0.2})
    with pytest.raises(SitesError, match="1 of at least 2"):
        made.start([site("ada")])


def test_the_lines_of_the_rounds_are_strict_json_with_plausible_sizes(
    bench: Any, sites: Any
) -> None:
    made = bench()
    made.start(sites())

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for line in made.folder.rounds.read_text().splitlines():
        record = json.loads(line, parse_constant=refuse)
        tally = 13 * 8 if record["round"] > 1 else 0
        assert record["bytes_sent"] == 3 * (34 * 4 + tally)
        assert {s["bytes_sent"] for s in record["sites"].values()} == {34 * 4 + tally}
    json.loads(made.folder.outcome.read_text(), parse_constant=refuse)


def test_every_head_that_came_is_kept_also_of_a_round_that_failed(bench: Any, sites: Any) -> None:
    made = bench()
    some = sites()
    for each in some[1:]:
        each.faults[2] = lambda _: None
    with pytest.raises(SitesError):
        made.start(some)
    (heard,) = [file for file in witness.read(made.folder.path) if len(file) == 4]
    assert [(each.round, each.site) for each in heard[:3]] == [(1, site.name) for site in some]
    assert (heard[3].round, heard[3].site) == (2, some[0].name)
    made.go_on(sites())
    heard = witness.read(made.folder.path)[0]
    last = made.study.federation.rounds + 1
    assert sum(each.round == last for each in heard) == 3, "the last evaluation, too"
    assert all(each.bytes_sent > 0 and each.head for each in heard)
