"""Writes a run's model card into its folder, as Markdown and as a page."""

from __future__ import annotations

from pathlib import Path

from common.charts.pages import environment
from common.files import write_atomically
from common.trained import load_trained
from common.weights import frozen
from server.card import markdown
from server.card.content import content
from server.card.parts import Words
from server.report.run_folder import read_run


def write_card(run: Path, words: Words | None = None) -> tuple[Path, Path]:
    """Write `card.md` and `card.html`; return their paths.

    Args:
        run: a finished run's folder.
        words: what only people can say; none: what the study says.

    Raises:
        RunError: the folder is not that of a finished run.
        MachineError: it cannot be written.
    """
    read, trained = read_run(run), load_trained(run)
    fixed = frozen(trained.network)
    card = content(read, trained.study, trained.digest, words or Words(), fixed)
    text, page = run / "card.md", run / "card.html"
    write_atomically(text, markdown.render(card), mode=0o644)
    template = environment("server.card").get_template("card.html.j2")
    write_atomically(page, template.render(card=card), mode=0o644)
    return text, page
