"""Kills a federation's processes a thousand times: `make soak`, or with a seed and a number of one's own."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from survival import survive


def main() -> int:
    """Soak, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--hours", type=float, default=3.0)
    given = parser.parse_args()
    print(f"seed {given.seed}: {given.kills} kills in {given.rounds} rounds", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    outcome = survive(
        folder,
        kills=given.kills,
        rounds=given.rounds,
        seed=given.seed,
        seconds=3600 * given.hours,
    )
    print(f"{outcome.chaos.summary()}; {outcome.seconds:.0f} s")
    same = outcome.deployed == outcome.simulated
    print("the weights are those of the simulation" if same else f"OTHER WEIGHTS, see {folder}")
    print("\n".join(outcome.faults) or "ledgers, egress logs and witness agree")
    if same and not outcome.faults:
        shutil.rmtree(folder)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
