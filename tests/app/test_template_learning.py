"""What a door learns of a face that comes with its phone, and what it never learns."""

from dataclasses import replace

import pytest
from pass_world import VISIT, World, one_resident

from agent.core.events import Credential
from agent.core.roster import MAX_FACES, SITE_PURPOSE, Consent, FaceTemplate, Person, merged, parse_person, person_json
from agent.residents import NewFace
from agent.template_update import EVERY_S


@pytest.fixture
def world(tmp_path):
    with one_resident(tmp_path) as world:
        yield world


def learnt(world: World) -> list[str]:
    world.residents.changed()
    faces = world.residents.person(world.li).faces
    return [face.template_id for face in faces if face.template_id.startswith("u-")]


@pytest.mark.parametrize("face_first", [True, False])
def test_an_opening_by_face_and_phone_leaves_one_template_of_the_visit(world: World, face_first):
    """Beside the pictures of the enrolment, which stay; a second visit on the same day adds nothing."""
    world.high_security = True
    for _ in range(2):
        first, second = (lambda: world.look(world.li), world.show)[:: 1 if face_first else -1]
        first()
        second()
        world.now_s += 60
    assert [a.credential for a in world.allowed] == [Credential.FACE_AND_PHONE] * 2
    assert len(learnt(world)) == 1
    assert len(world.residents.person(world.li).faces) == 2
    stored = {row.template_id: row.vector for row in world.residents._store.templates("net", "five", {world.li})}
    assert stored[learnt(world)[0]] == VISIT


def test_a_later_visit_takes_the_place_of_the_one_learnt_before(world: World):
    world.high_security = True
    seen = set()
    for _ in range(3):
        world.look(world.li)
        world.show()
        seen |= set(learnt(world))
        world.now_s += EVERY_S + 1
    assert len(seen) == 3
    assert len(world.residents.person(world.li).faces) == 2


def test_somebody_enrolled_by_five_pictures_is_learnt_from_like_anybody_else(world: World):
    """Five is what the console collects: the template of a visit has a place of its own and takes no picture's."""
    li = world.residents.set_faces(world.li, [NewFace(bytes(1024), 1.0)] * MAX_FACES, "net", "five")
    world.high_security = True
    for _ in range(2):
        world.look(world.li)
        world.show()
        assert len(learnt(world)) == 1
        assert {face.template_id for face in li.faces} < {
            face.template_id for face in world.residents.person(world.li).faces
        }
        world.now_s += EVERY_S + 1


def test_what_a_door_learnt_stays_when_the_server_sends_five_pictures():
    """The server's five fill the enrolment's places, the door's own template of a visit keeps its own."""
    sent, learnt = ([FaceTemplate(f"{kind}-{n}", "net", "five") for n in range(5)] for kind in ("t", "u"))
    li = Person(id="li", consent=Consent(SITE_PURPOSE, 5, under_14=False, guardian=None), faces=tuple(sent))
    both = merged(li, li, replace(li, faces=(*sent, learnt[0])), None)
    assert both.faces == (*sent, learnt[0])
    assert parse_person(person_json(both)) == both
    assert merged(li, li, replace(li, faces=(*sent[:4], learnt[0])), None).faces == both.faces


def test_a_face_alone_a_phone_alone_and_a_forced_hand_teach_nothing(world: World):
    world.look(world.li)
    world.now_s += 60
    world.show()
    world.now_s += 60
    world.high_security = True
    world.look(world.li)
    world.show(duress=True)
    assert len(world.allowed) == 3
    assert learnt(world) == []


def test_nothing_is_learnt_for_another_network_than_the_enrolments(world: World):
    world.high_security, world.networks = True, ("another", "five")
    world.look(world.li)
    world.show()
    assert len(world.allowed) == 1
    assert learnt(world) == []
