"""Study files: every fault is named with its place, and nothing but a StudyError ever comes out."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.plugins import registry
from common.study_cli import KINDS
from common.study_file import apply_overrides, dump_study, load_study, parse_study
from common.study_template import BODIES, template

Content = Callable[..., dict[str, Any]]
TEMPLATES = {kind: tomllib.loads(template(kind, "x")) for kind in BODIES}

names = st.sampled_from(
    [
        "study",
        "task",
        "model",
        "data",
        "training",
        "privacy",
        "federation",
        "evaluation",
        "name",
        "kind",
        "features",
        "classes",
        "rounds",
        "algorithm",
        "image_size",
        "options",
        "hidden",
        "seed",
        "step_minutes",
        "history_minutes",
        "sampling_rate",
        "model_config",
        "__class__",
    ]
)
scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
    st.sampled_from([0, -1, 10**400, 1e308, 1e-308, "1/20", "0/0", "nan", "1e99999999", "arrays"]),
    st.dates(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=8,
)
no_limit = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refusal(content: dict[str, Any]) -> StudyError:
    with pytest.raises(StudyError) as caught:
        parse_study(content, where="here.toml")
    assert caught.value.where.startswith("here.toml")
    return caught.value


@pytest.mark.parametrize(
    ("changes", "key", "meant"),
    [
        ({"privcy": {}}, "privcy", "privacy"),
        ({"training": {"learning_rat": 1}}, "training.learning_rat", "learning_rate"),
        ({"training": {"without_privacy": {"batchsize": 1}}}, "batchsize", "batch_size"),
        ({"data": {"image_siz": 3}}, "image_siz", "image_size"),
        ({"task": {"clases": []}}, "clases", "classes"),
        ({"model": {"name": "mlp", "hiden": [3]}}, "hiden", "hidden"),
        ({"federation": {"algorithm": {"name": "fedprox", "mu": 1.0}}}, "mu", ""),
        ({"federation": {"algorithm": {"name": "krum", "beta": 1}}}, "beta", ""),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest_name(
    content: Content, changes: dict[str, Any], key: str, meant: str
) -> None:
    error = refusal(content(**changes))
    assert f"{key}'" in error.what
    assert f"Did you mean '{meant}'" in error.fix or not meant
    assert "Known" in error.fix


def test_a_misspelt_key_that_must_be_there_is_named_itself(content: Content) -> None:
    error = refusal(content(task={"classes": None, "clases": ["no", "yes"]}))
    assert "'clases'" in error.what
    assert "Did you mean 'classes'" in error.fix


def test_a_plugin_without_options_says_so(content: Content) -> None:
    error = refusal(content(federation={"algorithm": {"name": "median", "beta": 1}}))
    assert "takes no options" in error.fix


def test_known_keys_of_a_feature_are_those_of_a_feature() -> None:
    table = tomllib.loads(template("table", "x").replace('type = "flag"', 'typ = "flag"'))
    error = refusal(table)
    assert "Did you mean 'type'" in error.fix
    assert "categories" in error.fix
    assert "window_width" not in error.fix


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [("task", "clasification", "classification"), ("model", "lungct-nt", "lungct-net")],
)
def test_unknown_plugins_are_refused_with_the_nearest_name(
    content: Content, kind: str, name: str, meant: str
) -> None:
    error = refusal(content(**{kind: {"name": name}}))
    assert f"'{name}'" in error.what
    assert f"'{meant}'" in error.fix
    assert f"[{kind}]" in error.where


def test_unknown_algorithms_are_refused_with_the_nearest_name(content: Content) -> None:
    error = refusal(content(federation={"algorithm": "fedproks"}))
    assert "'fedprox'" in error.fix
    assert "[federation.algorithm]" in error.where


@pytest.mark.parametrize("changes", [{"kind": None}, {"kind": "arays"}])
def test_a_missing_or_unknown_kind_names_the_kinds(content: Content, changes: Any) -> None:
    error = refusal(content(data=changes))
    assert "kind" in error.what
    assert "arrays, dicom, episodes, fused" in error.fix


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"local_epochs": 1.0}}, "exactly one of local_steps and local_epochs"),
        ({"training": {"local_steps": None}}, "exactly one of local_steps and local_epochs"),
        ({"privacy": {"epsilon": 3.0}}, "exactly one of epsilon and noise_multiplier"),
        ({"privacy": {"noise_multiplier": None}}, "exactly one of epsilon and noise_multiplier"),
        ({"privacy": {"units_per_step": 4}}, "exactly one of sampling_rate and units_per_step"),
        ({"privacy": {"sampling_rate": None}}, "exactly one of sampling_rate and units_per_step"),
        (
            {"training": {"without_privacy": {"local_steps": 2, "local_epochs": 1.0}}},
            "at most one of local_steps and local_epochs",
        ),
        ({"privacy": {"sampling_rate": "3/2"}}, "0 < q <= 1"),
        ({"privacy": {"sampling_rate": "0"}}, "0 < q <= 1"),
        ({"privacy": {"sampling_rate": "1/0"}}, "such as '1/20'"),
        ({"privacy": {"sampling_rate": "1e-99999999"}}, "such as '1/20'"),
        ({"privacy": {"sampling_rate": "often"}}, "such as '1/20'"),
        ({"privacy": {"sampling_rate": 0.05}}, "a fraction in quotes"),
        ({"privacy": {"clip_norm": float("inf")}}, "privacy.clip_norm"),
        ({"privacy": {"noise_multiplier": float("nan")}}, "privacy.noise_multiplier"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate"),
        ({"study": {"seed": 2**70}}, "study.seed"),
        ({"study": {"name": "Ä b"}}, "study.name"),
        ({"task": {"classes": ["a"]}}, "classes"),
        ({"task": {"classes": ["a", "a"]}}, "every class needs a name of its own"),
        ({"task": {"class_weights": [1.0]}}, "one positive weight"),
        ({"task": {"class_weights": [1.0, float("nan")]}}, "class_weights"),
        ({"model": {"name": "mlp", "hidden": [0]}}, "hidden"),
        ({"model": {"name": "plain-cnn", "channels": [-4]}}, "channels"),
        ({"federation": {"rounds": None}}, "federation.rounds"),
    ],
)
def test_values_that_make_no_sense_are_named(
    content: Content, changes: dict[str, Any], words: str
) -> None:
    assert words in str(refusal(content(**changes)))


def test_privacy_off_needs_no_noise(content: Content) -> None:
    off = {"enabled": False, "noise_multiplier": None, "sampling_rate": None}
    assert not parse_study(content(privacy=off), where="x").privacy.enabled


def test_every_kind_of_data_has_a_template() -> None:
    assert set(BODIES) == set(registry("sources")) == set(KINDS)


@pytest.mark.parametrize("kind", BODIES)
def test_templates_are_studies_and_come_back_from_their_dump(kind: str, tmp_path: Path) -> None:
    study = parse_study(TEMPLATES[kind], where="x")
    (tmp_path / "study.toml").write_text(dump_study(study), encoding="utf-8")
    again = load_study(tmp_path / "study.toml")
    assert again == study
    assert again.fingerprint == study.fingerprint


@pytest.mark.parametrize(
    ("content_", "words"),
    [
        (b"[study\n", "not valid TOML"),
        (b"a = 1\na = 2\n", "not valid TOML"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, "not valid TOML"),
        ("name = 'Größe'".encode("latin-1"), "not text in UTF-8"),
        (b"\x00\x01", "not valid TOML"),
        (b"", "missing"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content_: bytes, words: str) -> None:
    file = tmp_path / "study.toml"
    file.write_bytes(content_)
    with pytest.raises(StudyError, match=words) as caught:
        load_study(file)
    assert caught.value.where == str(file)
    assert caught.value.fix


def test_a_byte_order_mark_is_let_pass(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(template("arrays", "x"), encoding="utf-8-sig")
    assert load_study(tmp_path / "study.toml").name == "x"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("missing.toml", "no study file"),
        (".", "a folder"),
        ("file.toml/study.toml", "cannot be read"),
        ("x" * 300, "cannot be read"),
        ("a\0b", "not the path"),
    ],
)
def test_places_without_a_study_are_refused(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "file.toml").write_text("")
    with pytest.raises(StudyError, match=words) as caught:
        load_study(tmp_path / place)
    assert caught.value.where
    assert caught.value.fix


def overridden(base: dict[str, Any], *overrides: str) -> dict[str, Any]:
    before = repr(base)
    result = apply_overrides(base, overrides)
    assert repr(base) == before, "the caller's content stays as it was"
    return result


def test_overrides_replace_values_and_drop_alternatives(content: Content) -> None:
    base = content()
    assert overridden(base, "training.learning_rate=0.5")["training"]["learning_rate"] == 0.5
    assert overridden(base, "study.title=a b = c")["study"]["title"] == "a b = c"
    privacy = overridden(base, "privacy.epsilon=2", "privacy.units_per_step=5")["privacy"]
    assert privacy["epsilon"] == 2
    assert not privacy.keys() & {"noise_multiplier", "sampling_rate"}
    training = overridden(base, "training.local_epochs=1.5")["training"]
    assert "local_steps" not in training


def test_another_plugin_drops_the_options_of_the_one_before(content: Content) -> None:
    base = content(model={"name": "mlp", "hidden": [3]})
    swapped = overridden(base, "model.name=lungct-net")
    assert swapped["model"] == {"name": "lungct-net"}
    assert overridden(base, "model.name=mlp")["model"] == {"name": "mlp", "hidden": [3]}
    prox = content(federation={"algorithm": {"name": "fedprox", "proximal_mu": 0.5}})
    for text in ("federation.algorithm.name=krum", "federation.algorithm=krum"):
        parsed = parse_study(overridden(prox, text), where="x")
        assert parsed.federation.algorithm.name == "krum"
    named = overridden(
        content(federation={"algorithm": "fedprox"}), "federation.algorithm.proximal_mu=2.0"
    )
    assert parse_study(named, where="x").federation.algorithm.options == {"proximal_mu": 2.0}


@pytest.mark.parametrize("text", ["", "=", "rounds", "=3", "study.name.x=3", "data.kind.x.y=1"])
def test_overrides_that_name_nothing_are_refused(content: Content, text: str) -> None:
    with pytest.raises(StudyError) as caught:
        apply_overrides(content(), [text])
    assert caught.value.where == "--set"


@no_limit
@given(content=st.dictionaries(names, values, max_size=6))
def test_no_content_raises_anything_but_a_study_error(content: dict[str, Any]) -> None:
    only_study_errors(content)


@no_limit
@given(
    kind=st.sampled_from(sorted(BODIES)),
    path=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    value=values,
    data=st.data(),
)
def test_no_damage_to_a_study_raises_anything_but_a_study_error(
    kind: str, path: list[int], value: Any, data: st.DataObject
) -> None:
    damaged = overridden(TEMPLATES[kind], "study.title=x")
    table = damaged
    for step in path:
        keys = sorted(table)
        key = keys[step % len(keys)] if keys else "x"
        inner = table.get(key)
        if not isinstance(inner, dict):
            break
        table = inner
    key = data.draw(st.one_of(st.sampled_from(sorted(table) or ["x"]), names))
    table[key] = value
    only_study_errors(damaged)


def only_study_errors(content: dict[str, Any]) -> None:
    try:
        study = parse_study(content, where="fuzz")
    except StudyError as error:
        told = bool(error.what) and error.where.startswith("fuzz")
    else:
        told = (
            parse_study(tomllib.loads(dump_study(study)), where="x").fingerprint
            == study.fingerprint
        )
    assert told


@no_limit
@given(text=st.text(max_size=60))
def test_no_text_raises_anything_but_a_study_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(StudyError):
        load_study(tmp_path / "study.toml")


def test_the_order_of_keys_and_comments_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    def reversed_(table: Any) -> Any:
        if isinstance(table, dict):
            return {key: reversed_(table[key]) for key in reversed(table)}
        return table

    for kind, table in TEMPLATES.items():
        (tmp_path / "a.toml").write_text(template(kind, "x"), encoding="utf-8")
        turned = "# another comment\n" + tomli_w.dumps(reversed_(table))
        (tmp_path / "b.toml").write_text(turned, encoding="utf-8")
        a, b = load_study(tmp_path / "a.toml"), load_study(tmp_path / "b.toml")
        assert a.fingerprint == b.fingerprint


def test_only_images_can_be_flipped() -> None:
    content = tomllib.loads(template("series", "x"))
    content["training"]["augment"] = ["flip"]
    with pytest.raises(StudyError, match="for data of kind arrays, dicom, not series"):
        parse_study(content, where="x")
