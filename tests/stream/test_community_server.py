"""The community server as a whole: configuration, page, and its answers to junk, silence and a broken database."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import pytest

from agent.errors import ConfigError
from deploy.community import settings
from deploy.community.__main__ import end_with_any_thread
from deploy.community.describe import examples
from deploy.community.ledger import Ledger
from tests.stream.conftest import record, until

README = Path(settings.__file__).parent / "README.md"


def alarms(site) -> list[str]:
    return [n.what["word"] for n in site.news.all if n.kind == "alarm"]


def test_the_readme_has_every_key_and_every_alarm():
    text = README.read_text()
    assert settings.table() in text
    for word in ("rows-lost", "restored", "fork", "cloned", "damaged", "silence", "malformed", "poison", "database",
                 "link", "refused"):  # fmt: skip
        assert f"| `{word}` |" in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("colour = 1", "colour: Extra"),
        ("broker_port = 0", "broker_port: "),
        ("x = ", "not TOML"),
        ("", "ca_file: Field required"),
    ],
)
def test_a_wrong_configuration_names_the_key(tmp_path, line, words):
    path = tmp_path / "community.toml"
    path.write_text(line)
    with pytest.raises(ConfigError, match=words):
        settings.load(path)


def test_junk_on_every_topic_is_an_alarm_and_the_rest_goes_on(site, linked):
    site.serve()
    _, outbox, _ = linked("d1")
    door = site.raw("s1/d9")
    junk = [b"", b"[", b"[{}]", b"\xff" * 100, b"x" * 250_000]
    for leaf in ("hello", "events", "alarm", "state", "reply", "other"):
        for payload in junk:
            door.publish(f"doors/s1/d9/up/{leaf}", payload, 1)
    outbox.append(record(1))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 2, "the honest door's row")
    until(lambda: alarms(site).count("malformed") == 10, "ten of them reported, so many a minute")
    assert set(alarms(site)) == {"malformed"}
    door.disconnect()
    door.loop_stop()


def test_one_door_cannot_write_rows_of_another_in_its_own_batch(site, linked):
    """The topic is its own, the content speaks for somebody else."""
    site.serve()
    _, outbox, _ = linked("d1")
    outbox.append(record(1))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 2, "the honest door's row")
    thief = site.raw("s1/d9")
    for leaf in ("hello", "events"):
        thief.publish(f"doors/s1/d9/up/{leaf}", json.dumps(examples()[leaf]), 1)
    until(lambda: alarms(site).count("malformed") == 2, "both reported")
    assert site.ledger().chain("lujiang/gate-1", "5eed" * 8) is None
    thief.disconnect()
    thief.loop_stop()


def test_a_database_that_is_away_costs_nothing(site, linked, monkeypatch):
    site.serve()
    _, outbox, _ = linked("d1")
    outbox.append(record(1))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 2, "the first row")
    real = Ledger.transaction

    def broken(self, devices=()):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Ledger, "transaction", broken)
    for n in range(2, 30):
        outbox.append(record(n))
    site.news.wait(lambda: "database" in alarms(site), "the alarm")
    assert outbox.status().acked_seq == 2
    monkeypatch.setattr(Ledger, "transaction", real)
    until(lambda: outbox.status().depth == 0, "the rest", 30)
    assert [n.what["body"].get("n") for n in site.news.all if n.kind == "event"] == [None, *range(1, 30)]
    assert alarms(site) == ["database"]


def test_a_silent_door_is_an_alarm_once(site, linked, monkeypatch):
    consumer = site.serve()
    _, outbox, _ = linked("d1")
    outbox.append(record(1))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 2, "the row")
    assert alarms(site) == []
    outbox.stop()
    consumer.stop()  # its thread owns the ledger; now this one does
    ledger = Ledger(type(consumer._ledger.db)(site.folder / "community.db"))
    monkeypatch.setattr(consumer, "_ledger", ledger)
    with ledger.transaction():
        ledger.heard("s1/d1", 1)
    consumer._look_for_silence()
    consumer._look_for_silence()
    assert alarms(site) == ["silence"]
    ledger.close()


def test_a_thread_that_ends_by_a_fault_ends_the_server_loudly(monkeypatch, capsys):
    """Half a server acknowledges nothing and looks alive."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    done = threading.Event()
    broken = end_with_any_thread(done)
    threading.Thread(target=lambda: 1 / 0, name="ledger").start()
    assert done.wait(5)
    assert broken == ["thread ledger ended: ZeroDivisionError: division by zero"]
    assert "Traceback" in capsys.readouterr().err
