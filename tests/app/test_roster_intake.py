"""What comes on `dn/roster`, at one door's clerk: refused with a reason unless whole, new, signed and for this door."""

import contextlib
import secrets
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path

import pyseto
import pytest
from roster_world import NoVision, unit_vector, until

from agent.core import roster_feed
from agent.core.bounded import written
from agent.core.journal import canonical
from agent.core.roster import FACE_PURPOSE, SITE_PURPOSE, Consent, FaceTemplate, Person, PhoneKey, person_json
from agent.core.roster_feed import Part, Put, Template, message, seal_binding
from agent.core.stream import RosterArrived
from agent.errors import ConfigError
from agent.identity import Identity, seal
from agent.roster import intake as roster_intake
from agent.roster.changes import hours_json
from agent.roster.clerk import RosterClerk
from agent.roster.intake import signed
from agent.roster.news import RosterApplied, RosterOpened, RosterRead
from agent.roster.store import RosterStore
from deploy.community.people import People
from deploy.pki import Authority

pytestmark = pytest.mark.slow

DOOR = "garden/gate-1"
VECTOR = unit_vector()


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


def test_somebody_whose_entry_was_spoiled_here_goes_when_the_server_has_her_no_more(clerk):
    """Her entry was nobody's any more, so no difference named her: both sides agreed, and she still came in."""
    assert clerk(part(3, "p-li", "p-wang"))().persons == 2
    with contextlib.closing(sqlite3.connect(clerk.folder / "roster.db", isolation_level=None)) as db:
        db.execute("UPDATE managed SET body = 'AAAA' WHERE id = 'p-wang'")
    applied = clerk(part(4, "p-li"))()
    assert (applied.revision, applied.persons) == (4, 1)
    with contextlib.closing(RosterStore(clerk.folder)) as store:
        assert store.ids() == {"p-li"}
        assert store.managed()["person"] == {"p-li"}


def test_a_phone_that_the_door_knew_as_somebody_elses_is_whose_the_server_says(clerk):
    """The whole revision was refused, and every later one with it: whoever was removed meanwhile still came in."""
    phone, other = (PhoneKey(name, b"\x04" * 65, enabled=True) for name in ("k-1", "k-2"))
    with contextlib.closing(RosterStore(clerk.folder)) as store:
        store.put(Person(id="p-own", name="Li at the door", phones=(phone, other)))
    body = canonical(person_json(Person(id="p-new", phones=(phone,))))
    digest = roster_feed.digest({("person", "p-new"): body})
    applied = clerk(Part(3, None, digest, "s", 1, 1, (Put("person", "p-new", body),)))()
    assert (type(applied), applied.revision) == (RosterApplied, 3)
    with contextlib.closing(RosterStore(clerk.folder)) as store:
        found = {i: [p.key_id for p in store.known(i).phones] for i in store.ids()}
    assert found == {"p-own": ["k-2"], "p-new": ["k-1"]}


def test_hours_that_the_server_takes_a_door_takes_as_well(clerk, tmp_path):
    """Larger ones were kept at the server and refused by every door, with everything that came after them."""
    people = People(tmp_path / "people")
    window = {"days": ["mon", "tue", "wed", "thu", "fri"], "start_min": 480, "end_min": 1080}
    hours = {"schedules": [{"id": f"\u73ed-{n}", "windows": [window] * 2} for n in range(200)]}
    people.set_hours(hours)
    body = canonical(hours_json(people.roster()))
    digest = roster_feed.digest({("site", ""): body})
    assert isinstance(clerk(Part(3, None, digest, "s", 1, 1, (Put("site", "", body),)))(), RosterApplied)
    with pytest.raises(ConfigError, match="use fewer windows"):
        people.set_hours({"schedules": [{**one, "windows": [window] * 64} for one in hours["schedules"]]})
    assert canonical(hours_json(people.roster())) == body
