"""Consilium as a user has it: from a wheel, in an environment of its own, away from the sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distribution
from pathlib import Path

SOURCES = Path(__file__).parents[2]
PACKED = ("client", "common", "server", "simulations", "pyproject.toml", "README.md", "LICENSE")


def install(folder: Path) -> Path:
    """Build the wheel, install it, and return the folder of its programs.

    What Consilium needs is taken from the environment of the tests: nothing is downloaded.
    """
    built = _build(folder)
    target = folder / "consilium-env"
    venv.create(target, symlinks=True)
    programs, python = target / "bin", target / "bin" / "python"
    _pip("--python", python, "install", "--quiet", "--no-deps", "--no-index", built)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(target)}))
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for script in distribution("flwr").entry_points.select(group="console_scripts"):
        program = programs / script.name
        program.write_text(
            f"#!{python}\nimport sys\nfrom {script.module} import {script.attr}\n"
            f"sys.exit({script.attr}())\n"
        )
        program.chmod(0o755)
    return programs


def _build(folder: Path) -> Path:
    """Build from a copy: setuptools leaves its own files beside the sources."""
    copy = folder / "sources"
    copy.mkdir(parents=True)
    for name in PACKED:
        source = SOURCES / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    _pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, copy)
    (built,) = folder.glob("consilium-*.whl")
    return built


def _pip(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
