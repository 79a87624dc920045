"""The documents about deploying: every command in them exists, and every file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

DOCUMENTS = (
    "deploy/README.md",
    "docs/deploy.md",
    "docs/backup.md",
    "docs/upgrade.md",
    "docs/monitoring.md",
)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_exists(
    root: Path, name: str, check_command: Callable[[Sequence[str]], str]
) -> None:
    text = (root / name).read_text().replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S))
    lines = re.findall(r"consilium ((?:site|server|audit|doctor-env)\b[^\n|;&#]*)", blocks)
    inline = re.findall(r"`consilium ((?:site|server|audit|doctor-env)[^`]*)`", text)
    found = [problem for each in lines + inline if (problem := check_command(_split(each)))]
    assert found == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_and_page_exists(root: Path, name: str) -> None:
    text = (root / name).read_text()
    named = re.findall(r"\b((?:deploy|scripts)/[\w./-]*\w)", text)
    missing = [each for each in named if not (root / each).exists()]
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing += [each for each in links if not ((root / name).parent / each).exists()]
    assert missing == []


def _split(line: str) -> list[str]:
    return [token for token in shlex.split(line.replace("…", "X")) if token not in ("[", "]")]
