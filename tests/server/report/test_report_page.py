"""The page as a whole: self-contained, escaped, accessible, the same for the same run."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from common.errors import MachineError, RunError
from server import report

KINDS = {
    "two classes": {},
    "five classes": {"classes": ["a", "b", "c", "d", "e"]},
    "forecasting": {"task": "forecasting"},
    "no privacy": {"private": False, "compare": False},
    "one site, one round": {"sites": 1, "rounds": 1},
    "many sites": {"sites": 40, "rounds": 60},
}


class Page(HTMLParser):
    """Collects the tags, and checks that each is closed where it must be."""

    VOID = frozenset({"meta", "path", "circle", "rect", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


def read(run: Path) -> str:
    return report.build(run).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_whole_page_that_loads_nothing(make_run, kind):
    text = read(make_run(**KINDS[kind]))
    page = Page(text)
    assert page.open == []
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert page.values("src") == []
    assert page.values("href") == ["#main"]
    assert not re.search(r"https?:|url\(|@import|javascript:", text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_words_and_every_table_headers(make_run, kind):
    text = read(make_run(**KINDS[kind]))
    page = Page(text)
    ids = Counter(page.values("id"))
    assert ids.most_common(1)[0][1] == 1
    for label in page.values("aria-labelledby"):
        assert set(label.split()) <= ids.keys()
    for tag, attrs in page.tags:
        if tag == "svg":
            assert "aria-labelledby" in attrs or attrs.get("aria-hidden") == "true"
        if tag == "th":
            assert attrs.get("scope") in {"row", "col"}
    assert text.count("<h1>") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_are_well_formed(make_run, kind):
    drawings = re.findall(r"<svg.*?</svg>", read(make_run(**KINDS[kind])), re.DOTALL)
    assert drawings
    for drawing in drawings:
        for element in ElementTree.fromstring(drawing).iter():
            assert "nan" not in element.attrib.get("d", "")
            assert "inf" not in element.attrib.get("d", "")


def test_the_same_run_gives_the_same_bytes(make_run):
    run = make_run()
    assert report.build(run).read_bytes() == report.build(run).read_bytes()


HOSTILE = "<script>alert(1)</script>"


def test_untrusted_names_are_escaped_everywhere(make_run):
    def change(metrics):
        for key in ("study", "title", "fingerprint", "device", "engine", "algorithm", "started"):
            metrics[key] = HOSTILE
        metrics["versions"] = {HOSTILE: HOSTILE}
        metrics["privacy"] |= dict.fromkeys(("unit", "sampling_rate", "randomness"), HOSTILE)
        site = next(iter(metrics["sites"].values()))
        site["quarantine_reasons"] = {HOSTILE: 3}

    names = [f'{HOSTILE}"{i}' for i in range(3)]
    run = make_run(sites=names, classes=[HOSTILE, f"'{HOSTILE}"], change=change)
    (run / "study.toml").write_text(f"# </code></pre>{HOSTILE}\n")
    lines = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    lines[0]["failures"] = {HOSTILE: HOSTILE}
    (run / "rounds.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    text = read(run)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert Page(text).open == []


def test_names_that_utf_8_cannot_hold_do_no_harm(make_run):
    assert "hospital" in read(make_run(sites=["hospital-\ud800", "\u202espital"]))


def test_regression_has_horizons_and_no_roc(make_run):
    text = read(make_run(task="forecasting"))
    assert "Error by horizon" in text
    assert "RMSE 24.36 mg/dL" in text
    assert "ROC" not in text
    assert "Confusion" not in text


def test_two_classes_show_one_curve_and_five_show_all(make_run):
    assert read(make_run()).count("(AUC 0.") == 2  # summary and legend
    text = read(make_run(classes=["a", "b", "c", "d", "e"]))
    assert text.count("(AUC 0.") == 10
    assert "macro AUC 0.89" in text


def test_above_twelve_sites_lines_become_a_band(make_run):
    few, many = read(make_run(sites=12)), read(make_run(sites=13))
    assert 'class="band' not in few
    assert "median of 13 hospitals" in many
    assert "Median" not in few
    assert "Median" in many


def test_a_thousand_sites_stay_a_small_page(make_run):
    report_path = report.build(make_run(sites=1000, rounds=3))
    assert report_path.stat().st_size < 500_000
    assert report_path.read_text().count("<bdi>hospital-") == 1000


def test_missing_values_become_dashes(make_run):
    def change(metrics):
        metrics["final"] = {"auc": None, "loss": float("nan"), "accuracy": "inf"}
        metrics["sites"] = {"a": {}, "b": {"epsilon": "inf", "sigma": None}}
        for key in ("curves", "privacy", "versions", "seconds", "seed", "started"):
            del metrics[key]

    text = read(make_run(change=change))
    assert "<td>∞</td>" in text
    assert "<td>–</td>" in text
    assert not re.search(r"\b(nan|None|null|Infinity)\b", text)


def test_only_the_required_keys_are_required(make_run):
    run = make_run(compare=False)
    (run / "metrics.json").write_text('{"study": "s", "sites": {}}')
    (run / "rounds.jsonl").write_text("")
    assert "No hospitals trained s" in read(run)


def test_numbers_of_a_resumed_run_are_counted_once(make_run):
    run = make_run(rounds=3, compare=False)
    lines = (run / "rounds.jsonl").read_text()
    before = read(run)
    (run / "rounds.jsonl").write_text(lines + lines.splitlines()[-1] + "\n")
    assert read(run) == before


@pytest.mark.parametrize("name", ["metrics.json", "rounds.jsonl", "study.toml"])
def test_a_missing_file_is_named(make_run, name):
    run = make_run()
    (run / name).unlink()
    with pytest.raises(RunError, match=re.escape(name)) as caught:
        report.build(run)
    assert caught.value.fix


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        report.build(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.json", "{", "no valid JSON at line 1"),
        ("metrics.json", "[]", "metrics.json"),
        ("metrics.json", '{"study": "s", "sites": {"a": {"patients": "x"}}}', "sites.a.patients"),
        ("metrics.json", '{"study": "s", "sites": {}, "curves": 3}', "curves"),
        ("metrics.json", "[" * 100_000, "nested too deeply"),
        ("rounds.jsonl", '{"round": 1}\n{"round"', "rounds.jsonl, line 2"),
        ("rounds.jsonl", '{"round": null}', "round"),
    ],
)
def test_a_malformed_file_is_named_with_its_place(make_run, name, text, message):
    run = make_run()
    (run / name).write_text(text)
    with pytest.raises(RunError, match=re.escape(message)):
        report.build(run)


def test_a_file_that_is_no_text_is_named(make_run):
    run = make_run()
    (run / "study.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="not UTF-8"):
        report.build(run)


def test_a_failed_write_keeps_the_old_report(make_run, monkeypatch):
    run = make_run()
    (run / "report.html").write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("server.report.page.os.fsync", full)
    with pytest.raises(MachineError, match="No space left"):
        report.build(run)
    assert (run / "report.html").read_text() == "old"
    assert sorted(p.name for p in run.glob("*.html")) == ["report.html"]
