"""Consent for a face: nothing without it, and a withdrawal that leaves no byte of a template behind, with a receipt."""

import base64
import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from roster_world import Door, Site, unit_vector, until

from agent.clock import SystemClock
from agent.core.events import Kind
from agent.core.roster import FACE_PURPOSE, SITE_PURPOSE, Consent
from agent.enrolment import ConsoleAsked, EnrolmentDesk
from agent.errors import ConfigError
from agent.known_time import KnownTime
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from agent.status import StatusBoard
from deploy.community.people import People

pytestmark = pytest.mark.slow

VECTOR = unit_vector()
BOUND_S = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


def enrolled_at(door: Door, vector: bytes = VECTOR) -> tuple[str, list[bytes]]:
    """Somebody enrolled at this door: the id, and every form in which the template could lie on the disk."""
    with contextlib.closing(RosterStore(door.state)) as store:
        residents = Residents(store)
        residents.add("Bo", consent_now(1), [NewFace(secrets.token_bytes(1024), 0.9)], "net", "five")
        person = residents.add("Li Mei", consent_now(1_790_000_000), [NewFace(vector, 0.9)], "net", "five")
    return person.id, forms(door.state, person.id, vector)


def forms(folder: Path, person_id: str, vector: bytes) -> list[bytes]:
    with contextlib.closing(sqlite3.connect(folder / "roster.db")) as db:
        [(nonce, sealed)] = db.execute(
            "SELECT nonce, sealed FROM templates WHERE person_id = ?", (person_id,)
        ).fetchall()
    plain = [vector[at : at + 48] for at in (0, 480, 960)]
    coded = [form for piece in plain for form in (base64.b64encode(piece), piece.hex().encode())]
    return [*plain, *coded, nonce, sealed[:48], sealed[500:548], sealed[-48:]]


def left_over(folder: Path, pieces: list[bytes]) -> list[str]:
    """Files below a folder in which any of these bytes stand."""
    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        found += [path.name] if any(piece in data for piece in pieces) else []
    return found


def receipts(site: Site, person_id: str) -> dict[str, int]:
    [one] = [w for w in site.people.withdrawals() if w["person_id"] == person_id]
    return {receipt["device"]: receipt["templates"] for receipt in one["receipts"]}


def test_a_withdrawal_at_the_office_purges_a_face_that_only_the_door_knew_and_brings_the_doors_receipt(site: Site):
    site.people.set_door("garden/gate-1", ["*"])
    site.serve()
    door = site.door()
    person_id, pieces = enrolled_at(door)
    assert left_over(door.folder, pieces) == ["roster.db"]
    door.start().look()
    until(lambda: any(d["held"] and not d["drift"] for d in site.people.drift()), door._words)
    began_s = time.monotonic()
    site.people.withdraw(person_id)
    until(lambda: receipts(site, person_id) == {"garden/gate-1": 1}, door._words, BOUND_S)
    assert time.monotonic() - began_s < BOUND_S
    assert left_over(site.folder, pieces) == []  # store, write-ahead log, journal, logs, the server's own files
    until(lambda: not site.people.withdrawals()[0]["waiting"], "the door's word that it knows")
    removed = []
    while not removed:
        message = door.vision.recv(5)
        assert message is not None
        removed += message["person_ids"] if message["type"] == "gallery_remove" else []
    assert removed == [person_id]  # the vision process overwrites the vector, see models/gallery.py
    with contextlib.closing(RosterStore(door.state)) as store:
        kept = store.person(person_id)
        assert (kept["faces"], kept["enabled"], len(list(store.templates("net", "five")))) == ([], True, 1)
        assert kept["consent"]["withdrawn_utc_s"] is not None
    [row] = [r for r in door.rows(str(Kind.ROSTER)) if r["state"] == "FacePurged"]
    forged = {**row, "receipt": {**row["receipt"], "person_id": "somebody-else"}}
    for device, body in ((door.name, forged), ("garden/gate-2", row)):
        with pytest.raises(ValueError, match="not signed by this door"):
            site.publisher.receipt(device, body)


def test_a_distributed_face_goes_from_every_door_and_from_one_that_was_offline_at_first_contact(site: Site):
    site.people.put({"id": "p-li", "consent": {**CONSENT, "purpose": SITE_PURPOSE}})
    site.people.add_faces("p-li", [NewFace(VECTOR, 0.9)], "net", "five")
    site.serve()
    doors = [site.door(f"gate-{n}") for n in (1, 2)]
    for door in doors:
        site.people.set_door(door.name, ["*"])
        door.start()
    pieces = forms(site.people.folder, "p-li", VECTOR)
    for door in doors:
        until(lambda door=door: stored_faces(door), door._words)
        pieces += forms(door.state, "p-li", VECTOR)
    doors[1].kill()
    site.people.withdraw("p-li")
    until(lambda: receipts(site, "p-li") == {"garden/gate-1": 1}, doors[0]._words, BOUND_S)
    # a process that was killed leaves its write-ahead log as it lay: there, in the store, or in both
    assert {"roster.db", "roster.db-wal"} >= set(left_over(doors[1].folder, pieces)) != set()
    until(lambda: site.people.withdrawals()[0]["waiting"] == ["garden/gate-2"], "gate-1 knows, gate-2 does not")
    doors[1].start()
    until(lambda: receipts(site, "p-li") == {"garden/gate-1": 1, "garden/gate-2": 1}, doors[1]._words, BOUND_S)
    assert left_over(site.folder, pieces) == []


def stored_faces(door: Door) -> int:
    with contextlib.closing(RosterStore(door.state)) as store:
        return store.template_count()


def test_a_withdrawal_at_the_door_holds_against_the_server_and_leaves_nothing_while_the_agent_reads(site: Site):
    """The store is in use by the running agent when the command deletes: its write-ahead log must be emptied too."""
    site.people.put({"id": "p-li", "consent": {**CONSENT, "purpose": SITE_PURPOSE}})
    site.people.add_faces("p-li", [NewFace(VECTOR, 0.9)], "net", "five")
    site.people.set_door("garden/gate-1", ["*"])
    site.serve()
    door = site.door().start()
    until(lambda: stored_faces(door), door._words)
    pieces = forms(door.state, "p-li", VECTOR)
    done = door.command("enroll", "--withdraw", "p-li", "--json")
    assert (done.returncode, json.loads(done.stdout)["templates"]) == (0, 1)
    door.wrote(state="FacePurged", person_id="p-li", purged="withdrawn", templates=1)
    assert left_over(door.folder, pieces) == []
    site.people.put({"id": "p-li", "extended_release": True})  # the server still has the old consent
    until(lambda: any(r.get("base") for r in door.rows(str(Kind.ROSTER))), "the server's next word on her")
    assert stored_faces(door) == 0
    site.people.put(
        {"id": "p-li", "consent": {**CONSENT, "purpose": SITE_PURPOSE, "given_utc_s": int(time.time()) + 9}}
    )
    site.people.add_faces("p-li", [NewFace(unit_vector(), 0.9)], "net", "five")
    until(lambda: stored_faces(door), "the face of the new consent")


CONSENT = {"purpose": FACE_PURPOSE, "given_utc_s": 1_790_000_000, "under_14": False, "guardian": None,
           "withdrawn_utc_s": None}  # fmt: skip


@pytest.mark.parametrize(
    "consent",
    [None, CONSENT, {**CONSENT, "purpose": SITE_PURPOSE, "under_14": True},
     {**CONSENT, "purpose": SITE_PURPOSE, "under_14": True, "guardian": " "},
     {**CONSENT, "purpose": SITE_PURPOSE, "withdrawn_utc_s": 1_790_000_001}],
    ids=["none", "for one door only", "a child alone", "a child's without a name", "withdrawn"],
)  # fmt: skip
def test_the_server_takes_no_face_for_all_doors_without_a_consent_for_that(tmp_path: Path, consent):
    people = People(tmp_path)
    people.put({"id": "p-li", "consent": consent})
    with pytest.raises(ConfigError, match="consent of its own"):
        people.add_faces("p-li", [NewFace(VECTOR, 0.9)], "net", "five")


class Vision:
    def __init__(self) -> None:
        self.sent: list[object] = []

    def send(self, messages) -> bool:
        self.sent += messages
        return True


@pytest.mark.parametrize(
    ("arguments", "starts"),
    [
        ({"name": "An"}, False),
        ({"name": "An", "consent": "yes"}, False),
        ({"name": "An", "consent": True}, True),
        ({"name": "An", "consent": True, "under_14": True}, False),
        ({"name": "An", "consent": True, "under_14": True, "guardian": "  "}, False),
        ({"name": "An", "consent": True, "under_14": True, "guardian": "Li Mei"}, True),
    ],
)
def test_the_camera_collects_nothing_before_there_is_a_lawful_consent(arguments: dict, *, starts: bool):
    vision = Vision()
    known = KnownTime(SystemClock(), ZoneInfo("UTC"), lambda: 0.0)
    EnrolmentDesk(None, vision, StatusBoard({}), known, None).asked(ConsoleAsked("enrol_start", arguments))
    assert bool(vision.sent) is starts


def test_a_guardians_name_and_everybody_elses_stay_at_the_office(tmp_path: Path):
    people = People(tmp_path)
    people.put({"id": "p-an", "name": "An", "consent": {**CONSENT, "under_14": True, "guardian": "Wang Fang"}})
    people.set_door("garden/gate-1", ["*"])
    entries = people.entries(people.doors()["garden/gate-1"])
    body = json.loads(entries["person", "p-an"])
    assert body["name"] == ""
    assert Consent(**body["consent"]).lawful
    assert "Wang" not in str(entries)


def test_the_office_forgets_what_was_kept_long_enough(tmp_path: Path):
    people, now_s, day_s = People(tmp_path), int(time.time()), 86_400
    people.put({"id": "p-over", "valid_until_utc_s": now_s - 8 * day_s})
    people.put({"id": "p-just", "valid_until_utc_s": now_s - 6 * day_s})
    people.put({"id": "p-li"})
    people.withdraw("p-li")
    with people.site() as db:
        db.execute("INSERT INTO passes VALUES ('old', '{}', ?, NULL), ('new', '{}', ?, NULL)",
                   (now_s - 31 * day_s, now_s - 29 * day_s))  # fmt: skip
        db.execute("INSERT INTO withdrawals VALUES ('p-long-ago', ?)", (now_s - 1096 * day_s,))
    people.forget(7, 30, 1095)
    assert set(people.roster().persons) == {"p-just", "p-li"}
    with people.site() as db:
        assert db.execute("SELECT pass_id FROM passes").fetchall() == [("new",)]
    assert [one["person_id"] for one in people.withdrawals()] == ["p-li"]
