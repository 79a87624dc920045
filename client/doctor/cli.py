"""`consilium site doctor`: what is wrong with a site, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    site: Annotated[Path, typer.Argument(help="The site's folder.")],
    only: Annotated[
        str | None, typer.Option(help="supernode or agent: this machine runs one half of the site.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Check a site before it starts, or while it runs: every red line says how to mend it.

    Exit code: 0 when nothing is red, otherwise that of the first red line.
    """
    import json
    from dataclasses import asdict

    from client.doctor.examine import examine, exit_code
    from client.service.start import half_named

    findings = []
    shown = ""
    for heading, finding in examine(site, half=half_named(only)):
        findings.append((heading, finding))
        if as_json:
            continue
        typer.secho(f"{heading if heading != shown else '':<11}", bold=True, nl=False)
        typer.secho(f"{finding.level:<6}", fg=_COLOURS[finding.level], nl=False)
        typer.echo(finding.text)
        if finding.fix:
            typer.echo(f"{'':<17}fix: {finding.fix}")
        shown = heading
    if as_json:
        lines = [{"check": heading, **asdict(finding)} for heading, finding in findings]
        typer.echo(json.dumps(lines, indent=1, ensure_ascii=False))
    raise typer.Exit(exit_code(finding for _, finding in findings))


_COLOURS = {"green": "green", "amber": "yellow", "red": "red"}
