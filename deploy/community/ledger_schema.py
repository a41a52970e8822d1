"""The ledger's tables, in SQL that SQLite and PostgreSQL both understand, and the way from an older version to this."""

from __future__ import annotations

from typing import Final

from agent.core.events import Kind
from agent.errors import StoreError
from deploy.community.database import Connection

SCHEMA_VERSION: Final = 2
# wall time minus time since boot, where a row of that boot had a synchronised clock; see boot_times.py
_BOOTS: Final = """CREATE TABLE IF NOT EXISTS boots (
        device TEXT NOT NULL, boot_id TEXT NOT NULL, epoch TEXT NOT NULL, first BIGINT NOT NULL, offset_ms BIGINT,
        seen_ms BIGINT NOT NULL, PRIMARY KEY (device, boot_id, epoch))"""
# what a door last said stands apart from when it was last heard: the narrow table is written and read all the time
_STATES: Final = "CREATE TABLE IF NOT EXISTS states (device TEXT PRIMARY KEY, state TEXT NOT NULL)"
_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS events_by_at ON events (at_ms, id)",
    f"CREATE INDEX IF NOT EXISTS events_of_rosters ON events (id) WHERE kind = '{Kind.ROSTER}'",
    "CREATE INDEX IF NOT EXISTS previews_by_arrival ON previews (received_ms)",
)
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS doors (
        device TEXT PRIMARY KEY, heard_ms BIGINT NOT NULL, online INTEGER NOT NULL, silent INTEGER NOT NULL)""",
    _STATES,
    """CREATE TABLE IF NOT EXISTS chains (
        device TEXT NOT NULL, epoch TEXT NOT NULL, next BIGINT NOT NULL, hash TEXT NOT NULL, heard BIGINT NOT NULL,
        claimed BIGINT NOT NULL, claimed_hash TEXT NOT NULL, re TEXT NOT NULL, fork BIGINT NOT NULL, run TEXT NOT NULL,
        PRIMARY KEY (device, epoch))""",
    """CREATE TABLE IF NOT EXISTS events (
        id {serial}, device TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, kind TEXT NOT NULL,
        priority INTEGER NOT NULL, wall_ms BIGINT NOT NULL, clock TEXT NOT NULL, boot_id TEXT NOT NULL,
        boottime_ms BIGINT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL, received_ms BIGINT NOT NULL,
        at_ms BIGINT NOT NULL, at_clock TEXT NOT NULL, UNIQUE (device, epoch, seq))""",
    _BOOTS,
    """CREATE TABLE IF NOT EXISTS previews (
        device TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, kind TEXT NOT NULL,
        wall_ms BIGINT NOT NULL, body TEXT NOT NULL, received_ms BIGINT NOT NULL, confirmed INTEGER NOT NULL,
        PRIMARY KEY (device, epoch, seq, hash))""",
    """CREATE TABLE IF NOT EXISTS missed (
        device TEXT NOT NULL, epoch TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, hash TEXT NOT NULL,
        declared BIGINT NOT NULL, PRIMARY KEY (device, epoch, first))""",
    """CREATE TABLE IF NOT EXISTS alarms (
        id {serial}, device TEXT NOT NULL, word TEXT NOT NULL, detail TEXT NOT NULL, at_ms BIGINT NOT NULL)""",
    *_INDEXES,
)
_FROM: Final = {
    1: (
        _STATES,  # left empty: each door says its state within a minute, and now it is checked field by field
        "ALTER TABLE doors DROP COLUMN state",
        "ALTER TABLE doors ADD COLUMN silent INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE chains ADD COLUMN run TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE events ADD COLUMN at_ms BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE events ADD COLUMN at_clock TEXT NOT NULL DEFAULT ''",
        _BOOTS,
        """INSERT INTO boots SELECT device, boot_id, epoch, MIN(seq), CAST(NULL AS BIGINT), MAX(received_ms) FROM events
            GROUP BY device, boot_id, epoch""",
        """UPDATE boots SET offset_ms = (SELECT wall_ms - boottime_ms FROM events WHERE device = boots.device
            AND boot_id = boots.boot_id AND clock = 'ntp' ORDER BY id DESC LIMIT 1)""",
        "UPDATE events SET at_ms = wall_ms, at_clock = clock",
        """UPDATE events SET at_clock = 'reckoned', at_ms = boottime_ms + (SELECT MAX(offset_ms) FROM boots
            WHERE device = events.device AND boot_id = events.boot_id) WHERE clock != 'ntp' AND EXISTS (SELECT 1 FROM
            boots WHERE device = events.device AND boot_id = events.boot_id AND offset_ms IS NOT NULL)""",
        "DROP INDEX IF EXISTS events_by_time",
        *_INDEXES,
        "UPDATE meta SET version = 2",
    )
}  # fmt: skip


def prepare(db: Connection) -> None:
    """Make the tables, or bring older ones up to date (within a transaction).

    Raises:
        StoreError: they are of a later release.
    """
    db.execute("CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL)")
    found = db.execute("SELECT version FROM meta")
    if not found:
        for statement in _TABLES:
            db.execute(statement.format(serial=db.serial))
        db.execute(f"INSERT INTO meta VALUES ({SCHEMA_VERSION})")  # noqa: S608  a number of this file
        return
    version = int(str(found[0][0]))
    while version in _FROM:
        for statement in _FROM[version]:
            db.execute(statement)
        version += 1
    if version != SCHEMA_VERSION:
        raise StoreError(f"the server's database has version {version}, this release reads {SCHEMA_VERSION}")
