"""The Dockerfiles: pinned, from a wheelhouse alone, and run by nobody who may do more."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

FILES = ("coordinator", "site", "site-cuda")


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, deploy: Path) -> Path:
    """Each Dockerfile."""
    return deploy / "docker" / f"{request.param}.Dockerfile"


@pytest.fixture
def steps(file: Path) -> list[tuple[str, str]]:
    """Its instructions, lines joined and comments dropped."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line]  # type: ignore[misc]


def of(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [said for kind, said in steps if kind == name]


def test_the_base_is_pinned_with_a_place_for_a_digest(steps: list[tuple[str, str]]) -> None:
    python, digest = of(steps, "ARG")
    assert re.fullmatch(r"PYTHON=3\.11\.\d+-slim-bookworm", python)
    assert digest == "DIGEST="
    assert {base.split(" AS ")[0] for base in of(steps, "FROM")} == {"python:${PYTHON}${DIGEST}"}
    assert "latest" not in str(steps)


def test_nothing_comes_from_the_network_but_debians_packages(
    steps: list[tuple[str, str]],
) -> None:
    assert of(steps, "ADD") == []
    text = " ".join(of(steps, "RUN"))
    assert not re.search(r"https?://|curl|wget|git clone|pip install|\bsudo\b", text)
    installed = re.findall(r"apt-get install (?:-\S+ )*([^&]+)", text)
    assert all(re.fullmatch(r"\S+=\S+", each) for line in installed for each in line.split())


def test_no_source_and_no_secret_gets_into_a_layer(steps: list[tuple[str, str]]) -> None:
    assert of(steps, "COPY") == [". /wheelhouse", "--from=wheels /opt/consilium /opt/consilium"]
    assert of(steps, "FROM")[-1].count(" AS ") == 0, "the wheels stay behind in the first stage"
    assert not re.search("SECRET|PASSWORD|TOKEN|KEY", " ".join(of(steps, "ENV") + of(steps, "ARG")))


def test_it_runs_as_nobody(steps: list[tuple[str, str]]) -> None:
    assert of(steps, "USER") == ["10001:10001"]
    kinds = [kind for kind, _ in steps]
    assert "RUN" not in kinds[kinds.index("USER") :]


def test_it_starts_and_probes_with_commands_that_exist(
    steps: list[tuple[str, str]], check_command: Callable[[Sequence[str]], str]
) -> None:
    assert of(steps, "ENTRYPOINT") == ['["consilium"]']
    assert check_command(json.loads(of(steps, "CMD")[0])) == ""
    (health,) = of(steps, "HEALTHCHECK")
    program, *arguments = json.loads(health[health.index("[") :])
    if program == "consilium":
        assert check_command(arguments) == ""
    else:
        compile(arguments[1], "healthcheck", "exec")


def test_the_comment_names_files_that_exist(file: Path, root: Path) -> None:
    named = re.findall(r"(deploy/[\w./-]+)", file.read_text())
    assert f"deploy/docker/{file.name}" in named
    assert [name for name in named if not (root / name).exists()] == []


def test_images_and_compose_agree(deploy: Path, load: Callable[[Path], Any], root: Path) -> None:
    version = re.search(r'^version = "(.+)"', (root / "pyproject.toml").read_text(), re.M)
    assert version
    for file in (deploy / "docker").glob("*.Dockerfile"):
        tag = re.search(r"--tag (\S+)", file.read_text())
        assert tag
        assert f":{version[1]}" in tag[1]
    assert f"CONSILIUM_VERSION={version[1]}" in (deploy / "compose" / "example.env").read_text()
    for name in ("site", "coordinator"):
        assert load(deploy / "helm" / name / "Chart.yaml")["appVersion"] == version[1]
        assert load(deploy / "helm" / name / "values.yaml")["image"]["tag"] == version[1]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing(file: Path, run: Callable[..., Any]) -> None:
    ended = run("hadolint", file)
    assert ended.returncode == 0, ended.stdout
