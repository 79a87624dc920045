"""Alerts and dashboard: every figure that they name is one that the services give."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from client.control.health import Health
from client.control.metrics import SiteCollector
from client.service.state import Doing, Link, ServiceState, Work

FOLDED = re.compile(r"\bconsilium_\w+")


def expressions(deploy: Path, load: Callable[[Path], Any]) -> list[str]:
    """What alerts and panels ask Prometheus."""
    groups = load(deploy / "monitoring" / "alerts.yml")["groups"]
    asked = [rule["expr"] for group in groups for rule in group["rules"]]
    board = json.loads((deploy / "monitoring" / "grafana-dashboard.json").read_text())
    targets = [each for panel in board["panels"] for each in panel.get("targets", [])]
    return asked + [each["expr"] for each in targets]


@pytest.fixture(scope="module")
def given() -> set[str]:
    """The names that a site's page has, and those in the coordinator's source."""
    state = ServiceState("north", {"main": Link("main", "server:443")})
    state.work("main", Work("main", "study", "f", 1, Doing.TRAINING))
    line = SimpleNamespace(population="", delta=1e-5, spent=0.5, limit=1.0)
    monitor: Any = SimpleNamespace(health=Health)
    budget: Any = lambda: [line]  # noqa: E731
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SiteCollector(state, monitor, budget))
    page = generate_latest(registry).decode()
    site = set(re.findall(r"^# TYPE (\S+)", page, re.M)) | set(
        re.findall(r"^(\w+)[ {]", page, re.M)
    )
    source = Path(__file__).parents[2] / "server" / "deployment" / "metrics.py"
    return site | set(re.findall(r'"(consilium_\w+)"', source.read_text()))


def test_every_figure_exists(deploy: Path, load: Callable[[Path], Any], given: set[str]) -> None:
    asked = {name for each in expressions(deploy, load) for name in FOLDED.findall(each)}
    assert asked
    assert asked - given == set()


def test_every_alert_says_what_to_do_with_commands_that_exist(
    deploy: Path, load: Callable[[Path], Any], check_command: Callable[[Sequence[str]], str]
) -> None:
    for group in load(deploy / "monitoring" / "alerts.yml")["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
            said = rule["annotations"]["description"]
            for command in re.findall(r"'consilium ([^']+)'", said):
                assert check_command(command.split()) == "", rule["alert"]


def test_the_dashboard_fits_together(deploy: Path) -> None:
    board = json.loads((deploy / "monitoring" / "grafana-dashboard.json").read_text())
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(set(places)) == len(places)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in board["panels"])


def test_the_pages_are_scraped_where_the_services_serve_them(
    deploy: Path, load: Callable[[Path], Any]
) -> None:
    jobs = load(deploy / "monitoring" / "prometheus.yml")["scrape_configs"]
    found = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert found == {
        "consilium-site": ["127.0.0.1:9465"],
        "consilium-coordinator": ["127.0.0.1:9464"],
    }
    assert "127.0.0.1:9464" in (deploy / "systemd" / "consilium-coordinator.service").read_text()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_accepts_it(deploy: Path, run: Callable[..., Any]) -> None:
    ended = run("promtool", "check", "config", deploy / "monitoring" / "prometheus.yml")
    assert ended.returncode == 0, ended.stderr
