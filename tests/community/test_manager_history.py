"""The manager's page to HTTP: what happened, day by day, as CSV, and the server's alarms with who saw to them."""

import csv
import io

import pytest

from agent.core.events import Kind, Priority
from agent.core.journal import Row
from deploy.community.database import SqliteConnection
from deploy.community.history import History
from deploy.community.ingest import Alarm, Chain, Taken
from deploy.community.office import Role


def store(page, rows):
    made = tuple(
        Row(
            "garden/gate-1",
            "e" * 32,
            n,
            "b",
            1,
            wall_ms,
            "ntp",
            str(kind),
            Priority.NORMAL,
            body,
            "0" * 64,
            f"{n:064x}",
        )
        for n, (wall_ms, kind, body) in enumerate(rows, 1)
    )
    with page.ledger.transaction():
        page.ledger.apply("garden/gate-1", Taken(Chain("e" * 32), made), 1)


NOON = 1_795_406_400_000  # 2026-11-23 04:00 UTC, noon in Xiamen


def test_a_day_is_the_managers_own_day_and_the_csv_says_the_same(page):
    store(page, [(NOON - 13 * 3_600_000, Kind.DOORBELL, {}), (NOON, Kind.ACCESS_TAKEN, {"person_id": "=p1"})])
    client = page.signed_in(Role.MANAGER)
    day = client.ask("GET", "/api/day?from=2026-11-23&zone=Asia/Shanghai").json
    assert [e["kind"] for e in day["events"]] == [str(Kind.ACCESS_TAKEN)]
    answer = client.ask("GET", "/api/events.csv?from=2026-11-22&days=2&zone=Asia/Shanghai")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["kind"] for row in rows] == [str(Kind.DOORBELL), str(Kind.ACCESS_TAKEN)]
    assert rows[1]["person"] == "'=p1"  # not a formula in anybody's spreadsheet
    assert answer.headers["Content-Disposition"] == 'attachment; filename="doors-2026-11-22-2-days.csv"'
    assert page.office.acts()[0].action == "export"


@pytest.mark.parametrize(
    "query", ["", "from=x&zone=UTC", "from=2026-11-23&zone=../etc/passwd", "from=2026-11-23&days=900"]
)
def test_a_span_without_sense_is_refused(page, query):
    assert page.signed_in(Role.MANAGER).ask("GET", f"/api/events.csv?{query}").status == 400


def test_long_histories_come_in_pieces_and_whole(page):
    store(page, [(NOON + n, Kind.DOORBELL, {"n": n}) for n in range(1201)])
    reader = History(lambda: SqliteConnection(page.folder / "community.db"))
    assert [e["body"]["n"] for e in reader.between(NOON, NOON + 5000)] == list(range(1201))
    assert list(reader.between(NOON, NOON + 5000, "garden/gate-2")) == []
    reader.close()


def test_a_day_of_thousands_is_shown_to_its_first_event_page_by_page(page):
    """One answer held the first 2,000 and the rest of the day could not be reached."""
    store(page, [(NOON + n // 3, Kind.DOORBELL, {"n": n}) for n in range(2301)])
    client, found, before = page.signed_in(Role.VIEWER), [], ""
    while before is not None:
        told = client.ask("GET", f"/api/day?from=2026-11-23&zone=Asia/Shanghai&before={before}").json
        assert told["more"] is (told["before"] is not None)
        found += [e["body"]["n"] for e in told["events"]]
        before = told["before"]
    assert found == list(reversed(range(2301)))
    assert client.ask("GET", "/api/day?from=2026-11-23&zone=UTC&before=x").status == 400


def alarm(page, word="silence", detail="nothing heard for 185 s", at_ms=NOON):
    with page.ledger.transaction():
        return page.ledger.alarm("garden/gate-1", Alarm(word, detail), at_ms)


def test_alarms_are_kept_and_say_who_saw_to_them_and_when(page):
    number = alarm(page)
    client = page.signed_in(Role.MANAGER, "Lin")
    (told,) = client.ask("GET", "/api/alarms").json["alarms"]
    assert (told["id"], told["word"], "seen_by" in told) == (number, "silence", False)
    for _ in range(2):  # two managers press at once: the first one stands
        assert client.ask("POST", f"/api/alarms/{number}/acknowledge", {}).status == 200
    (told,) = client.ask("GET", "/api/alarms").json["alarms"]
    assert (told["seen_by"], told["seen_ms"] >= NOON) == ("Lin", True)
    assert [(a.action, a.target, a.reason) for a in page.office.acts()[:2]] == [
        ("acknowledge-alarm", "garden/gate-1", "silence"), ("sign-in", "", ""),
    ]  # fmt: skip
    assert client.ask("POST", f"/api/alarms/{number + 1}/acknowledge", {}).status == 404
    assert page.signed_in(Role.VIEWER).ask("POST", f"/api/alarms/{number}/acknowledge", {}).status == 403


def test_many_alarms_come_in_pages(page):
    numbers = [alarm(page) for _ in range(60)]
    client = page.signed_in(Role.VIEWER)
    first = client.ask("GET", "/api/alarms").json
    rest = client.ask("GET", f"/api/alarms?before={first['before']}").json
    assert [a["id"] for a in first["alarms"] + rest["alarms"]] == numbers[::-1]
    assert (first["more"], rest["more"]) == (True, False)


def test_whoever_may_only_look_sees_no_silent_alarm(page):
    """Such a page stands open at the gate, in view of whoever forces a resident."""
    alarm(page, "duress", "p-1 pressed open under duress, and it did not open")
    store(page, [(NOON, Kind.DURESS, {"person_id": "p-1"})])
    page.event(1, Kind.DURESS, person_id="p-1")
    day = "/api/day?from=2026-11-23&zone=Asia/Shanghai"
    for role, seen in ((Role.VIEWER, 0), (Role.MANAGER, 1)):
        client = page.signed_in(role)
        assert len(client.ask("GET", "/api/alarms").json["alarms"]) == seen
        assert len(client.ask("GET", "/api/now").json["entries"]) == seen
        assert len(client.ask("GET", day).json["events"]) == seen
