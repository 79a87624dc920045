"""The commands of docs/hospital-quickstart.md, word for word, against a real SuperLink."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from superlink import free_port, superlink, until

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "hospital-quickstart.md"


def commands() -> list[str]:
    """The `consilium` commands of the page, in their order."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in lines if line.startswith("consilium ")]


def test_the_page_can_be_followed(tmp_path: Path) -> None:
    told = commands()
    init, init_split = (line for line in told if " site init " in line)
    start, unit = (line for line in told if " site start " in line)
    (tmp_path / "patients.csv").write_text("age,label\n1,0\n")
    with superlink(tmp_path / "coordinator") as link:
        (tmp_path / "ca.crt").write_bytes(link.authority.certificate.read_bytes())

        def process(line: str) -> list[str]:
            words = shlex.split(line.replace("localhost:8443", link.address))
            return [sys.executable, "-m", "common.cli", *words[1:]]

        def run(line: str) -> str:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PAGE.parents[1])}
            ran = subprocess.run(
                process(line), cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert ran.returncode == 0, (line, ran.stdout, ran.stderr)
            return ran.stdout

        run(told[0])
        assert "SHA256:" in run(init)
        site = tmp_path / "hospital-1" / "site.toml"
        site.write_text(site.read_text().replace(":9095", f":{free_port()}"))
        link.enrol(tmp_path / "hospital-1" / ".consilium" / "node.pub")
        (doctor,) = (line for line in told if " doctor " in line)
        assert "red" not in run(doctor)
        out = tmp_path / "out"
        with out.open("wb") as file:
            running = subprocess.Popen(process(start), cwd=tmp_path, stdout=file, stderr=file)
        try:
            until(lambda: "agent is ready" in out.read_text(), 60)
            until(lambda: f"in contact with {link.address}" in out.read_text(), 30)
            for line in told:
                if re.search(r" site (status|health|studies) ", line):
                    run(line)
            assert f'"{tmp_path}/hospital-1"' in run(unit)
        finally:
            running.terminate()
            assert running.wait(90) == 0
        run(init_split)
        assert (tmp_path / "hospital-2-dmz" / "site.toml").exists()
