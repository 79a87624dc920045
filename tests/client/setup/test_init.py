"""`consilium site init`: what it makes, what it asks, and that it never touches a site that is there."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.data.config import TableDataset
from client.data.records.config import RecordDataset
from client.setup import answers as answers_module
from client.setup.answers import Answers, complete
from client.setup.cli import init
from client.setup.create import create_site
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
    """Fused data and episodes have many parts and columns: their site.toml is written by hand."""
    by_hand = {"fused", "episodes"}
    assert set(KINDS) == set(answers_module.KINDS) == set(registry("sources")) - by_hand


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
