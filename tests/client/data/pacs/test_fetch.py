"""The fetch itself, against a server made of dictionaries."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from client.data.pacs.archive import Archive, Spoilt
from client.data.pacs.config import Select
from client.data.pacs.criteria import Criteria, criteria
from client.data.pacs.fetch import Fetch, Outcome
from client.data.pacs.server import Keys, Lost, Series
from client.guard.pseudonyms import Pseudonyms
from common.errors import DataError, MachineError, StudyError

Files = dict[str, dict[str, bytes]]  # series → image → file
SECRET = b"s" * 32


class Shelf:
    """A server with one study and one series a patient; it fails as often as it is told to."""

    def __init__(self, archive: Archive, files: Files) -> None:
        self.archive = archive
        self.files = files
        self.failures = 0
        self.asked: list[str | None] = []
        self.whole: list[bool] = []

    def studies(self, keys: Keys) -> Iterator[str]:
        self.asked.append(keys.get("PatientID"))
        return iter([name for name in self.files if keys.get("PatientID", name) == name])

    def series(self, study: str, keys: Keys) -> Iterator[Series]:
        yield Series(study, study, "CT")

    def instances(self, series: Series) -> list[str]:
        return [*self.files[series.uid], next(iter(self.files[series.uid]))]  # one twice

    def retrieve(self, series: Series, wanted: Sequence[str], whole: bool) -> None:
        self.whole.append(whole)
        for image in wanted:
            if self.failures and image != wanted[0]:
                self.failures -= 1
                raise Lost("no connection")
            if content := self.files[series.uid][image]:
                with self.archive.incoming(series.uid, image) as file:
                    file.write(content)

    def close(self) -> None:
        pass


@pytest.fixture
def shelf(tmp_path: Path, write_ct: Callable[..., object]) -> Shelf:
    files: Files = {}
    for name in ("1.2.1", "1.2.2"):
        for z in range(3):
            path = tmp_path / "made.dcm"
            made = write_ct(path, np.zeros((4, 4), np.int16), "p", z, SeriesInstanceUID=name)
            files.setdefault(name, {})[str(made.SOPInstanceUID)] = path.read_bytes()  # type: ignore[attr-defined]
    return Shelf(Archive(tmp_path / "archive", Pseudonyms(SECRET)), files)


def fetch(shelf: Shelf, which: Criteria | None = None, attempts: int = 3) -> Fetch:
    waited: list[float] = []
    return Fetch(
        shelf,
        shelf.archive,
        which or Criteria(Select()),
        attempts=attempts,
        tell=lambda outcome: None,
        pause=waited.append,
    )


def test_counts_and_a_second_fetch(shelf: Shelf) -> None:
    first = fetch(shelf).run(["1.2.1", "1.2.2", "nobody"])
    assert first == Outcome(patients=3, absent=1, series=2, listed=6, present=0, fetched=6)
    second = fetch(shelf).run(None)
    assert second == Outcome(series=2, listed=6, present=6, fetched=0)
    assert shelf.whole == [True, True], "nothing is asked for twice"
    names = [path.name for path in shelf.archive.root.rglob("*.dcm")]
    assert len(names) == 6
    assert not any(uid in name for uid in ("1.2.", *shelf.files["1.2.1"]) for name in names)


def test_a_connection_that_breaks_is_tried_again(shelf: Shelf) -> None:
    shelf.failures = 2
    assert fetch(shelf).run(None).fetched == 6
    assert False in shelf.whole, "what came before is kept"


def test_a_server_that_stays_away(shelf: Shelf) -> None:
    shelf.failures = 99
    one = fetch(shelf, attempts=2)
    with pytest.raises(MachineError, match="broke off") as found:
        one.run(None)
    assert "run the command again" in found.value.fix
    assert one.outcome.fetched == 2
    shelf.failures = 0
    assert fetch(shelf).run(None).missing == 0


def test_missing_images_are_an_error_in_the_end(shelf: Shelf) -> None:
    shelf.files["1.2.1"][next(iter(shelf.files["1.2.1"]))] = b""
    one = fetch(shelf)
    with pytest.raises(DataError, match="1 of 6 images did not come"):
        one.run(None)
    assert one.incomplete.details == (("1.2.1", "1 of 3 images missing"),)
    assert one.outcome.fetched == 5, "the rest came all the same"


def test_an_identifier_that_matches_others_is_not_asked_for(shelf: Shelf) -> None:
    one = fetch(shelf)
    outcome = one.run(["1.2.*", "1.2.?", "a\\b"])
    assert shelf.asked == []
    assert (outcome.absent, outcome.listed) == (3, 0)
    assert one.incomplete.total == 3


def test_another_modality_is_left_where_it_is(shelf: Shelf) -> None:
    assert fetch(shelf, Criteria(Select(), "MR")).run(None).series == 0


@pytest.mark.parametrize("content", [b"", b"not DICOM at all", None])
def test_what_is_not_the_image_does_not_enter(shelf: Shelf, content: bytes | None) -> None:
    images = shelf.files["1.2.1"]
    asked, other = list(images)[:2]
    with pytest.raises(Spoilt), shelf.archive.incoming("1.2.1", asked) as file:
        file.write(images[other] if content is None else content)
    assert list(shelf.archive.root.rglob("*.*")) == []


def test_an_interruption_leaves_nothing_half_done(shelf: Shelf) -> None:
    with pytest.raises(KeyboardInterrupt), shelf.archive.incoming("1.2.1", "1"):
        raise KeyboardInterrupt
    assert list(shelf.archive.root.iterdir()) == []
    (shelf.archive.root / "._incoming-old").write_bytes(b"of a killed process")
    Archive(shelf.archive.root, Pseudonyms(SECRET))
    assert list(shelf.archive.root.iterdir()) == []


def test_keys_of_a_query() -> None:
    select = Select.model_validate(
        {"from_date": "2020-01-31", "study_description": "CHEST*", "body_part": "LUNG"}
    )
    which = Criteria(select, "CT")
    assert which.study_keys("p") == {
        "PatientID": "p",
        "StudyDate": "20200131-",
        "StudyDescription": "CHEST*",
        "ModalitiesInStudy": "CT",
    }
    assert which.series_keys() == {"Modality": "CT", "BodyPartExamined": "LUNG"}


def test_site_and_study_want_different_modalities() -> None:
    class Spec:
        modality = "MR"

    assert criteria(Select(), Spec(), where="here").modality == "MR"
    with pytest.raises(StudyError, match="asks for modality MR, but the site selects CT"):
        criteria(Select(modality="CT"), Spec(), where="here")


def test_the_archive_reports_a_full_disk(shelf: Shelf) -> None:
    with pytest.raises(MachineError, match="full"), shelf.archive.incoming("1", "2"):
        raise OSError(28, "No space left on device")


def test_streams_are_files(shelf: Shelf) -> None:
    image, content = next(iter(shelf.files["1.2.2"].items()))
    with shelf.archive.incoming("1.2.2", image) as file:
        file.write(io.BytesIO(content).read())
    assert shelf.archive.has("1.2.2", image)
    assert shelf.archive.place("1.2.2", image).stat().st_mode & 0o777 == 0o600
    assert shelf.archive.root.stat().st_mode & 0o777 == 0o700
