"""Check an exported ledger with nothing but Python: `python verify_ledger.py EXPORT [--head HASH]`.

Each line is one entry, as JSON with sorted keys and without spaces. Its `hash` is the SHA-256 of the
JSON array [seq, at, kind, body, previous], and `previous` is the hash of the line before (64 zeros in
the first). Exit code 0: the export holds; 4: it does not. A cut at the end shows only with --head.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

FIELDS = ["seq", "at", "kind", "body", "previous"]


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def check(line, seq, previous, reserved, settled):
    """Return the hash of entry number `seq`, or raise ValueError with what is wrong with it."""
    entry = json.loads(line)
    hashed = as_json([entry[name] for name in FIELDS])
    body, kind = entry["body"], entry["kind"]
    key, steps = body.get("key"), body.get("steps")
    for wrong, problem in [
        (as_json(entry) != line or len(entry) != 6, "it is not written as a ledger is exported"),
        (entry["seq"] != seq, "an entry is missing, or was moved"),
        (entry["previous"] != previous, "it does not follow the entry before"),
        (hashlib.sha256(hashed.encode()).hexdigest() != entry["hash"], "it was changed"),
        ((kind == "open") != (seq == 1), "a ledger opens once, with its first entry"),
        (kind == "reserve" and key in reserved, "a key is reserved twice"),
        (kind == "settle" and key in settled, "a reservation is settled twice"),
        (kind == "settle" and key not in reserved, "what is settled was never reserved"),
        (kind == "settle" and steps not in range(reserved.get(key, 0) + 1), "too many steps"),
    ]:
        if wrong:
            raise ValueError(problem)
    if kind == "reserve":
        reserved[key] = body["event"].get("steps", body["event"].get("releases"))
    if kind == "settle":
        settled.add(key)
    return entry["hash"]


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("export", type=Path)
parser.add_argument("--head", help="a hash that must be there, such as the last one sent elsewhere")
given = parser.parse_args()
hashes, reserved, settled = ["0" * 64], {}, set()
for line in given.export.read_text(encoding="ascii", errors="replace").splitlines():
    try:
        hashes.append(check(line, len(hashes), hashes[-1], reserved, settled))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        sys.exit(print(f"tampered: line {len(hashes)}: {error}") or 4)
if len(hashes) == 1 or given.head not in (None, *hashes[1:]):
    sys.exit(print("tampered: the export is empty, or the head is not in it") or 4)
print(f"sound: {len(hashes) - 1} entries, {len(reserved) - len(settled)} open, head {hashes[-1]}")
