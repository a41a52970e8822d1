"""A database that fails for a moment: no door is blamed for it, nothing that was said meanwhile is lost."""

from __future__ import annotations

from agent.core.events import Kind, Record
from deploy.community import consumer
from deploy.community.database import SqliteConnection
from deploy.community.ledger import Ledger
from deploy.community.postgres import PostgresConnection
from tests.stream.conftest import record, until


def alarms(site) -> list[str]:
    return [n.what["word"] for n in site.news.all if n.kind == "alarm"]


def told(site) -> list[int]:
    return [n.what["body"]["n"] for n in site.news.all if n.kind == "event" and "n" in n.what["body"]]


def delivered(outbox, rows: int) -> None:
    until(lambda: (outbox.status().depth, outbox.status().head_seq) == (0, rows + 1), f"{rows} rows", 30)


def test_a_database_that_was_restarted_since_the_last_message_is_noticed_by_nobody(site, linked, postgres):
    """Its first message was lost, a door's answer to an order among them, and told as a fault of that door."""
    site.serve(PostgresConnection(postgres()))
    link, outbox, _ = linked("d1")
    outbox.append(record(1))
    delivered(outbox, 1)
    postgres.restart()
    link.reply(b"c", {"stage": "done", "id": "c-1"})
    site.news.wait(lambda: any(n.kind == "reply" for n in site.news.all), "the answer")
    outbox.append(record(2))
    delivered(outbox, 2)
    assert told(site) == [1, 2]
    assert "poison" not in alarms(site)


def test_a_connection_that_is_cut_in_the_middle_of_a_message_costs_one_try(site, linked, postgres, monkeypatch):
    url = postgres()
    site.serve(PostgresConnection(url))
    link, outbox, _ = linked("d1")
    outbox.append(record(1))
    delivered(outbox, 1)
    real, cut = Ledger.heard, []

    def heard(self, device, now_ms, *, kept=False):
        real(self, device, now_ms, kept=kept)
        if not cut:
            cut.append(PostgresConnection(url))
            cut[0].execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid != pg_backend_pid()"
            )

    monkeypatch.setattr(Ledger, "heard", heard)
    link.reply(b"c", {"stage": "done", "id": "c-1"})
    site.news.wait(lambda: any(n.kind == "reply" for n in site.news.all), "the answer")
    outbox.append(record(2))
    delivered(outbox, 2)
    assert told(site) == [1, 2]
    assert alarms(site) == []
    cut[0].close()


def test_a_disk_that_has_room_for_a_note_and_none_for_rows_is_the_databases_alarm(site, linked):
    """What a door sent was called a message that could not be stored though the database works."""
    database = SqliteConnection(site.folder / "community.db")
    site.serve(database)
    _, outbox, _ = linked("d1")
    outbox.append(record(1))
    delivered(outbox, 1)
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count')[0][0]}")
    for n in range(2, 12):
        outbox.append(Record(Kind.DOOR_PHYSICAL, {"n": n, "long": "x" * 9000}))
    site.news.wait(lambda: "database" in alarms(site), "the alarm")
    assert outbox.status().depth
    database.execute("PRAGMA max_page_count = 1000000")
    delivered(outbox, 11)
    assert told(site) == [*range(1, 12)]
    assert set(alarms(site)) == {"database"}


def test_a_database_that_is_away_between_two_messages_is_no_fault_of_the_program(site, postgres, monkeypatch):
    """The look for silent doors found it away: a person was asked to report a fault of the server."""
    monkeypatch.setattr(consumer, "_CHECK_S", 0.02)
    database = PostgresConnection(postgres())
    site.serve(database, silence_s=0.01)
    monkeypatch.setattr(database, "_connect", lambda: (_ for _ in ()).throw(ConnectionRefusedError("gone")))
    database.close()
    site.news.wait(lambda: alarms(site), "the alarm")
    assert alarms(site) == ["database"]
