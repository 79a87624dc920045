"""server.toml is checked, and a folder without one is none of a coordinator."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import StudyError
from server.deployment.config import dump_server_file, parse_server_file, split_address
from server.deployment.folder import CoordinatorFolder, open_folder


def test_an_unknown_key_is_named_with_the_nearest(folder: CoordinatorFolder) -> None:
    folder.file.write_text('[server]\nname = "a"\naddress = "b:1"\nlistn = "c:1"\n')
    with pytest.raises(StudyError, match=r"server.listn.*Did you mean 'listen'"):
        folder.settings()


@pytest.mark.parametrize("address", ["host", "host:", "ho st:1", "https://host:1", "host:1/x"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(StudyError, match=r"server\.address"):
        parse_server_file({"server": {"name": "a", "address": address}}, where="test")


def test_a_folder_without_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="not the folder of a coordinator"):
        open_folder(tmp_path)


def test_the_file_itself_may_be_named(folder: CoordinatorFolder) -> None:
    assert open_folder(folder.file) == open_folder(folder.path)


def test_what_is_written_reads_back() -> None:
    content = {
        "server": {"name": "a", "address": "[::1]:8443", "metrics": "127.0.0.1:9"},
        "superlink": {"port": 9092},
    }
    settings = parse_server_file(content, where="test")
    assert "port = 9092" in dump_server_file(settings)
    assert "proxy" not in dump_server_file(settings)
    assert settings.server.bound == "0.0.0.0:8443"
    assert split_address(settings.server.address) == ("::1", 8443)
