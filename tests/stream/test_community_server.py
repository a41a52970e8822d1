"""The community server as a whole: configuration, page, and its answers to junk, silence and a broken database."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from agent.core.events import Kind
from agent.core.journal import GENESIS, ClockQuality, Row, sealed
from agent.core.stream import LinkUp
from agent.errors import ConfigError
from deploy.community import consumer, settings
from deploy.community.__main__ import _publisher, end_with_any_thread, main
from deploy.community.consumer import doors_like
from deploy.community.database import SqliteConnection
from deploy.community.describe import examples
from deploy.community.feed import Feed
from deploy.community.history import History
from deploy.community.ingest import Chain, Taken
from deploy.community.intake import Intake, Message
from deploy.community.key_files import check_keys
from deploy.community.ledger import Ledger
from deploy.community.people import People
from deploy.community.publisher import Publisher
from deploy.pki import Authority, private_pem
from deploy.site_pki import SiteAuthority
from tests.stream.conftest import record, until

PUBLIC = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)
P256 = private_pem(ec.generate_private_key(ec.SECP256R1()))
README = Path(settings.__file__).parent / "README.md"


def alarms(site) -> list[str]:
    return [n.what["word"] for n in site.news.all if n.kind == "alarm"]


def test_the_readme_has_every_key_and_every_alarm():
    text = README.read_text()
    assert settings.table() in text
    words = "rows-lost restored fork cloned damaged gap contradicted silence malformed poison database link refused"
    for word in (*words.split(), "rollout"):
        assert f"| `{word}` |" in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("colour = 1", "colour: unknown key"),
        ("broker_port = 0", "broker_port: "),
        ("x = ", "not valid TOML"),
        ("", "ca_file: is required and missing"),
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


def test_a_silent_door_is_an_alarm_once_and_again_after_it_was_heard(site, linked, monkeypatch):
    monkeypatch.setattr(consumer, "_CHECK_S", 0.02)
    site.serve(silence_s=0.5)
    _, outbox, _ = linked("d1")
    outbox.append(record(1))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 2, "the row")
    silences = lambda: [n.device for n in site.news.all if n.kind == "alarm" and n.what["word"] == "silence"]  # noqa: E731
    until(lambda: silences() == ["s1/d1"], "the alarm")
    outbox.append(record(2))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 3, "the next row")
    until(lambda: silences() == ["s1/d1"] * 2, "the next alarm")
    assert alarms(site) == ["silence"] * 2


def test_what_the_broker_kept_is_no_word_of_a_door(site, linked):
    """Each reconnection of the server set every dead door to "heard just now"."""
    server = site.serve()
    link, _, posts = linked("d1")
    posts.wait_for(LinkUp)
    link.set_state({"door": {"lock": "secured"}})
    site.news.wait(lambda: any(n.kind == "state" for n in site.news.all), "the state")
    link.stop()
    site.news.wait(lambda: any(n.kind == "state" and not n.what["online"] for n in site.news.all), "the last will")
    ledger = site.ledger()
    ((_, heard_ms, online, _),) = ledger.doors()
    server.stop()
    site.serve()
    until(lambda: [n.kept for n in site.news.all if n.kind == "state"][-1], "the kept state")
    assert ledger.doors() == [("s1/d1", heard_ms, False, {"online": False})]
    assert not online
    feed = Feed([], [])
    for n in site.news.all:
        feed.add(n)
    assert feed.snapshot()["doors"]["s1/d1"]["heard_ms"]


def test_a_kept_state_does_not_take_the_place_of_a_newer_one(tmp_path):
    """RabbitMQ keeps a copy on each node: a server that changes nodes is given what a door said long ago."""
    ledger = Ledger(SqliteConnection(tmp_path / "c.db"))
    intake = Intake(ledger)
    kept, own = (Message("doors/s1/d1/up/state", b'{"online":%s}' % w, w == b"false") for w in (b"false", b"true"))
    assert [n.kept for n in intake.take(kept, 5).news] == [True]
    assert [n.kept for n in intake.take(own, 5).news] == [False]
    assert intake.take(kept, 5).news == []
    intake.connected()
    assert [n.what for n in intake.take(kept, 5).news] == [{"online": False}]
    ledger.close()


@pytest.mark.parametrize(
    ("subscription", "names"),
    [
        ("doors/+/+/up/#", "%"), ("doors/lujiang/+/up/#", "lujiang/%"), ("doors/#", "%"), ("#", "%"),
        ("$share/servers/doors/lujiang/+/up/#", "lujiang/%"), ("doors/+/gate-1/up/#", "%/gate-1"),
        ("doors/lujiang/gate-1/up/#", "lujiang/gate-1"),
    ],
)  # fmt: skip
def test_silence_is_looked_for_among_the_doors_of_the_subscription(subscription, names):
    assert doors_like(subscription) in (names, f"{names}/%")


def test_receipts_are_read_again_only_from_where_they_may_not_have_been_taken(tmp_path, monkeypatch):
    """Each start read every event about rosters that the ledger had, and looked for them without an index."""
    ledger, people = Ledger(SqliteConnection(tmp_path / "c.db")), People(tmp_path / "people")
    body = {"state": "FacePurged", "receipt": {}}
    rows = [Row("s1/d1", "e" * 32, n, "b", n, 1, ClockQuality.NTP, Kind.ROSTER, 1, {**body, "n": n}, GENESIS)
            for n in (1, 2, 3)]  # fmt: skip
    with ledger.transaction():
        ledger.apply("s1/d1", Taken(Chain("e" * 32), tuple(map(sealed, rows))), 1)
    plan = ledger.db.execute("EXPLAIN QUERY PLAN SELECT device FROM events WHERE kind = 'Agent/Roster' AND id > 5")
    assert "events_of_rosters" in str(plan)
    history, read = History(lambda: SqliteConnection(tmp_path / "c.db")), []
    monkeypatch.setattr(Publisher, "receipt", lambda _self, _device, said: read.append(said["n"]))
    authority = Authority(tmp_path / "ca")
    made = SimpleNamespace(signing_key_file=authority.signing_key("server").key, ca_file=authority.cert,
                           expired_keep_days=7, passes_keep_days=7, proof_keep_days=30)  # fmt: skip
    start = lambda: _publisher(made, people, ledger, lambda *_alarm: None, history)  # noqa: E731
    hourly = start()._forget
    assert read == [1, 2, 3]
    hourly()
    hourly()  # an hour later, what came before is taken for sure
    start()
    assert read == [1, 2, 3]
    people.read_receipts(900)  # of a ledger that is no more
    start()
    assert read == [1, 2, 3] * 2
    history.close()
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


def test_an_alarm_of_another_part_of_the_server_is_stored_as_well(site):
    """A press under duress that opened nothing was shown to whoever had the page open, and then gone."""
    server = site.serve()
    server.alarm("s1/d1", "duress", "p-1 pressed open under duress, and it did not open")
    until(lambda: [n for n in site.news.all if n.kind == "alarm"], "the alarm told")
    (told,) = [n.what for n in site.news.all if n.kind == "alarm"]
    stored = site.ledger().db.execute("SELECT id, device, word FROM alarms")
    assert stored == [(told["id"], "s1/d1", "duress")]


def keyed(folder, **more):
    """The server's configuration with keys of its own; `more`: what another key's file holds."""
    parts = SiteAuthority.create(folder / "pki", "garden")
    files = {"ca": parts.cert, "cert": parts.cert, "key": parts.signing_key("server").key}
    files |= {"signing_key": parts.signing_key("server").key, "command_key": parts.signing_key("manager").key}
    for name, data in more.items():
        files[name] = folder / name
        files[name].write_bytes(data)
    path = folder / "community.toml"
    path.write_text("".join(f"{name}_file = '{file}'\n" for name, file in files.items()))
    return path


@pytest.mark.parametrize("name", ["signing_key", "command_key"])
@pytest.mark.parametrize("data", [b"", b"no key", PUBLIC, P256], ids=["empty", "text", "public half", "other kind"])
def test_a_key_that_signs_nothing_is_said_before_anything_starts(tmp_path, capsys, name, data):
    """One was a traceback, the other was found out by the first order."""
    assert main(["--config", str(keyed(tmp_path, **{name: data}))]) == 3
    assert f"{name}_file {tmp_path / name}: is " in capsys.readouterr().err
    assert not (tmp_path / "community.db").exists()


def test_a_private_key_that_others_can_read_is_named(tmp_path):
    settings_ = settings.load(keyed(tmp_path))
    assert check_keys(settings_) == []
    settings_.command_key_file.chmod(0o644)
    (warning,) = check_keys(settings_)
    assert f"chmod 600 {settings_.command_key_file}" in warning
