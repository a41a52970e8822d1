"""What the manager's page shows as of now, while a door catches up on a month and after the server was restarted."""

from __future__ import annotations

import time

from agent.core.events import Kind
from agent.core.journal import GENESIS, ClockQuality, Row, sealed
from agent.wire import batch_json
from deploy.community.database import SqliteConnection
from deploy.community.feed import Feed
from deploy.community.ingest import Alarm, Chain, take_previews, take_rows
from deploy.community.intake import Intake, Message
from deploy.community.ledger import Ledger
from deploy.community.news import News

DAY_MS = 86_400_000
HERE, THERE, EPOCH = "s1/d1", "s1/d2", "e" * 32
NOW_MS = time.time_ns() // 1_000_000


def row(seq: int, at_ms: int, kind: Kind = Kind.DOORBELL, clock: ClockQuality = ClockQuality.NTP) -> Row:
    return sealed(Row(HERE, EPOCH, seq, "b", at_ms, at_ms, clock, str(kind), 3, {"n": seq}, GENESIS))


def news(kind: str, device: str, r: Row) -> News:
    what = {"epoch": r.epoch, "seq": r.seq, "kind": r.kind, "priority": 3, "clock": str(r.clock), "wall_ms": r.wall_ms}
    return News(kind, device, {**what, "at_ms": r.wall_ms, "at_clock": str(r.clock), "body": r.body})


def shown(feed: Feed) -> list[tuple[str, str, int]]:
    return [(e["type"], e["device"], e["seq"]) for e in feed.snapshot()["entries"]]


def test_what_a_door_catches_up_on_pushes_nothing_of_now_off_the_page():
    """An alarm that ran ahead of 400 rows of last month was gone from the page as soon as those came."""
    feed = Feed([], [])
    feed.add(news("event", THERE, row(7, NOW_MS - 60_000)))
    feed.add(news("preview", HERE, row(900, NOW_MS - 1000, Kind.DURESS)))
    for seq in range(1, 401):
        feed.add(news("event", HERE, row(seq, NOW_MS - 30 * DAY_MS + seq)))
    assert shown(feed)[-2:] == [("event", THERE, 7), ("preview", HERE, 900)]
    assert shown(feed)[0] == ("event", HERE, 103)
    assert len(shown(feed)) == 300
    feed.add(news("event", HERE, row(900, NOW_MS - 1000, Kind.DURESS)))
    assert shown(feed)[-2:] == [("event", THERE, 7), ("event", HERE, 900)]


def test_a_row_whose_clock_nobody_vouches_for_or_that_is_of_tomorrow_stands_where_it_came():
    feed = Feed([], [])
    feed.add(news("event", THERE, row(1, NOW_MS - 60_000)))
    feed.add(news("event", HERE, row(2, 1000, clock=ClockQuality.NONE)))
    feed.add(news("event", HERE, row(3, NOW_MS + DAY_MS, clock=ClockQuality.RTC)))
    feed.add(news("event", HERE, row(4, 2000, clock=ClockQuality.FLOOR)))
    assert [seq for _, _, seq in shown(feed)] == [1, 2, 3, 4]


def test_an_alarm_that_ran_ahead_is_still_there_after_the_server_was_restarted(tmp_path):
    """Until its place in the chain was reached it stood nowhere: the door had been told that it was seen."""
    ledger = Ledger(SqliteConnection(tmp_path / "c.db"))
    with ledger.transaction():
        ledger.apply(HERE, take_previews(Chain(EPOCH), [row(900, NOW_MS, Kind.DURESS)]), NOW_MS)
    feed = Feed(ledger.newest(200), ledger.doors())
    (entry,) = feed.snapshot()["entries"]
    assert (entry["type"], entry["device"], entry["seq"], entry["kind"]) == ("preview", HERE, 900, str(Kind.DURESS))
    first = row(1, NOW_MS)
    with ledger.transaction():
        ledger.apply(HERE, take_rows(Chain(EPOCH), [first], lambda _: None), NOW_MS)
    assert len(Feed(ledger.newest(200), ledger.doors()).snapshot()["entries"]) == 2
    with ledger.transaction():
        ledger.db.execute("UPDATE chains SET next = 901")
    assert [e["type"] for e in Feed(ledger.newest(200), ledger.doors()).snapshot()["entries"]] == ["event"]
    ledger.close()


def test_an_alarm_that_is_sent_ahead_again_is_told_once(tmp_path):
    """Its acknowledgement was lost: the page had it as another one, also when its row had come already."""
    ledger = Ledger(SqliteConnection(tmp_path / "c.db"))
    intake = Intake(ledger)
    ahead = batch_json(HERE, [row(1, NOW_MS)], epoch=EPOCH, now_ms=NOW_MS)
    kinds = []
    for leaf in ("alarm", "alarm", "events", "alarm"):
        with ledger.transaction():
            outcome = intake.take(Message(f"doors/{HERE}/up/{leaf}", ahead), NOW_MS)
        kinds.append([n.kind for n in outcome.news])
    assert kinds == [["preview"], [], ["event"], []]
    assert outcome.ack.seen == (1,)
    ledger.close()


def test_a_door_that_fell_silent_is_not_shown_as_connected_until_it_speaks_again(tmp_path):
    """Its broker came back with what it had kept, the door did not: it stood there as connected and locked for good."""
    ledger = Ledger(SqliteConnection(tmp_path / "c.db"))
    feed, said = Feed([], []), b'{"online":true,"door":{"lock":"secured"}}'

    def says(intake: Intake, *, kept: bool) -> bool:
        with ledger.transaction():
            for n in intake.take(Message(f"doors/{HERE}/up/state", said, kept), NOW_MS).news:
                feed.add(n)
        return feed.snapshot()["doors"][HERE]["online"]

    intake = Intake(ledger)
    assert says(intake, kept=True)
    number = feed.snapshot()["number"]
    with ledger.transaction():
        assert [door for door, _ in ledger.silent(NOW_MS + 1, "%")] == [HERE]
        for n in intake.alarms(HERE, [Alarm("silence", "nothing heard for 180 s")], NOW_MS):
            feed.add(n)
    assert not feed.snapshot()["doors"][HERE]["online"]
    assert [e["online"] for e in feed.after(number, 0) if e["type"] == "state"] == [False]
    assert [online for _, _, online, _ in ledger.doors()] == [False]
    assert not says(Intake(ledger), kept=True)  # the server was restarted
    assert says(intake, kept=False)
    assert [online for _, _, online, _ in ledger.doors()] == [True]
    ledger.close()
