"""A watch-list only with a legal basis: off by default, never a way in, silent at the door, gone with its basis."""

import contextlib
import json
from pathlib import Path

import pytest
from findings import finding_on, frame_of
from roster_world import Site

from agent.core.access import Denial, Denied, Moment, Rules, decide
from agent.core.bounded import written
from agent.core.events import Credential
from agent.core.recognition import Frame
from agent.core.roster import FACE_PURPOSE, WATCH_PURPOSE, Consent, FaceTemplate, Person, PersonKind, parse_person
from agent.core.schedule import ALWAYS, Calendar
from agent.core.vision_messages import encode
from agent.errors import ConfigError
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore

pytestmark = pytest.mark.slow

BASIS = '[privacy]\nwatch_list_legal_basis = "Order 2026-17 of the district court"\n'
FACE = FaceTemplate("t", "net", "five")


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


def watch(door) -> str:
    with contextlib.closing(RosterStore(door.state)) as store:
        record = consent_now(1_790_000_000, purpose=WATCH_PURPOSE)
        face = [NewFace(bytes(1024), 0.9)]
        return Residents(store).add("X", record, face, "net", "five", kind=PersonKind.WATCHED, schedules=()).id


def test_with_a_basis_the_manager_is_told_and_the_door_shows_a_stranger_without_one_the_list_is_forgotten(
    site: Site,
):
    door = site.door(more=BASIS)
    person_id = watch(door)
    door.start(guard=True)
    door.wrote(kind="Door/State/DoorPhysicalState")
    door.look().send_json(encode(finding_on(frame_of(person_id))))
    door.wrote(kind="AccessControl/Watched", person_id=person_id)
    seen = door.wrote(kind="AccessControl/Denied/CredentialNotFound")
    assert person_id not in json.dumps(seen)
    door.vision.send_json(encode(finding_on(Frame(0.0, "covered"))))
    door.wrote(kind="AccessControl/Denied/Credential", reason="Unclear")
    assert not door.rows("AccessControl/AccessGranted/Credential")
    replayed = door.command("replay", "--json")
    assert (replayed.returncode, [one["given"] for one in json.loads(replayed.stdout)["decisions"]]) == (
        0, ["recognised", "unclear"]
    )  # fmt: skip
    door.vision.close()
    door.kill()
    door.config.write_text(door.config.read_text().replace(BASIS, ""))
    door.start()
    door.wrote(state="FacePurged", person_id=person_id)
    with contextlib.closing(RosterStore(door.state)) as store:
        assert (store.person(person_id), store.template_count()) == (None, 0)
    refused = door.command("enroll", "X", "nothing.jpg", "--watch", "--json")
    assert (refused.returncode, "watch_list_legal_basis" in json.loads(refused.stdout)["error"]) == (3, True)


def test_the_server_takes_nobody_onto_a_list_and_sends_nobody_of_one(site: Site):
    """Its page for residents and its README say that it never does; a person of that kind used to go to the doors."""
    with pytest.raises(ConfigError, match="watch-list"):
        site.people.put({"id": "p-x", "kind": "watched", "groups": ["block-1"]})
    site.people.put({"id": "p-li", "groups": ["block-1"]})
    with contextlib.closing(RosterStore(site.people.folder)) as store:  # of a release before this one
        store.write(Person(id="p-x", kind=PersonKind.WATCHED, groups=("block-1",)), None)
    site.people.set_door("garden/gate-1", ["block-1"])
    entries = site.people.entries(site.people.doors()["garden/gate-1"])
    assert [name for kind, name in entries if kind == "person"] == ["p-li"]


def test_whoever_is_watched_comes_in_in_no_way_whatever_else_is_said_of_him():
    watched = Consent(WATCH_PURPOSE, 5, under_14=False, guardian=None)
    person = Person(id="x", kind=PersonKind.WATCHED, schedules=(ALWAYS,), consent=watched, faces=(FACE,))
    for credential in Credential:
        answer = decide(person, credential, Rules(Calendar(), lease_s=None), Moment(None))
        assert answer == Denied(Denial.CREDENTIAL_NOT_FOUND)


@pytest.mark.parametrize(
    ("kind", "purpose"), [(PersonKind.RESIDENT, WATCH_PURPOSE), (PersonKind.WATCHED, FACE_PURPOSE)]
)
def test_a_watch_record_is_no_consent_and_a_consent_is_no_watch_record(kind: PersonKind, purpose: str):
    consent = Consent(purpose, 5, under_14=False, guardian=None)
    with pytest.raises(ValueError, match="no consent record"):
        Person(id="x", kind=kind, consent=consent, faces=(FACE,))
    shape = {**written(Person(id="x", kind=kind, consent=consent)), "faces": [written(FACE)]}
    assert parse_person(shape).faces == ()


def test_without_the_key_there_is_no_watch_list_by_default(tmp_path: Path):
    from agent.config import Privacy

    assert Privacy().watch_list_legal_basis is None
