"""Credentials come from a file that nobody else may read, and are not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.data.pacs.credentials import Credentials, read_credentials
from common.errors import StudyError


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_user_and_password(tmp_path: Path) -> None:
    found = read_credentials(written(tmp_path / "secret", "anna:pass:wörd\nanother line\n"))
    assert found == Credentials("anna", "pass:wörd")
    assert "wörd" not in repr(found)


def test_token(tmp_path: Path) -> None:
    found = read_credentials(written(tmp_path / "secret", "Bearer abc.def\n"))
    assert found == Credentials(token="abc.def")


def test_none() -> None:
    assert read_credentials(None) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read(tmp_path: Path, mode: int) -> None:
    with pytest.raises(StudyError, match="Other users") as found:
        read_credentials(written(tmp_path / "secret", "anna:word", mode))
    assert "chmod 600" in found.value.fix


@pytest.mark.parametrize("text", ["", "anna", ":word", "Bearer "])
def test_what_is_not_understood_is_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(StudyError, match="not understood") as found:
        read_credentials(written(tmp_path / "secret", text))
    assert "word" not in str(found.value).replace("password", "")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read"):
        read_credentials(tmp_path / "none")
