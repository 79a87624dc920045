"""Whether a ledger from a backup is the newest there was, and what to charge where it is not.

A ledger copied back from a backup is a sound chain that forgot what was spent since. Two others remember: the site
itself, in files beside the ledger, and the coordinator, in the `witness.jsonl` of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.audit.witness import Comparison, Trace, compare
from client.guard.anchor import FILE, Anchor, remembered
from client.guard.chain import Chain
from client.site_folder import SiteFolder
from common import witness
from common.errors import RunError, StudyError, TamperedError
from common.study import Study
from common.study_file import load_study
from common.witness import Witnessed

_CURE = (
    "Put a newer backup back. Where there is none, charge the missing rounds from the coordinator's witness file: "
    "--witness RUN --charge-missing"
)


@dataclass(frozen=True)
class Run:
    """A run as its coordinator knows it.

    Attributes:
        folder: with study.toml and witness.jsonl.
        study: what was run.
        comparison: of the ledger with the witness.
        lost: replies that held something about patients and whose charges the ledger lacks, one each.
    """

    folder: Path
    study: Study
    comparison: Comparison
    lost: tuple[Witnessed, ...]


@dataclass(frozen=True)
class Evidence:
    """What others say about a ledger.

    Attributes:
        remembers: whether the site's own memory was found and knows nothing newer.
        forgotten: why the site's own memory says that the ledger is older; empty: it does not.
        head: what the site remembers as the newest entry, where the ledger lacks it; else empty.
        runs: what coordinators witnessed.
    """

    remembers: bool
    forgotten: str
    head: str
    runs: tuple[Run, ...]

    def problems(self, *, charged: bool) -> list[str]:
        """Everything that speaks against the ledger.

        Args:
            charged: what coordinators saw and the ledger lacks is about to be charged.
        """
        seen = {reply.head for run in self.runs for reply in run.lost}
        told = self.forgotten and not (charged and self.head in seen)
        found = [self.forgotten] if told else []
        for run in self.runs:
            # The first problem of an intact chain with missing rounds is that they are missing.
            made_good = 1 if charged and run.comparison.missing else 0
            found += [f"{run.folder}: {each}" for each in run.comparison.problems[made_good:]]
        return found

    @property
    def confirmed(self) -> list[str]:
        """Who confirms the ledger, in words."""
        mine = ["this machine's own memory of the ledger"] if self.remembers else []
        return mine + [
            f"the coordinator's run '{run.study.name}' ({run.folder})" for run in self.runs
        ]

    def suffices(self, *, charged: bool) -> bool:
        """Whether somebody confirms the ledger and nobody contradicts."""
        return bool(self.confirmed) and not self.problems(charged=charged)

    def require(self, *, charged: bool) -> None:
        """Refuse a ledger that is known to be older, or of which nobody can say that it is not.

        Raises:
            TamperedError: it is older.
            StudyError: there is nobody to ask.
        """
        problems = self.problems(charged=charged)
        if problems:
            raise TamperedError(
                f"The backup's ledger is older than what was spent: {' '.join(problems)}",
                where="restore",
                fix=f"{_CURE}. Nothing was restored.",
            )
        if not self.confirmed:
            raise StudyError(
                "Nothing here tells whether the backup's ledger is the newest; an older one forgets what was spent.",
                where="restore",
                fix="Ask every coordinator for study.toml and witness.jsonl of the runs since the backup, and name "
                "each folder with --witness.",
            )


def gather(folder: SiteFolder, ledger: Path, runs: Sequence[Path]) -> Evidence:
    """Ask the site's own memory and the coordinators' witnesses about a ledger.

    Args:
        folder: where the site is to be; its memory may have outlived the ledger.
        ledger: the copy in question.
        runs: run folders of coordinators.

    Raises:
        StudyError: a study file cannot be used, or a run never heard from the site.
        RunError: a folder holds no witness.
        TamperedError: the site's memory is damaged.
    """
    found = memories(folder)
    forgotten, head = "", ""
    for file in found:
        try:
            Anchor([file]).check(Chain(ledger, writable=False))
        except TamperedError as error:
            forgotten, head = error.what, remembered(file)[1]
    trace = Trace(ledger)
    return Evidence(
        memory(folder) in found and not forgotten,
        forgotten,
        head,
        tuple(_run(trace, path) for path in runs),
    )


def memory(folder: SiteFolder) -> Path:
    """Where the site remembers its ledger's newest entry for all studies."""
    return folder.ledger.with_name(f".{folder.ledger.name}.head")


def memories(folder: SiteFolder) -> list[Path]:
    """The site's own memories of its ledger that are there."""
    every = [memory(folder), *sorted(folder.states.glob(f"*/{FILE}"))]
    return [file for file in every if file.exists()]


def _run(trace: Trace, path: Path) -> Run:
    if not (path / "study.toml").is_file():
        raise RunError(
            "The run folder has no study.",
            where=str(path),
            fix="Ask the coordinator for study.toml and witness.jsonl of the run, in one folder.",
        )
    study = load_study(path / "study.toml")
    files = witness.read(path)
    heard = {
        (reply.round, reply.head): reply
        for file in files
        for reply in file
        if reply.site == trace.book.site
    }
    if not heard:
        raise StudyError(
            f"This run never heard from site '{trace.book.site}', so it confirms nothing.",
            where=str(path),
            fix="Leave it out, or name the folder of another run.",
        )
    lost = [
        reply for reply in heard.values() if reply.head not in trace.places and reply.bytes_sent
    ]
    return Run(path, study, compare(trace, files, study.fingerprint), tuple(lost))
