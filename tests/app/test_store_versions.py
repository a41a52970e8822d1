"""An update that is taken back leads the stores back: rows and people stay, and the older release reads them."""

import contextlib
import json

import pytest

from agent import store_versions
from agent.core.journal import ClockQuality
from agent.errors import StoreError
from agent.journal import schema as outbox_schema
from agent.journal.opening import open_journal
from agent.journal.schema import JournalDamagedError, Moment
from agent.roster import store as roster_store
from agent.roster.store import RosterStore

NOW = Moment("boot", 0, 0, ClockQuality.NONE)


def journal_rows(path):
    with contextlib.closing(open_journal(path, "s/d", NOW).store) as store:
        return [row.seq for row in store.read(store.current, 1, 100)]


def test_rows_written_by_a_newer_release_are_read_by_the_older_one_again(tmp_path, monkeypatch):
    path = tmp_path / "journal.db"
    with monkeypatch.context() as newer:
        newer.setattr(outbox_schema, "SCHEMA_VERSION", 2)
        newer.setattr(outbox_schema, "MIGRATIONS", {1: ("ALTER TABLE boots ADD COLUMN note TEXT",)})
        newer.setattr(outbox_schema, "WAY_BACK", {2: ("ALTER TABLE boots DROP COLUMN note",)})
        with contextlib.closing(outbox_schema.connect(path)) as db:
            db.execute("PRAGMA user_version=1")
        written = journal_rows(path)
        outbox_schema.downgrade(path, 1)
    assert journal_rows(path) == written != []
    assert [p.name for p in tmp_path.glob("*quarantined*")] == []


def test_a_journal_without_a_way_back_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "journal.db"
    written = journal_rows(path)
    with pytest.raises(JournalDamagedError, match="no way back"):
        outbox_schema.downgrade(path, 0)
    assert journal_rows(path) == written


def test_every_version_of_the_roster_has_its_way_back_and_can_go_forward_again(tmp_path):
    RosterStore(tmp_path).close()
    for version in range(roster_store.SCHEMA_VERSION - 1, 0, -1):
        roster_store.downgrade(tmp_path / "roster.db", version)
    RosterStore(tmp_path).close()
    with pytest.raises(StoreError, match="no way back"):
        roster_store.downgrade(tmp_path / "roster.db", 0)


def test_the_command_says_versions_and_leads_back(tmp_path, capsys):
    assert store_versions.main([]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"journal": outbox_schema.SCHEMA_VERSION, "roster": roster_store.SCHEMA_VERSION}
    RosterStore(tmp_path).close()
    assert store_versions.main([str(tmp_path), json.dumps({**said, "roster": 1})]) == 0
    assert store_versions.main([str(tmp_path), json.dumps({**said, "roster": 0})]) == 4
