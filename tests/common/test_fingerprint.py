"""The fingerprint: what sites approve. It changes when anything does, and with nothing else."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common.errors import StudyError
from common.studies import study_path
from common.study import Study
from common.study_file import dump_study, load_study, parse_study
from common.study_template import BODIES, template

Path = tuple[str | int, ...]


def leaves(content: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of all values of nested tables and lists."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    elif isinstance(content, list) and content:
        for index, value in enumerate(content):
            yield from leaves(value, (*path, index))
    else:
        yield path


def changed(content: Any, path: Path, value: Any) -> Any:
    """A copy with one value replaced."""
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def others(value: Any) -> list[Any]:
    """Values that might stand in the place of another."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, value * 2]
    if isinstance(value, float):
        return [value * 1.5 + 1e-6, value * 2, value / 2, value - 0.01]
    if isinstance(value, str):
        known = ["adam", "hooks", "sample", "image", "MR", "mse", "2/7", "all", "fedadam", "gru"]
        return [f"{value}x", f"x{value}", *known]
    return [1, 1.0, 0.5, "arrays", ["flip"], "x", [1], {"name": [1]}]


@pytest.mark.parametrize("kind", BODIES)
def test_every_value_counts(kind: str) -> None:
    study = parse_study(tomllib.loads(template(kind, "x")), where="x")
    content = study.model_dump(mode="json")
    checked = 0
    for path in leaves(content):
        value = content
        for part in path:
            value = value[part]
        for other in (o for o in others(value) if o != value):
            try:
                new = parse_study(changed(content, path, other), where="x")
            except StudyError:
                continue
            assert new.fingerprint != study.fingerprint, (path, other)
            checked += 1
    assert checked > 60


@pytest.mark.parametrize("kind", BODIES)
def test_defaults_written_out_are_the_same_study(kind: str) -> None:
    study = parse_study(tomllib.loads(template(kind, "x")), where="x")
    full = study.model_dump(mode="json")
    assert parse_study(full, where="x").fingerprint == study.fingerprint


def test_options_of_plugins_are_written_out(make_study: Callable[..., Study]) -> None:
    short = make_study(federation={"algorithm": "fedprox"})
    long = make_study(federation={"algorithm": {"name": "fedprox", "proximal_mu": 0.01}})
    other = make_study(federation={"algorithm": {"name": "fedprox", "proximal_mu": 0.02}})
    assert short.fingerprint == long.fingerprint != other.fingerprint


def test_a_derived_study_has_a_fingerprint_of_its_own(make_study: Callable[..., Study]) -> None:
    study = make_study()
    before = study.fingerprint
    plain = study.without_privacy()
    assert not plain.privacy.enabled
    assert plain.fingerprint != before
    assert study.fingerprint == before
    assert (
        study.model_copy(update={"study": study.study.model_copy(update={"seed": 6})}).fingerprint
        != before
    )


def test_the_fingerprint_is_a_known_one(make_study: Callable[..., Study]) -> None:
    """Sites keep fingerprints: whoever changes the canonical form must do so on purpose."""
    assert len(make_study().fingerprint) == 64
    assert make_study().canonical() == make_study().canonical()
    assert '"local_epochs":null' in make_study().canonical()


def test_what_without_privacy_changes(make_study: Callable[..., Study]) -> None:
    study = make_study(
        training={"without_privacy": {"local_epochs": 2.0, "learning_rate": 0.7, "batch_size": 3}}
    )
    training = study.without_privacy().training
    assert (training.local_epochs, training.local_steps) == (2.0, None)
    assert (training.learning_rate, training.batch_size) == (0.7, 3)
    again = parse_study(study.without_privacy().model_dump(mode="json"), where="x")
    assert again == study.without_privacy()


def test_studies_do_not_change(make_study: Callable[..., Study]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_study().training.learning_rate = 3.0  # type: ignore[misc]


BUNDLED = {
    "glucose": "7ebe3e6009bde437a8ccfb0274e8a05ef20401d4bda09d5e5dae7de133ee0e58",
    "heart": "262dcfd0e0bfae9bd102e9f9e331cbd2453f54ff65b0699b926e2be34df344c0",
    "lung-ct-5class": "a1836917813ec6f188c2e4cd5e137176ff8673fddb385413123f7a9fee7c5958",
    "lung-nodule": "013beef03068c6131f7eebec5b308fbb41844a5bc94796aada75ed935c90d80e",
}
"""As they were before any field was added later; sites may have approved them."""


@pytest.mark.parametrize("name", BUNDLED)
def test_fields_that_came_later_leave_old_fingerprints_alone(name: str) -> None:
    study = load_study(study_path(name))
    assert study.fingerprint == BUNDLED[name]
    assert "wire" not in study.canonical()
    assert "wire" not in dump_study(study)


def test_a_later_field_counts_once_it_says_something(make_study: Callable[..., Study]) -> None:
    short, long = make_study(), make_study(federation={"wire": "float32"})
    other = make_study(federation={"wire": "bfloat16"})
    assert short.fingerprint == long.fingerprint != other.fingerprint
    assert '"wire":"bfloat16"' in other.canonical()
    again = parse_study(tomllib.loads(dump_study(other)), where="x")
    assert again.federation.wire == "bfloat16"
    assert again.fingerprint == other.fingerprint
