"""site.toml: what a hospital has, what it allows and what it computes with."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from client.data.config import DatasetConfig
from common import plugins
from common.errors import StudyError
from common.transfer.places import FOLDER, look_in

FILE_NAME = "site.toml"
NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?$"
DATASET_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Wanted(Protocol):
    """The part of a study's `[data]` that picks a data set."""

    @property
    def kind(self) -> str:
        """Which source reads it: dicom, table, …"""

    @property
    def dataset(self) -> str | None:
        """Its name, where the study gives one."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PopulationLimit(_Section):
    """The limit of one named population.

    Attributes:
        max_epsilon, delta: as in the policy itself.
    """

    max_epsilon: float = Field(gt=0.0)
    delta: float = Field(gt=0.0, lt=1.0)


class Policy(_Section):
    """The site's limits; the defaults are cautious.

    Attributes:
        max_epsilon: over everything that the site's patients ever join.
        delta: at which that ε is measured.
        min_patients: fewer training patients than this, and the site does not take part.
        allow_non_private: train without noise when a study asks for it.
        statistics: evaluation statistics that may leave.
        allowed_tasks: names of tasks; none: any.
        allowed_models: names of models; none: any.
        max_epsilon_per_study, max_delta_per_study: for any one study, beside the limit over all; none: no further one.
        populations: limits of their own for named populations, where the site's are not meant.
        hours: when rounds may train, as "20:00-06:00" in local time; none: always.
        max_bytes_per_round: a reply larger than this does not leave; none: any size that the study declares.
        min_sites_secure_aggregation: fewer sites than this, and secure aggregation hides too little.
    """

    max_epsilon: float = Field(default=1.0, gt=0.0)
    delta: float = Field(default=1e-5, gt=0.0, lt=1.0)
    min_patients: int = Field(default=20, ge=1)
    allow_non_private: bool = False
    statistics: Literal["none", "noisy", "exact"] = "noisy"
    allowed_tasks: tuple[str, ...] | None = None
    allowed_models: tuple[str, ...] | None = None
    max_epsilon_per_study: float | None = Field(default=None, gt=0.0)
    max_delta_per_study: float | None = Field(default=None, gt=0.0, lt=1.0)
    populations: dict[str, PopulationLimit] = Field(default_factory=dict)
    hours: str | None = Field(
        default=None,
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="such as 20:00-06:00",
    )
    max_bytes_per_round: int | None = Field(default=None, ge=1)
    min_sites_secure_aggregation: int = Field(default=3, ge=2)


class Connection(_Section):
    """One coordinator that the site answers, and where its SuperNode is.

    Attributes:
        server: host:port of the coordinator's proxy.
        certificates: PEM file of the authority that signed the server's certificate; none: the system's.
        runtime: host:port at which the SuperNode serves its runtime API to the agent.
        runtime_certificates: PEM file of the authority of that API's certificate; none: plain HTTP, for one host only.
    """

    server: str = Field(pattern=r"^[^\s/]+:[0-9]{1,5}$", description="host:port")
    certificates: Path | None = None
    runtime: str = Field(
        default="127.0.0.1:9095", pattern=r"^[^\s/]+:[0-9]{1,5}$", description="host:port"
    )
    runtime_certificates: Path | None = None


class Service(_Section):
    """How the site's service is reached from inside the hospital.

    Attributes:
        control: "unix" for a socket in the site's private folder, or host:port, which then demands mutual TLS.
        metrics: host:port of the Prometheus page; none: no page.
        poll_seconds: how often SuperNode and agent look for work.
        stall_minutes: a round without a step for so long is unhealthy.
    """

    control: str = Field(
        default="unix", pattern=r"^(unix|[^\s/]+:[0-9]{1,5})$", description="unix or host:port"
    )
    metrics: str | None = Field(
        default=None, pattern=r"^[^\s/]+:[0-9]{1,5}$", description="host:port"
    )
    poll_seconds: float = Field(default=0.2, ge=0.01, le=60.0)
    stall_minutes: float = Field(default=15.0, gt=0.0)


class Compute(_Section):
    """What the site computes with.

    Attributes:
        device: auto, cpu, cuda, cuda:N or mps.
        cache_gib: prepared data on disk take at most so much; the ones unused longest make room for new ones.
    """

    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$")
    cache_gib: float = Field(default=64.0, ge=0.0, le=1e6)


class _Header(_Section):
    name: str = Field(pattern=NAME, description="letters, digits and dashes")


class _SiteFile(_Section):
    site: _Header
    data: dict[str, DatasetConfig] = Field(min_length=1)
    policy: Policy = Policy()
    compute: Compute = Compute()
    connection: dict[str, Connection] = Field(default_factory=dict)
    service: Service = Service()


@dataclass(frozen=True)
class Site:
    """A hospital as its site.toml describes it.

    Attributes:
        name: letters, digits and dashes, safe as a file name.
        folder: where site.toml lies.
        datasets: by name.
        policy: the site's limits.
        compute: the device.
        connections: the coordinators that the site answers, by the site's own names for them.
        service: how the running service is reached.
    """

    name: str
    folder: Path
    datasets: Mapping[str, DatasetConfig]
    policy: Policy
    compute: Compute
    connections: Mapping[str, Connection] = field(default_factory=dict)
    service: Service = field(default_factory=Service)

    @property
    def file(self) -> Path:
        """The site.toml itself."""
        return self.folder / FILE_NAME

    @property
    def private_folder(self) -> Path:
        """What stays at the site: quarantine lists and the like (mode 700)."""
        return self.folder / ".consilium"

    def dataset(self, spec: Wanted) -> DatasetConfig:
        """Return the data set that a study asks for."""
        return self.datasets[self.dataset_name(spec)]

    def dataset_name(self, spec: Wanted) -> str:
        """Pick by name (an unnamed `[data]` answers to any), else the only one of the kind.

        Raises:
            StudyError: there is none, or more than one; what there is gets listed.
        """
        of_kind = [name for name, config in self.datasets.items() if config.kind == spec.kind]
        if spec.dataset is None and len(of_kind) == 1:
            return of_kind[0]
        for name in (spec.dataset, "default"):
            if name in of_kind and spec.dataset is not None:
                return str(name)
        raise StudyError(
            self._problem(spec, of_kind), where=str(self.file), fix=self._choices(spec)
        )

    def population(self, spec: Wanted) -> str:
        """Return the population of a study's patients; empty: the whole site, which the site's own name means, too."""
        named = self.dataset(spec).population
        return "" if named in (None, self.name) else str(named)

    def _problem(self, spec: Wanted, of_kind: list[str]) -> str:
        if spec.dataset is None:
            found = f"{len(of_kind)} data sets" if of_kind else "no data set"
            return f"Site '{self.name}' has {found} of kind '{spec.kind}'."
        if spec.dataset in self.datasets:
            kind = self.datasets[spec.dataset].kind
            return (
                f"The study asks for '{spec.dataset}' as '{spec.kind}', but it is of kind '{kind}'."
            )
        return f"Site '{self.name}' has no data set '{spec.dataset}'."

    def _choices(self, spec: Wanted) -> str:
        listed = ", ".join(f"'{name}' ({c.kind})" for name, c in sorted(self.datasets.items()))
        hint = plugins.nearest(spec.dataset, self.datasets) if spec.dataset else ""
        return f"{hint}It has: {listed}. Set [data] dataset in the study, or add [data.NAME] here."


def load_site(path: Path) -> Site:
    """Read and check a site.toml.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        StudyError: naming the file, the key and the nearest known key.
    """
    path = Path(path)
    file = path / FILE_NAME if path.is_dir() else path
    content = _read(file)
    data = content.get("data")
    if isinstance(data, dict) and isinstance(data.get("kind"), str):
        content["data"] = {"default": data}
    connection = content.get("connection")
    if isinstance(connection, dict) and isinstance(connection.get("server"), str):
        content["connection"] = {"default": connection}
    try:
        parsed = _SiteFile.model_validate(content, context={"folder": file.parent.resolve()})
    except ValidationError as error:
        raise _explain(error, file) from None
    _check_names(parsed, file)
    look_in(file.parent / FOLDER)
    return Site(
        name=parsed.site.name,
        folder=file.parent.resolve(),
        datasets=parsed.data,
        policy=parsed.policy,
        compute=parsed.compute,
        connections={
            name: _resolved(each, file.parent) for name, each in parsed.connection.items()
        },
        service=parsed.service,
    )


def _resolved(connection: Connection, folder: Path) -> Connection:
    """Take relative paths from the folder of site.toml."""
    paths = {
        "certificates": connection.certificates,
        "runtime_certificates": connection.runtime_certificates,
    }
    found = {name: (folder / path).resolve() for name, path in paths.items() if path is not None}
    return connection.model_copy(update=found)


def _read(file: Path) -> dict[str, Any]:
    """Read TOML, or say in one sentence why it cannot be read."""
    where = str(file)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise StudyError(
            "There is no site file.",
            where=where,
            fix="Give a site.toml, or the folder that holds it.",
        ) from None
    except UnicodeDecodeError:
        raise StudyError("The site file is not text in UTF-8.", where=where) from None
    except tomllib.TOMLDecodeError as error:
        raise StudyError(
            f"The site file is not valid TOML: {error}.",
            where=where,
            fix="Put text in quotes, and Windows paths in single quotes.",
        ) from None
    except OSError as error:
        raise StudyError(f"The site file cannot be read ({error.strerror}).", where=where) from None


def _explain(error: ValidationError, file: Path) -> StudyError:
    first = error.errors()[0]
    where = str(file)
    if first["loc"] == ("site", "name") and first["type"] == "string_pattern_mismatch":
        return StudyError(
            "The site's name may hold letters, digits and dashes only.",
            where=f"{where}, [site] name",
            fix="For example: name = 'hospital-1'.",
        )
    return plugins.explain(error, _SiteFile, where=where)


def _check_names(parsed: _SiteFile, file: Path) -> None:
    for name in [*parsed.data, *parsed.connection]:
        if not re.match(DATASET_NAME, name):
            raise StudyError(
                f"The name '{name}' may hold letters, digits, '.', '_' and '-' only.",
                where=str(file),
            )
