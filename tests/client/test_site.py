"""site.toml: what is accepted, what is refused and how the refusal reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from client.site import Site, load_site
from common.errors import StudyError

HEAD = '[site]\nname = "hospital-1"\n'
TABLE = '[data.heart]\nkind = "table"\npath = "heart.csv"\ndeclared_patients = 40\n'
IMAGES = '[data.lungs]\nkind = "dicom"\npath = "d"\nlabels = "l.csv"\ndeclared_patients = 40\n'


@dataclass(frozen=True)
class Wanted:
    """The part of a study that picks a data set."""

    kind: str
    dataset: str | None = None


def site(folder: Path, text: str) -> Site:
    """Load a site.toml with this text."""
    (folder / "site.toml").write_text(text, encoding="utf-8")
    return load_site(folder)


def refusal(folder: Path, text: str) -> str:
    """Return the message that a site.toml with this text gets."""
    with pytest.raises(StudyError) as caught:
        site(folder, text)
    assert "site.toml" in caught.value.where
    return str(caught.value)


def test_reads_a_folder_or_a_file_and_resolves_paths(tmp_path: Path) -> None:
    loaded = site(tmp_path, HEAD + TABLE + "[policy]\nmax_epsilon = 3\n")
    assert loaded.datasets["heart"].path == tmp_path.resolve() / "heart.csv"
    assert loaded.policy.max_epsilon == 3.0
    assert loaded == load_site(tmp_path / "site.toml")


def test_defaults_are_cautious(tmp_path: Path) -> None:
    policy = site(tmp_path, HEAD + TABLE).policy
    assert (policy.allow_non_private, policy.statistics, policy.max_epsilon) == (
        False,
        "noisy",
        1.0,
    )


def test_a_plain_data_table_answers_to_any_name(tmp_path: Path) -> None:
    loaded = site(tmp_path, HEAD + TABLE.replace("[data.heart]", "[data]"))
    assert loaded.dataset(Wanted("table", "heart")) is loaded.datasets["default"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + TABLE + "pathh = 'x'\n", "Did you mean 'path'?"),
        (HEAD + TABLE + "[policy]\nmax_epsilonn = 1\n", "Did you mean 'max_epsilon'?"),
        (HEAD + TABLE.replace("declared_patients = 40\n", ""), "declared_patients"),
        (HEAD + TABLE.replace('kind = "table"\n', ""), "kind' is missing"),
        (HEAD + TABLE.replace('kind = "table"\n', ""), "episodes, fused"),
        (HEAD + TABLE.replace("table", "tabel"), "'table'"),
        (HEAD, "'data'"),
        (HEAD + '[data."../x"]\nkind="table"\npath="p"\ndeclared_patients=1\n', "'../x'"),
        (HEAD.replace("hospital-1", "a/b") + TABLE, "letters, digits and dashes"),
        (HEAD + TABLE + "[compute]\ndevice = 'gpu'\n", "compute.device"),
        ("[site\n", "not valid TOML"),
        (HEAD + TABLE + "[policy]\nmax_epsilon = nan\n", "max_epsilon"),
        (HEAD + TABLE + 'population = ""\n', "population"),
        (HEAD + TABLE + 'population = "a/b"\n', "population"),
    ],
)
def test_refusals_name_the_key_and_the_cure(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="There is no site file"):
        load_site(tmp_path / "nowhere")


def test_picks_by_name_or_the_only_one_of_its_kind(tmp_path: Path) -> None:
    loaded = site(tmp_path, HEAD + TABLE + IMAGES)
    assert loaded.dataset(Wanted("table")).kind == "table"
    assert loaded.dataset(Wanted("dicom", "lungs")).kind == "dicom"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted("series"), "no data set of kind 'series'"),
        (Wanted("table", "haert"), "Did you mean 'heart'?"),
        (Wanted("table", "lungs"), "it is of kind 'dicom'"),
    ],
)
def test_other_choices_list_what_there_is(tmp_path: Path, wanted: Wanted, said: str) -> None:
    loaded = site(tmp_path, HEAD + TABLE + IMAGES)
    with pytest.raises(StudyError) as caught:
        loaded.dataset(wanted)
    assert said in str(caught.value)
    assert "'heart' (table), 'lungs' (dicom)" in str(caught.value)


def test_a_population_is_the_whole_site_unless_it_is_named(tmp_path: Path) -> None:
    named = TABLE + 'population = "adults"\n'
    own = TABLE + 'population = "hospital-1"\n'
    for text, population in ((TABLE, ""), (named, "adults"), (own, "")):
        assert site(tmp_path, HEAD + text).population(Wanted("table")) == population
