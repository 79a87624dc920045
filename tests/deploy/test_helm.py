"""The Helm charts. Where Helm itself is at hand (the program, or its library for Python) they are linted and rendered.

Elsewhere only values, schema and the names in the templates are checked: nothing here pretends to be Helm.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

jsonschema = pytest.importorskip("jsonschema")

GIVEN: dict[str, dict[str, Any]] = {
    "site": {
        "keysSecret": "keys",
        "siteToml": '[site]\nname = "north"\n',
        "connection": {
            "cidrs": ["192.0.2.7/32"],
            "port": 443,
            "certificatesKey": "coordinator-ca.crt",
        },
        "data": {"existingClaim": "ct"},
        "agent": {"gpus": 1, "runtimeClass": "nvidia"},
        "metrics": {"port": 9465},
    },
    "coordinator": {
        "address": "coordinator.example.org:443",
        "hospitals": {"cidrs": ["198.51.100.0/24"]},
    },
}
WRONG: list[tuple[str, str, Any]] = [
    ("site", "connection.cidrs", []),
    ("site", "connection.cidrs", ["0.0.0.0/0"]),
    ("site", "connection.cidr", ["192.0.2.7/32"]),
    ("site", "keysSecret", ""),
    ("site", "image.tag", "latest"),
    ("site", "image.digest", "sha256:abc"),
    ("site", "replicas", 2),
    ("coordinator", "address", "no port"),
    ("coordinator", "hospitals.cidrs", []),
    ("coordinator", "service.type", "ExternalName"),
]

helm = pytest.mark.skipif(
    shutil.which("helm") is None and find_spec("helm_python") is None,
    reason="neither helm nor its library for Python (helm-python-sdk) is installed",
)


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def values(deploy: Path, name: str) -> dict[str, Any]:
    defaults = yaml.safe_load((deploy / "helm" / name / "values.yaml").read_text())
    return merged(defaults, GIVEN[name])


def schema(deploy: Path, name: str) -> Any:
    return json.loads((deploy / "helm" / name / "values.schema.json").read_text())


@pytest.mark.parametrize("name", GIVEN)
def test_the_values_fit_the_schema(deploy: Path, name: str) -> None:
    jsonschema.Draft7Validator.check_schema(schema(deploy, name))
    jsonschema.validate(values(deploy, name), schema(deploy, name))


@pytest.mark.parametrize(("name", "key", "value"), WRONG)
def test_values_that_are_wrong_are_refused(deploy: Path, name: str, key: str, value: Any) -> None:
    change: Any = value
    for part in reversed(key.split(".")):
        change = {part: change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(values(deploy, name), change), schema(deploy, name))


@pytest.mark.parametrize("name", GIVEN)
def test_what_must_be_given_has_no_default(deploy: Path, name: str) -> None:
    defaults = yaml.safe_load((deploy / "helm" / name / "values.yaml").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(defaults, schema(deploy, name))


@pytest.mark.parametrize("name", GIVEN)
def test_templates_name_values_that_exist(deploy: Path, name: str) -> None:
    known = values(deploy, name)
    for file in (deploy / "helm" / name / "templates").iterdir():
        for path in re.findall(r"\.Values\.([A-Za-z.]+)", file.read_text()):
            found: Any = known
            for part in path.split("."):
                assert part in found, f"{file.name}: .Values.{path}"
                found = found[part]


@pytest.mark.parametrize("name", GIVEN)
def test_commands_in_the_templates_exist(
    deploy: Path, name: str, check_command: Callable[[Sequence[str]], str]
) -> None:
    text = "".join(
        file.read_text() for file in (deploy / "helm" / name / "templates").glob("*.yaml")
    )
    started = re.findall(r"(?:args|command): (\[.+?\])$", text, re.M)
    assert started
    for line in started:
        tokens = json.loads(line)
        if tokens[0] == "python":
            assert find_spec(tokens[2]), tokens
        else:
            assert check_command(tokens[tokens[0] == "consilium" :]) == ""


# From here on with Helm.


def rendered(deploy: Path, name: str) -> list[Any]:
    chart, given = deploy / "helm" / name, values(deploy, name)
    if shutil.which("helm"):
        command = ["helm", "template", "north", str(chart), "--values", "-"]
        text = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60
        ).stdout
        return [each for each in yaml.safe_load_all(text) if each]
    import helm_python

    files = helm_python.Chart.load(str(chart)).render(given, name="north")
    return [each for text in files.values() for each in yaml.safe_load_all(text) if each]


def by_kind(deploy: Path, name: str, kind: str) -> dict[str, Any]:
    return {
        each["metadata"]["name"]: each for each in rendered(deploy, name) if each["kind"] == kind
    }


@helm
@pytest.mark.parametrize("name", GIVEN)
def test_every_pod_is_locked_down(deploy: Path, name: str) -> None:
    pods = by_kind(deploy, name, "Deployment") | by_kind(deploy, name, "StatefulSet")
    assert len(pods) == (2 if name == "site" else 1)
    for each in pods.values():
        assert each["spec"]["replicas"] == 1
        pod = each["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["initContainers"], *pod["containers"]]:
            said = container["securityContext"]
            assert said["readOnlyRootFilesystem"] is True
            assert said["allowPrivilegeEscalation"] is False
            assert said["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
        for container in pod["containers"]:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


@helm
def test_the_agent_reaches_its_supernode_alone(deploy: Path) -> None:
    policies = by_kind(deploy, "site", "NetworkPolicy")
    agent = policies["north-consilium-site-agent"]["spec"]
    supernode, dns = agent["egress"]
    labels = supernode["to"][0]["podSelector"]["matchLabels"]
    assert labels["app.kubernetes.io/component"] == "supernode"
    assert labels["app.kubernetes.io/instance"] == "north"
    assert supernode["ports"] == [{"protocol": "TCP", "port": 9095}]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert "ipBlock" not in json.dumps(agent)
    outward = policies["north-consilium-site-supernode"]["spec"]
    assert outward["egress"][0]["to"] == [{"ipBlock": {"cidr": "192.0.2.7/32"}}]
    for policy in (agent, outward):
        assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert by_kind(deploy, "coordinator", "NetworkPolicy").popitem()[1]["spec"]["egress"] == []


@helm
def test_the_supernode_gets_no_data_and_no_signing_key(deploy: Path) -> None:
    (pod,) = by_kind(deploy, "site", "Deployment").values()
    text = json.dumps(pod)
    assert "persistentVolumeClaim" not in text
    assert "signing" not in text
    (keys,) = [
        each for each in pod["spec"]["template"]["spec"]["volumes"] if each["name"] == "keys"
    ]
    assert "secret" not in [item["key"] for item in keys["secret"]["items"]]


@helm
@pytest.mark.parametrize("name", GIVEN)
def test_what_must_not_be_lost_outlives_the_release(deploy: Path, name: str) -> None:
    (each,) = by_kind(deploy, name, "StatefulSet").values()
    kept = each["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert each["spec"]["volumeClaimTemplates"]


@helm
def test_no_service_lets_the_internet_into_a_site(deploy: Path) -> None:
    assert {each["spec"]["type"] for each in by_kind(deploy, "site", "Service").values()} == {
        "ClusterIP"
    }
