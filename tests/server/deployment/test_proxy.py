"""nginx accepts its configuration, and the configuration hands on what Flower needs and nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata

from common.errors import MachineError
from server.deployment import proxy
from server.deployment.folder import CoordinatorFolder


def test_nginx_accepts_it(made: CoordinatorFolder) -> None:
    proxy.write_config(made)
    proxy.check(made)


def test_what_nginx_refuses_is_said(made: CoordinatorFolder, tmp_path: Path) -> None:
    copied = CoordinatorFolder(Path(shutil.copytree(made.path, tmp_path / "copied")))
    copied.certificate.write_text("no certificate")
    proxy.write_config(copied)
    with pytest.raises(MachineError, match="nginx does not accept its configuration"):
        proxy.check(copied)


def test_every_header_of_the_fleet_api_passes_and_no_other() -> None:
    version = dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata())
    signed = {FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER, TIMESTAMP_HEADER}
    assert set(proxy.HEADERS) == {*version, *signed, "content-type", "accept", "traceparent"}


def test_only_one_place_leads_to_the_superlink(made: CoordinatorFolder) -> None:
    text = proxy.render(made)
    assert text.count("proxy_pass ") == 1
    assert "proxy_pass_request_headers off;" in text
    assert "proxy_ssl_verify on;" in text
    assert re.findall(r"ssl_protocols (.*);", text) == ["TLSv1.2 TLSv1.3"]
    assert f"server 127.0.0.1:{made.settings().superlink.port};" in text


@pytest.mark.parametrize("name", ["a b", "a;b", "a{b", "$a", "a'b"])
def test_a_path_that_could_be_read_as_configuration_is_refused(
    folder: CoordinatorFolder, tmp_path: Path, name: str
) -> None:
    odd = tmp_path / name
    odd.mkdir()
    shutil.copy(folder.file, odd)
    with pytest.raises(MachineError, match="folder of this name"):
        proxy.render(CoordinatorFolder(odd))


def test_a_missing_nginx_is_said() -> None:
    with pytest.raises(MachineError, match="not installed"):
        proxy.nginx("/nowhere/nginx")


def test_nobody_answers_on_a_free_port() -> None:
    assert not proxy.answers("127.0.0.1:1", seconds=0.5)
