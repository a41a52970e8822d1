"""Which formats of its files a release writes, and leading them back to those of an older one.

    python -I -m agent.store_versions                       {"journal": 1, "roster": 3}
    python -I -m agent.store_versions FOLDER '{"journal": 1, "roster": 2}'      lead FOLDER's files back to these

Called when an update is taken back, with the newer release's Python: only it knows the way.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.errors import StoreError
from agent.journal import schema as outbox_schema
from agent.roster import store as roster_store

STORES = {
    "journal": ("journal.db", outbox_schema.SCHEMA_VERSION, outbox_schema.downgrade),
    "roster": ("roster.db", roster_store.SCHEMA_VERSION, roster_store.downgrade),
}


def versions() -> dict[str, int]:
    """What this release writes."""
    return {name: version for name, (_, version, _) in STORES.items()}


def lead_back(folder: Path, wanted: Mapping[str, int]) -> None:
    """Lead the stores in `folder` back to `wanted`; those that are not newer are left alone.

    Raises:
        StoreError, JournalDamagedError, sqlite3.Error: one of them cannot be led back.
    """
    for name, (file, version, downgrade) in STORES.items():
        if version > wanted.get(name, version) and (folder / file).exists():
            downgrade(folder / file, wanted[name])


def main(arguments: list[str]) -> int:
    """0 done; 4 a store cannot be led back."""
    if not arguments:
        sys.stdout.write(json.dumps(versions()) + "\n")
        return 0
    try:
        lead_back(Path(arguments[0]), json.loads(arguments[1]))
    except (StoreError, outbox_schema.JournalDamagedError, sqlite3.Error) as error:
        sys.stderr.write(f"{error}\n")
        return StoreError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
