"""Somebody who follows a page word for word, in a folder of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pages import Section, Step, Text, missing

from simulations.rehearsal.processes import descendants, send

INSTALLS = re.compile(r"(sudo |python3 -m venv |consilium-env/bin/pip |source consilium-env/)")
"""What the test has done already, or may not do on this machine."""

CHANGES = re.compile(r"consilium (site (status|doctor)|server sites) ")
"""Commands that show what comes true by itself: a reader looks again."""

LONGEST = 120.0
"""Seconds: far more than anything takes on a machine that has nothing else to do."""
SAVE_AS = re.compile(r"Save this as `([^`]+)`")


@dataclass
class Reader:
    """A person at a terminal.

    Attributes:
        folder: where they work.
        programs: where `consilium` is installed.
        own: what they read in place of what the page says (names, addresses, fingerprints).
        settings: the file whose keys the page has them change.
    """

    folder: Path
    programs: Path
    own: dict[str, str]
    settings: Path
    heard: str = ""
    services: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def follow(self, section: Section) -> None:
        """Do all that a section says."""
        for block in section.blocks:
            if isinstance(block, Text):
                self._write(block.content, SAVE_AS.search(section.prose))
            elif not INSTALLS.match(block.command):
                self._do(block)

    def stop(self) -> list[int]:
        """End what was started; return the exit codes."""
        for each in self.services:
            each.terminate()
        return [each.wait(LONGEST) for each in self.services]

    def kill(self) -> None:
        """Leave nothing behind."""
        for each in self.services:
            for pid in [*descendants(each.pid), each.pid]:
                if each.poll() is None:
                    send(pid, signal.SIGKILL)
            each.wait()

    def _do(self, step: Step) -> None:
        mine = Step(self._mine(step.command), tuple(map(self._mine, step.quoted)))
        starts = re.search(r"^consilium (site|server) start \S+$", mine.command)
        end = time.monotonic() + LONGEST
        if starts:
            self._start(mine, end)
            return
        while True:
            done = self._run(mine)
            absent = missing(mine.quoted, mine.as_seen(done.stdout))
            well = done.returncode == 0 and not absent
            if well or not CHANGES.match(mine.command) or time.monotonic() > end:
                break
            time.sleep(0.5)
        self.heard += done.stdout
        assert done.returncode == 0, (mine.command, done.stdout, done.stderr)
        assert not absent, (mine.command, absent, done.stdout)

    def _run(self, step: Step) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", step.command],
            cwd=self.folder,
            env=self._environment(),
            input="".join(f"{typed}\n" for _, typed in step.answers),
            capture_output=True,
            text=True,
            timeout=2 * LONGEST,
            check=False,
        )

    def _start(self, step: Step, end: float) -> None:
        """Start what runs until it is stopped, and wait for what the page says that it prints."""
        log = self.folder / f"terminal-{len(self.services)}"
        with log.open("wb") as file:
            running = subprocess.Popen(
                step.command.split(),
                executable=self.programs / "consilium",
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.services.append(running)
        while absent := _unseen(step.quoted, log.read_text()):
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < end, (step.command, absent, log.read_text())
            time.sleep(0.1)

    def _environment(self) -> dict[str, str]:
        """A new terminal's, with `source consilium-env/bin/activate` done."""
        kept = {
            key: os.environ[key] for key in ("HOME", "USER", "LANG", "TMPDIR") if key in os.environ
        }
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        return {**kept, "PATH": path, "COLUMNS": "200", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}

    def _mine(self, text: str) -> str:
        for theirs, own in self.own.items():
            text = text.replace(theirs, own)
        return text

    def _write(self, content: str, named: re.Match[str] | None) -> None:
        """Save a file under its name, or change keys of the settings, also those that stand behind a #."""
        if named:
            (self.folder / named[1]).write_text(content)
            return
        text = self.settings.read_text()
        for line in content.splitlines():
            key = line.partition(" = ")[0]
            if line.startswith("["):
                assert line in text
            else:
                text, changed = re.subn(rf"^(# )?{key} = .*$", line, text, flags=re.MULTILINE)
                assert changed == 1, (line, text)
        self.settings.write_text(text)


def _unseen(quoted: Iterable[str], output: str) -> str:
    """What a page quotes of a service may come in another order."""
    return next((line for line in quoted if missing([line], output)), "")
