"""Measures every bundled study, and those on real data where `../shared/data` is there.

`python -m benchmarks.tasks --only NAME --only NAME …`, or BENCH_ONLY="NAME NAME", measures a few; the table keeps the
others' last results.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import benchmarks.tasks
from benchmarks.measure import machine
from benchmarks.tasks.case import Case, Result
from benchmarks.tasks.places import without_federation
from benchmarks.tasks.runs import federated, trivial
from benchmarks.tasks.table import line, write
from simulations.bundled import bundled_names, hospitals_for, study_path

DATA = Path(__file__).parents[3] / "shared" / "data"


def measure(case: Case, folder: Path) -> Result:
    """Run a study in all ways."""
    from common.study_file import load_study
    from common.tasks import build_task

    headline = build_task(load_study(case.study)).headline
    eight = federated(case, folder / "eight", 8.0, compare=True)
    three = federated(case, folder / "three", 3.0, compare=False)
    elsewhere = without_federation(case)
    return Result(
        name=case.name,
        metric=headline,
        trivial=trivial(eight["final"], headline),
        without=(eight["non_private"] or {}).get(headline),
        epsilon_8=eight["final"].get(headline),
        epsilon_3=three["final"].get(headline),
        in_one_place=elsewhere.same_passes,
        same_steps=elsewhere.same_steps,
        alone=elsewhere.alone,
        seconds=eight["seconds_a_round"],
        parameters=eight["parameters"],
        target=case.target,
        machine=machine(),
    )


def cases(folder: Path, only: list[str]) -> Iterator[Case]:
    """Yield the bundled studies, then those of the modules `real_*`, whose `cases(folder, data)` writes their files.

    Args:
        folder: for generated hospitals, study files and site files.
        only: names; none: all.
    """
    os.chdir(folder)  # where bundled studies put their hospitals
    for name in bundled_names():
        if not only or name in only:
            path = study_path(name)
            yield Case(name, path, hospitals_for(path, print).absolute())
    modules = [m.name for m in pkgutil.iter_modules(benchmarks.tasks.__path__)]
    for module in modules if DATA.is_dir() else ():
        if module.startswith("real_"):
            found = importlib.import_module(f"benchmarks.tasks.{module}").cases(folder, DATA)
            yield from (case for case in found if not only or case.name in only)


def main() -> int:
    """Measure, keep and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=os.environ.get("BENCH_ONLY", "").split())
    only: list[str] = parser.parse_args().only
    failed = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        for case in cases(folder, only):
            try:
                result = measure(case, folder / "runs" / case.name)
            except RuntimeError as error:
                failed.append(case.name)
                print(error, file=sys.stderr)
                continue
            result.save()
            print(line(result), flush=True)
    write()
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
