"""The compose files: locked down, no port at a hospital, and nothing that does not exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

FILES = ("coordinator", "site", "site-split-dmz", "site-split-clinical")
SERVICE_KEYS = {
    "image",
    "pull_policy",
    "command",
    "user",
    "read_only",
    "tmpfs",
    "cap_drop",
    "security_opt",
    "pids_limit",
    "init",
    "restart",
    "stop_grace_period",
    "logging",
    "shm_size",
    "volumes",
    "networks",
    "ports",
    "extra_hosts",
    "healthcheck",
}


@pytest.fixture(params=FILES)
def service(request: pytest.FixtureRequest, deploy: Path, load: Callable[[Path], Any]) -> Any:
    """The only service of each file."""
    content = load(deploy / "compose" / f"{request.param}.yaml")
    assert set(content) == {"services", "networks"}
    (found,) = content["services"].values()
    assert set(found["networks"]) <= set(content["networks"])
    return found


def published(content: Any) -> list[str]:
    return [port for each in content["services"].values() for port in each.get("ports", [])]


def test_every_service_is_locked_down(service: Any) -> None:
    assert set(service) <= SERVICE_KEYS, "a key that compose does not know is ignored or refused"
    assert service["user"] == "${CONSILIUM_UID:-10001}:${CONSILIUM_GID:-10001}"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {mount.split(":")[0] for mount in service["tmpfs"]} == {"/tmp", "/run"}
    assert re.fullmatch(r"[a-z-]+:\$\{CONSILIUM_VERSION:-[0-9.]+\}", service["image"])
    assert service["stop_grace_period"] == "2m", "a round stops and is settled before the kill"


def test_patients_data_are_mounted_for_reading_only(service: Any) -> None:
    for volume in service["volumes"]:
        assert volume["type"] == "bind"
        assert ":?" in volume["source"], "a folder that is not named is an error, never a new one"
        assert volume.get("read_only", False) is (volume["target"] == "/data")


@pytest.mark.parametrize("name", ["site", "site-split-clinical"])
def test_no_port_is_published_at_a_site(
    deploy: Path, load: Callable[[Path], Any], name: str
) -> None:
    assert published(load(deploy / "compose" / f"{name}.yaml")) == []


def test_the_dmz_publishes_its_runtime_api_on_one_address(
    deploy: Path, load: Callable[[Path], Any]
) -> None:
    (port,) = published(load(deploy / "compose" / "site-split-dmz.yaml"))
    assert re.fullmatch(r"\$\{CONSILIUM_DMZ_ADDRESS:\?[^}]+\}:9095:9095", port)


def test_the_dmz_sees_no_data(deploy: Path, load: Callable[[Path], Any]) -> None:
    (found,) = load(deploy / "compose" / "site-split-dmz.yaml")["services"].values()
    assert [volume["target"] for volume in found["volumes"]] == ["/site"]


def test_the_coordinator_publishes_the_proxy_alone(
    deploy: Path, load: Callable[[Path], Any]
) -> None:
    (port,) = published(load(deploy / "compose" / "coordinator.yaml"))
    assert port.endswith(":8443")


def test_commands_and_probes_exist(
    service: Any, check_command: Callable[[Sequence[str]], str]
) -> None:
    assert check_command(service["command"]) == ""
    kind, program, *arguments = service["healthcheck"]["test"]
    assert kind == "CMD"
    if program == "consilium":
        assert check_command(arguments) == ""
    elif arguments[0] == "-m":
        __import__(arguments[1])
    else:
        compile(arguments[1], "healthcheck", "exec")


def test_a_gpu_is_added_to_the_agents_service(deploy: Path, load: Callable[[Path], Any]) -> None:
    added = load(deploy / "compose" / "site-cuda.yaml")["services"]
    for name in ("site", "site-split-clinical"):
        assert set(added) == set(load(deploy / "compose" / f"{name}.yaml")["services"])


def test_the_example_names_every_variable_and_no_secret(deploy: Path) -> None:
    files = (deploy / "compose").glob("*.yaml")
    wanted = {name for file in files for name in re.findall(r"\$\{(\w+)", file.read_text())}
    lines = (deploy / "compose" / "example.env").read_text().splitlines()
    given = {line.split("=")[0] for line in lines if not line.startswith("#")}
    assert given == wanted
    assert not [name for name in given if re.search("SECRET|PASS|KEY|TOKEN", name)]
