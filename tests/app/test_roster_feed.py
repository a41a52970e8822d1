"""The roster from the server to real doors through a real broker: whole, by differences, and nothing else is taken."""

import contextlib
import json
import secrets
import shutil
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path

import pyseto
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_world import Door, NoVision, Site, unit_vector, until

from agent import roster_intake
from agent.core import roster_feed
from agent.core.bounded import Rejected, written
from agent.core.journal import canonical
from agent.core.roster import FACE_PURPOSE, SITE_PURPOSE, Consent, FaceTemplate, Person, person_json
from agent.core.roster_feed import Head, Part, Put, Template, cut, message, seal_binding
from agent.core.stream import RosterArrived
from agent.identity import Identity, seal
from agent.residents import NewFace, Residents
from agent.roster_clerk import RosterClerk
from agent.roster_intake import signed
from agent.roster_news import RosterOpened, RosterRead
from agent.roster_store import RosterStore
from deploy.community import publisher
from deploy.pki import Authority

pytestmark = pytest.mark.slow

DOOR = "garden/gate-1"
VECTOR = unit_vector()
CONSENT = {"purpose": SITE_PURPOSE, "given_utc_s": 1_790_000_000, "under_14": False, "guardian": None,
           "withdrawn_utc_s": None}  # fmt: skip
OFFICE = {"id": "office", "windows": [{"days": ["mon", "holiday"], "start_min": 480, "end_min": 1080}]}


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


def held(door: Door) -> dict:
    with contextlib.closing(RosterStore(door.state)) as store:
        return {"revision": store.revision, **store.snapshot()}


def in_step(site: Site, door: Door) -> bool:
    """The server has heard from the door that it has what it should have."""
    return any(d["device"] == door.name and d["held"] and not d["drift"] for d in site.people.drift())


def test_people_hours_and_sealed_faces_reach_the_door_and_later_only_what_changed(site: Site):
    site.people.put(
        {"id": "p-li", "name": "Li Mei", "groups": ["block-1"], "consent": CONSENT, "extended_release": True}
    )
    site.people.put({"id": "p-bo", "name": "Bo", "groups": ["block-2"]})
    site.people.set_hours({"schedules": [OFFICE], "holidays": ["2026-10-01"]})
    site.people.put({"id": "p-wu", "groups": ["block-1"], "schedules": ["office"], "valid_until_utc_s": 2_000_000_000})
    site.people.add_faces("p-li", [NewFace(VECTOR, 0.9)], "net", "five")
    site.people.set_door("garden/gate-1", ["block-1"])
    site.serve()
    door = site.door()
    with contextlib.closing(RosterStore(door.state)) as store:
        local = Residents(store).add("Local Neighbour", None, (), "", "").id
    door.start()
    until(lambda: in_step(site, door), door._words)
    until(lambda: [p for p in held(door)["persons"] if p["faces"]], "the face")
    people = {p["id"]: p for p in held(door)["persons"]}
    assert set(people) == {"p-li", "p-wu", local}  # no other block's people, and whoever was enrolled here
    assert people["p-li"]["extended_release"]
    assert people["p-wu"]["schedules"] == ["office"]
    assert people["p-wu"]["valid_until_utc_s"] == 2_000_000_000
    assert held(door)["schedules"] == [OFFICE]
    assert held(door)["holidays"] == ["2026-10-01"]
    with contextlib.closing(RosterStore(door.state)) as store:
        assert [t.vector for t in store.templates("net", "five")] == [VECTOR]
    on_disk = door.bytes_on_disk()
    assert VECTOR[:32] not in on_disk  # sealed at rest
    assert b"Li Mei" not in on_disk  # a door gets ids
    site.people.put({"id": "p-li", "enabled": False})
    row = until(lambda: [r for r in door.rows("Agent/Roster") if r.get("base")], "an applied difference")[-1]
    assert row["state"] == "Applied"
    assert row["revision"] > row["base"]
    until(lambda: not {p["id"]: p for p in held(door)["persons"]}["p-li"]["enabled"], "the change")
    site.people.remove("p-wu")
    until(lambda: {p["id"] for p in held(door)["persons"]} == {"p-li", local}, "the removal")
    refused = door.command("enroll", "--remove", "p-li")
    assert refused.returncode == 4
    assert "kept by the server" in refused.stderr


def test_a_change_made_while_the_door_or_the_server_is_away_comes_when_both_are_there(site: Site):
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li"})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    door.kill()
    site.people.put({"id": "p-bo"})
    door.start()
    until(lambda: len(held(door)["persons"]) == 2 and in_step(site, door), door._words)
    site.stop_serving()
    site.people.put({"id": "p-cai"})
    site.serve()
    until(lambda: len(held(door)["persons"]) == 3 and in_step(site, door), door._words)


class Posts(list):
    """What the clerk said of the server's messages."""

    def __call__(self, event: object) -> None:
        if not isinstance(event, RosterRead | RosterOpened):
            self.append(event)


@pytest.fixture
def clerk(tmp_path: Path, monkeypatch):
    """A door's clerk by itself, at revision 2 with one person; and `says`, which gives it a message and waits."""
    monkeypatch.setattr(roster_intake, "_TOLD_EVERY_S", 0.0)
    authority = Authority(tmp_path / "ca")
    pair, signing = authority.device(DOOR), authority.signing_key("server")
    (tmp_path / "state").mkdir()
    identity = Identity(DOOR, pair.cert, pair.key, tmp_path / "state")
    public = pyseto.Key.new(version=4, purpose="public", key=signing.cert.read_bytes())
    private = pyseto.Key.new(version=4, purpose="public", key=signing.key.read_bytes())
    stranger = authority.signing_key("stranger").key.read_bytes()
    posts = Posts()
    clerk = RosterClerk(DOOR, tmp_path / "state", posts, NoVision(), key=public, identity=identity, floor=0)
    clerk.start()

    def says(what: Part | bytes, *, door: str = DOOR, key=private, keep: bool = False):
        seen = len(posts)
        token = what if isinstance(what, bytes) else signed(key, door, message(what))
        clerk.take(RosterArrived(token, keep))
        return lambda: until(lambda: posts[seen:], "an answer")[0]

    says.folder, says.private, says.posts = tmp_path / "state", private, posts
    says.stranger = pyseto.Key.new(version=4, purpose="public", key=stranger)
    says.identity = identity
    assert says(part(2))().revision == 2
    yield says
    clerk.stop()


def part(revision: int, *names: str, base: int | None = None, digest: str | None = None, more: tuple = ()) -> Part:
    """A good message that leads to a roster of these people (one of the name p-li if none is given)."""
    put = [Put("person", name, canonical(person_json(Person(id=name)))) for name in names or ("p-li",)]
    after = roster_feed.applied(entries("p-li") if base else {}, put)
    operations = (*put, *more)
    return Part(revision, base, digest or roster_feed.digest(after), secrets.token_hex(8), 1, 1, operations)


def entries(*names: str) -> dict:
    return {("person", name): canonical(person_json(Person(id=name))) for name in names}


def test_rubbish_replayed_rolled_back_partial_and_other_doors_chunks_are_refused_each_with_its_reason(clerk):
    good = signed(clerk.private, DOOR, message(part(3)))
    wrong = {
        "malformed": clerk(b"rubbish"),
        "oversized": clerk(b"x" * 220_000),
        "bad-signature": clerk(part(3), key=clerk.stranger),
        "other-door": clerk(part(3), door="garden/gate-2"),
        "rolled-back": clerk(part(1)),
        "replayed": clerk(part(2)),
        "no-such-base": clerk(part(3, base=1)),
        "bad-digest": clerk(part(3, digest="0" * 64)),
        "retained": clerk(part(3), keep=True),
    }
    reasons = [answer() for answer in wrong.values()]
    until(lambda: len(clerk.posts) == 1 + len(wrong), lambda: str(clerk.posts))
    assert [refused.reason for refused in clerk.posts[1:]] == list(wrong)
    assert reasons
    half = replace(part(3), parts=2)
    clerk(half)
    altered = bytearray(good)
    altered[40] ^= 1
    assert clerk(bytes(altered))().reason == "bad-signature"
    for words in (
        {"type": "part"},
        {"type": "head", "revision": True},
        [],
        {"type": "part", "operations": [{}] * 3000},
    ):
        assert clerk(signed(clerk.private, DOOR, words))().reason == "malformed"
    with contextlib.closing(RosterStore(clerk.folder)) as store:
        assert store.revision == 2
        assert [p["id"] for p in store.snapshot()["persons"]] == ["p-li"]
    applied = clerk(good)()
    assert (applied.revision, applied.persons) == (3, 1)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("purpose", "not-lawful"), ("unlawful", "not-lawful"), ("missing", "face-missing"),
        ("for another door", "not-sealed-for-this-door"), ("of another person", "not-sealed-for-this-door"),
        ("twice the same phone", "malformed"), ("an unknown schedule", "malformed"),
        ("a template of length 2", "malformed"), ("a template of length 0.8", "malformed"),
        ("a template of no length", "malformed"),
    ],
)  # fmt: skip
def test_a_sending_that_is_signed_but_wrong_changes_nothing_at_all(clerk, broken: str, reason: str):
    """One transaction: the good people of the same sending do not come either."""
    consent = Consent(SITE_PURPOSE if broken != "purpose" else FACE_PURPOSE, 1_790_000_000, broken == "unlawful", None)
    face = FaceTemplate("t-1", "net", "five")
    body = {**person_json(Person(id="p-a")), "consent": written(consent), "faces": [written(face)]}
    if broken == "twice the same phone":
        body |= {"phones": [{"key_id": "k", "public_key": "AAAA", "enabled": True}] * 2, "faces": []}
    if broken == "an unknown schedule":
        body |= {"schedules": ["office"], "faces": []}
    door, person = ("garden/gate-2", "p-a") if broken == "for another door" else (DOOR, "p-a")
    binding = seal_binding(door, "p-b" if broken == "of another person" else person, "t-1", "net", "five")
    vector = {
        "a template of length 2": struct.pack("<256f", 2.0, *[0.0] * 255),
        "a template of length 0.8": struct.pack("<256f", 0.8, *[0.0] * 255),
        "a template of no length": b"",
    }
    sealed = seal(clerk.identity._public, vector.get(broken, VECTOR), binding)
    template = Template("p-a", "t-1", "net", "five", 0.9, sealed)
    puts = [Put("person", "p-a", canonical(body)), Put("person", "p-b", canonical(person_json(Person(id="p-b"))))]
    digest = roster_feed.digest({("person", p.id): p.body for p in puts})
    operations = (*puts, *(() if broken in ("missing", "twice the same phone") else (template,)))
    refused = clerk(Part(3, None, digest, "s", 1, 1, operations))()
    assert (refused.reason, refused.revision) == (reason, 3)
    with contextlib.closing(RosterStore(clerk.folder)) as store:
        assert [p["id"] for p in store.snapshot()["persons"]] == ["p-li"]
        assert store.template_count() == 0
        assert (store.revision, roster_feed.digest(store.entries())) == (2, roster_feed.digest(entries("p-li")))


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SETS = st.dictionaries(st.tuples(st.sampled_from(roster_feed.KINDS), WORDS), WORDS, max_size=6)


@settings(max_examples=100, deadline=None)
@given(SETS, SETS)
def test_the_difference_leads_from_one_set_to_the_other_and_digests_are_equal_only_then(before: dict, after: dict):
    assert roster_feed.applied(before, roster_feed.difference(before, after)) == after
    assert (roster_feed.digest(before) == roster_feed.digest(after)) is (before == after)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["part", "head", "put"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["type", "revision", "base", "digest", "operations", "kind", "id", "body"]), inner, max_size=8),
    max_leaves=12).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_signed_words_of_any_shape_are_read_or_rejected_never_a_crash(words: bytes):
    assert isinstance(roster_feed.read(words), Head | Part | Rejected)


def test_an_old_roster_file_is_noticed_and_mended_and_nothing_older_is_taken_meanwhile(site: Site, tmp_path: Path):
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li"})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    door.kill(hard=False)
    shutil.copytree(door.state, tmp_path / "old")
    door.start()
    site.people.remove("p-li")
    until(lambda: not held(door)["persons"] and in_step(site, door), door._words)
    door.wrote(kind="Agent/Roster", state="Applied", persons=0)
    door.kill(hard=False)
    site.stop_serving()
    for name in ("roster.db", "roster.db-wal", "roster.db-shm"):
        (door.state / name).unlink(missing_ok=True)
        if (tmp_path / "old" / name).exists():
            shutil.copy(tmp_path / "old" / name, door.state / name)
    assert held(door)["persons"]  # whoever moved out is back
    door.start()
    door.wrote(kind="Agent/Roster", state="RolledBack")
    site.serve()
    until(lambda: not held(door)["persons"] and in_step(site, door), door._words)


def test_a_server_restored_from_a_backup_goes_on_above_what_the_door_has(site: Site):
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li"})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    site.stop_serving()
    with contextlib.closing(sqlite3.connect(site.people.folder / "site.db")) as db, db:
        db.execute("UPDATE published SET revision = revision - 1000000 WHERE revision > 0")
        db.execute("UPDATE published SET revision = 1")
    site.people.put({"id": "p-bo"})
    for n in range(3):
        site.people.publish(door.name, {("site", ""): f'{{"holidays":["2026-10-0{n + 1}"]}}'})
    site.serve()
    until(lambda: len(held(door)["persons"]) == 2 and in_step(site, door), door._words)


def test_drift_shows_at_the_door_and_at_the_server_and_is_mended(site: Site, monkeypatch):
    """Somebody edits the door's file by hand: the digest differs, the server sends the whole roster again."""
    monkeypatch.setattr(publisher, "_AGAIN_S", 0.5)
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li", "enabled": False})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    door.kill(hard=False)
    with contextlib.closing(RosterStore(door.state)) as store:  # somebody with the key beside the file
        store._seal.teach(store._db)
        for table, kind, was in (
            ("managed", "'managed ' || kind", '"enabled":'),
            ("persons", "'person'", '"enabled": '),
        ):
            altered = f"replace(unseal({kind}, id, body), '{was}false', '{was}true')"
            store._db.execute(f"UPDATE {table} SET body = seal({kind}, id, {altered})")  # noqa: S608  fixed words
    assert held(door)["persons"][0]["enabled"]
    door.start()
    until(lambda: [n for n in site.news if n.kind == "state" and n.what.get("roster", {}).get("drift")], "drift told")
    until(lambda: not held(door)["persons"][0]["enabled"] and in_step(site, door), door._words)


def test_cutting_keeps_every_operation_in_order_and_every_message_below_the_bound():
    put = [Put("person", f"p-{n}", '{"x":"' + "y" * 3000 + '"}') for n in range(300)]
    blank = Part(1, None, "0" * 64, "s", 1, 1, ())
    parts = cut(blank, put)
    assert [one for part in parts for one in part.operations] == put
    assert {part.parts for part in parts} == {len(parts)}
    assert cut(blank, [])[0].operations == ()
