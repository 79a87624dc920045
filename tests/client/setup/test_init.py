"""`consilium site init`: what it makes, what it asks, and that it never touches a site that is there."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.data.config import FusedDataset, TableDataset
from client.data.records.config import RecordDataset
from client.guard.pseudonyms import pseudonyms_of
from client.setup.answers import Answers
from client.setup.cli import init
from client.setup.complete import complete
from client.setup.create import create_site
from client.setup.questions import KINDS as KINDS_ASKED
from client.setup.renew_cli import renew
from client.setup.tls import SiteTls
from client.site import load_site
from client.site_folder import SiteFolder
from common.certificates import Pair, describe, load_certificate, make_authority, signed_by
from common.errors import RunError, StudyError
from common.keys import fingerprint, load_signing_key, read_node_key
from common.plugins import registry


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """Flags that leave nothing to ask."""
    (tmp_path / "patients.csv").write_text("age,label\n1,0\n")
    make_authority(Pair(tmp_path / "ca.crt", tmp_path / "ca.key"), "coordinator")
    return [
        *("--name", "north", "--server", "fl.example.org:443"),
        *("--certificates", str(tmp_path / "ca.crt")),
        *("--data-kind", "table", "--data-path", str(tmp_path / "patients.csv")),
        *("--declared-patients", "100", "--max-epsilon", "2"),
    ]


def run(command: object, *arguments: str, typed: str = "") -> str:
    """Run a command of the command line; its error is raised, its text returned."""
    import typer

    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    ran = CliRunner().invoke(app, list(arguments), input=typed)
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_a_site_is_made_from_flags(tmp_path: Path, flags: list[str]) -> None:
    text = run(init, str(tmp_path / "site"), *flags, "--yes")
    site, folder = load_site(tmp_path / "site"), SiteFolder(tmp_path / "site")
    assert (site.name, site.policy.max_epsilon) == ("north", 2.0)
    connection = site.connections["coordinator"]
    assert connection.server == "fl.example.org:443"
    assert connection.certificates is not None
    assert describe(connection.certificates).subject == "coordinator"
    assert site.datasets["default"].path == tmp_path / "patients.csv"
    public = read_node_key(folder.node_key_public.read_text(), where="test")
    assert public in text
    assert fingerprint(public) in text
    assert describe(tmp_path / "ca.crt").fingerprint in text
    load_signing_key(folder.signing_key)


def test_nobody_else_can_read_it(tmp_path: Path, flags: list[str]) -> None:
    run(init, str(tmp_path / "site"), *flags, "--yes")
    private = tmp_path / "site" / ".consilium"
    public = {"node.pub", "ca.crt", "runtime.crt", "control-server.crt", "control-client.crt"}
    for path in [private, *private.rglob("*")]:
        mode = path.stat().st_mode & 0o777
        wanted = 0o700 if path.is_dir() else 0o644 if path.name in public else 0o600
        assert mode == wanted, path
    assert (tmp_path / "site").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "site" / "site.toml").stat().st_mode & 0o777 == 0o600


def test_two_sites_share_no_secret(tmp_path: Path, flags: list[str]) -> None:
    for name in "ab":
        run(init, str(tmp_path / name), *flags, "--yes")
    a, b = SiteFolder(tmp_path / "a"), SiteFolder(tmp_path / "b")
    for one, other in (
        (a.secret, b.secret),
        (a.superexec_secret, b.superexec_secret),
        (a.node_key, b.node_key),
        (a.signing_key, b.signing_key),
    ):
        assert one.read_bytes() != other.read_bytes()
    assert len(a.secret.read_bytes()) == 32


def test_it_asks_for_what_is_missing(tmp_path: Path, flags: list[str]) -> None:
    data = str(tmp_path / "patients.csv")
    typed = "\n".join(["south", "", "table", data, "case", "250", "", ""])
    run(init, str(tmp_path / "site"), typed=typed)
    site = load_site(tmp_path / "site")
    assert (site.name, dict(site.connections)) == ("south", {})
    dataset = site.datasets["default"]
    assert isinstance(dataset, TableDataset)
    assert (dataset.declared_patients, dataset.patient) == (250, "case")
    assert site.policy.max_epsilon == 1.0


KINDS = {
    "dicom": (["DATA", "LABELS"], {"labels": "LABELS"}),
    "arrays": (["DATA"], {}),
    "table": (["DATA", ""], {"patient": None}),
    "series": (
        ["DATA", "<file>", "", "seconds", "glucose"],
        {"patient": "<file>", "time": "time", "time_unit": "seconds", "value": "glucose"},
    ),
    "records": (
        ["DATA", "LABELS", "stay", "pid", "at", ""],
        {"outcomes": "LABELS", "record": "stay", "patient": "pid", "time": "at", "time_unit": None},
    ),
    "signals": (["DATA", "LABELS", ""], {"labels": "LABELS", "patient": "<labels>"}),
    "molecules": (["DATA", ""], {"patient": None}),
    "episodes": (
        ["DATA", "pid", "", "hours"],
        {"patient": "pid", "episode": None, "order": "hours"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_asked_what_it_needs(tmp_path: Path, kind: str) -> None:
    paths = {"DATA": tmp_path / "data.csv", "LABELS": tmp_path / "labels.csv"}
    for path in paths.values():
        path.write_text("x\n1\n")
    answers, expected = KINDS[kind]
    typed = ["north", "", kind, *(str(paths.get(each, each)) for each in answers), "120", "", ""]
    text = run(init, str(tmp_path / "site"), typed="\n".join(typed))
    dataset = load_site(tmp_path / "site").datasets["default"]
    assert (dataset.kind, dataset.path, dataset.declared_patients) == (kind, paths["DATA"], 120)
    assert {key: getattr(dataset, key) for key in expected} == {
        key: paths.get(value, value) for key, value in expected.items()
    }
    assert text.count("Patients, rounded") == 1


def test_every_kind_of_data_can_be_made() -> None:
    assert {*KINDS, "fused"} == set(KINDS_ASKED) == set(registry("sources"))


def test_parts_are_asked_one_by_one(tmp_path: Path) -> None:
    for name in ("r.csv", "l.csv", "f.npz"):
        (tmp_path / name).write_text("x\n1\n")
    folder = str(tmp_path)
    record = ["table", f"{folder}/r.csv", ""]
    ecg = ["fused", "signals", folder, f"{folder}/l.csv", "<file>"]
    typed = ["north", "", "fused", "Record", "record, ecg", *record, *ecg, "120", "", ""]
    text = run(init, str(tmp_path / "site"), typed="\n".join(typed))
    dataset = load_site(tmp_path / "site").datasets["default"]
    assert isinstance(dataset, FusedDataset)
    assert (dataset.declared_patients, list(dataset.parts)) == (120, ["record", "ecg"])
    rows, signals = dataset.parts["record"], dataset.parts["ecg"]
    assert (rows.kind, rows.path, rows.patient) == ("table", tmp_path / "r.csv", "patient_id")
    assert (signals.kind, signals.labels, signals.patient) == (
        "signals",
        tmp_path / "l.csv",
        "<file>",
    )
    assert "ecg: Kind of data" in text
    assert text.count("ecg: Kind of data") == 2, "fused is no kind of a part"
    assert "'Record' cannot be the name of a part" in text


def test_molecules_as_a_part_say_whose_they_are(tmp_path: Path, flags: list[str]) -> None:
    data = tmp_path / "patients.csv"
    parts = ["--part", f"drug=molecules:{data}", "--part", f"record=table:{data}"]
    run(init, str(tmp_path / "site"), *fused_flags(flags), *parts, "--yes")
    dataset = load_site(tmp_path / "site").datasets["default"]
    assert isinstance(dataset, FusedDataset)
    drug = dataset.parts["drug"]
    assert (drug.kind, drug.path, drug.patient) == ("molecules", data, "patient_id")


def fused_flags(flags: list[str]) -> list[str]:
    place = flags.index("--data-kind")
    return [*flags[:place], "--data-kind", "fused", *flags[place + 4 :]]


def test_parts_from_flags(tmp_path: Path, flags: list[str]) -> None:
    data = tmp_path / "patients.csv"
    given = (f"record=table:{data}", "record.patient=id", f"film.path={data}", "film.kind=arrays")
    parts = [flag for each in given for flag in ("--part", each)]
    run(init, str(tmp_path / "site"), *fused_flags(flags), *parts, "--yes")
    dataset = load_site(tmp_path / "site").datasets["default"]
    assert isinstance(dataset, FusedDataset)
    assert {name: part.kind for name, part in dataset.parts.items()} == {
        "record": "table",
        "film": "arrays",
    }
    assert dataset.parts["record"].patient == "id"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "'--part' is missing"),
        (["record"], "says nothing"),
        (["record=here.csv"], "has no kind"),
        (["record.kind=fused"], "no kind of data 'fused'"),
        (["record.kind=table"], "'--part record.path' is missing"),
        (["record=table:nowhere.csv"], "no file or folder"),
        (["record.pateint=id"], "Did you mean 'patient'"),
        (["Record.kind=table"], "lower-case"),
    ],
)
def test_parts_that_make_no_sense_are_refused(
    tmp_path: Path, flags: list[str], given: list[str], said: str
) -> None:
    parts = [flag for each in given for flag in ("--part", each)]
    with pytest.raises(StudyError) as error:
        run(init, str(tmp_path / "site"), *fused_flags(flags), *parts, "--yes")
    assert said in str(error.value)
    assert not (tmp_path / "site").exists()


def test_records_from_flags(tmp_path: Path, flags: list[str]) -> None:
    flags[flags.index("--data-kind") + 1] = "records"
    more = ["--outcomes", str(tmp_path / "patients.csv"), "--record", "stay"]
    more += ["--patient", "pid", "--time-unit", "hours"]
    run(init, str(tmp_path / "site"), *flags, *more, "--yes")
    dataset = load_site(tmp_path / "site").datasets["default"]
    assert isinstance(dataset, RecordDataset)
    assert (dataset.record, dataset.time, dataset.time_unit) == ("stay", "time", "hours")
    with pytest.raises(StudyError, match="no unit of time 'hour'"):
        run(init, str(tmp_path / "other"), *flags, *more[:-1], "hour", "--yes")
    with pytest.raises(StudyError, match="--outcomes"):
        run(init, str(tmp_path / "other"), *flags, *more[2:], "--yes")


def test_it_asks_again_for_what_cannot_be_used(tmp_path: Path, flags: list[str]) -> None:
    data = str(tmp_path / "patients.csv")
    typed = "\n".join(["south", "", "tabel", "table", data + "x", data, "", "250", "", ""])
    text = run(init, str(tmp_path / "site"), typed=typed)
    assert text.count("Kind of data") == text.count("File or folder with the data") == 2
    assert load_site(tmp_path / "site").datasets["default"].path == Path(data)


def test_with_yes_it_names_the_missing_flag(tmp_path: Path, flags: list[str]) -> None:
    with pytest.raises(StudyError, match="--declared-patients"):
        run(init, str(tmp_path / "site"), *flags[:-4], "--yes")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("left", ["site.toml", ".consilium"])
def test_a_site_that_is_there_stays_as_it_is(tmp_path: Path, flags: list[str], left: str) -> None:
    run(init, str(tmp_path / "site"), *flags, "--yes")
    kept = SiteFolder(tmp_path / "site").node_key.read_bytes()
    if left == ".consilium":
        (tmp_path / "site" / "site.toml").unlink()
    with pytest.raises(RunError, match="already"):
        run(init, str(tmp_path / "site"), *flags, "--yes")
    assert SiteFolder(tmp_path / "site").node_key.read_bytes() == kept


BY_HAND = """# ours
[site]
name = "by-hand"
[data]
kind = "table"
path = "patients.csv"
declared_patients = 100
[connection]
server = "fl.example.org:443"
runtime = "dmz.example.org:9095"
"""


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """A folder with nothing but a site.toml."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "site.toml").write_text(BY_HAND)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_site_toml_written_by_hand_gets_what_it_lacks(tmp_path: Path, by_hand: Path) -> None:
    text = run(init, str(by_hand), "--name", "other", "--dmz", str(tmp_path / "dmz"))
    assert (by_hand / "site.toml").read_text() == BY_HAND
    assert "it stays as it is" in text
    assert "Not used, because site.toml says it: --name." in text
    folder = SiteFolder(by_hand)
    public = read_node_key(folder.node_key_public.read_text(), where="test")
    assert public in text
    assert SiteTls(folder).hosts(SiteTls(folder).runtime)[0] == "dmz.example.org"
    assert "by-hand" in folder.node_key_public.read_text()
    assert (tmp_path / "dmz/site.toml").exists()
    before = contents(by_hand)
    with pytest.raises(RunError, match="nothing was changed"):
        run(init, str(by_hand))
    assert contents(by_hand) == before


@pytest.mark.parametrize(
    ("gone", "called"),
    [
        (["secret"], "the secret of pseudonyms and split"),
        (["signing"], "the key that signs approvals"),
        (["superexec.secret"], "the secret of the two halves"),
        (["node", "node.pub"], "the node key"),
        (["tls"], "the site's certificates"),
    ],
)
def test_only_what_is_missing_is_made(by_hand: Path, gone: list[str], called: str) -> None:
    run(init, str(by_hand))
    private = by_hand / ".consilium"
    for name in gone:
        shutil.rmtree(private / name) if (private / name).is_dir() else (private / name).unlink()
    private.chmod(0o755)
    before = contents(by_hand)
    text = run(init, str(by_hand))
    assert f"Made, because it was missing: {called}." in text
    after = contents(by_hand)
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[1] for name in after.keys() - before.keys()} == set(gone)
    assert (private.stat().st_mode & 0o777) == 0o700


def test_a_secret_that_pseudonyms_made_is_kept(by_hand: Path) -> None:
    pseudonyms = pseudonyms_of(SiteFolder(by_hand).secret)
    run(init, str(by_hand))
    assert pseudonyms_of(SiteFolder(by_hand).secret).patient("a") == pseudonyms.patient("a")


def test_what_was_lost_is_not_made_anew(by_hand: Path) -> None:
    run(init, str(by_hand))
    folder = SiteFolder(by_hand)
    folder.node_key_public.unlink()
    before = contents(by_hand)
    with pytest.raises(RunError, match=r"node\.pub is missing"):
        run(init, str(by_hand))
    folder.node_key_public.write_text("x")
    folder.signing_key.unlink()
    folder.ledger.write_text("spent")
    with pytest.raises(RunError, match=r"(?s)lost the key that signs approvals.*site restore"):
        run(init, str(by_hand))
    folder.ledger.unlink()
    folder.node_key_public.unlink()
    assert contents(by_hand) == {k: v for k, v in before.items() if k != ".consilium/signing"}


def test_a_site_toml_that_makes_no_site_gets_no_keys(by_hand: Path) -> None:
    (by_hand / "site.toml").write_text(BY_HAND.replace("declared_patients", "declared"))
    with pytest.raises(StudyError, match="declared"):
        run(init, str(by_hand))
    assert not (by_hand / ".consilium").exists()


def test_answers_that_make_no_site_leave_nothing(tmp_path: Path, flags: list[str]) -> None:
    with pytest.raises(StudyError, match="letters, digits"):
        run(init, str(tmp_path / "site"), *flags, "--yes", "--name", "St. Mary's")
    assert list((tmp_path / "site").iterdir()) == []
    with pytest.raises(StudyError, match="no file or folder"):
        run(init, str(tmp_path / "other"), *flags, "--yes", "--data-path", "nowhere.csv")
    with pytest.raises(StudyError, match="no kind of data"):
        complete(Answers("x", "", None, "dicm", tmp_path, "d", None, 9, 1.0), ask=False)


def test_awkward_paths_survive(tmp_path: Path) -> None:
    data = tmp_path / 'a "quoted" \\ path é'
    data.mkdir()
    answers = Answers("n", "", None, "dicom", data, "CT.chest", data, 100, 1.0)
    site = create_site(SiteFolder(tmp_path / "site"), answers)
    assert site.datasets["CT.chest"].path == data


def test_a_dmz_half_knows_no_patient(tmp_path: Path, flags: list[str]) -> None:
    dmz = tmp_path / "dmz"
    runtime = ("--runtime", "dmz.example.org:9095", "--dmz", str(dmz))
    run(init, str(tmp_path / "site"), *flags, "--yes", *runtime)
    names = {path.name for path in dmz.rglob("*") if path.is_file()}
    assert names == {
        *("site.toml", "coordinator-ca.crt", "node", "node.pub", "superexec.secret"),
        *("runtime.crt", "runtime.key", "ca.crt"),
    }
    tls = SiteTls(SiteFolder(dmz))
    assert describe(tls.runtime.certificate).matches("dmz.example.org")
    connection = load_site(dmz).connections["coordinator"]
    assert connection.runtime_certificates == tls.authority.certificate
    context = ssl.create_default_context(cafile=str(connection.runtime_certificates))
    assert context.cert_store_stats()["x509_ca"] == 1


def test_renewal_keeps_hosts_and_keys(tmp_path: Path, flags: list[str]) -> None:
    run(init, str(tmp_path / "site"), *flags, "--yes", "--runtime", "dmz.example.org:9095")
    tls = SiteTls(SiteFolder(tmp_path / "site"))
    before = describe(tls.runtime.certificate), tls.runtime.key.read_bytes()
    run(renew, str(tmp_path / "site"))
    after = describe(tls.runtime.certificate)
    assert after.names == before[0].names
    assert after.fingerprint != before[0].fingerprint
    assert tls.runtime.key.read_bytes() == before[1]
    authority = load_certificate(tls.authority.certificate)
    assert signed_by(load_certificate(tls.runtime.certificate), authority)
    run(renew, str(tmp_path / "site"), "--runtime-host", "new.example.org")
    assert describe(tls.runtime.certificate).names == ("new.example.org",)
