"""Face and phone together: look-alikes, the grey zone, high-security doors; what is written of what did not come."""

from dataclasses import replace

import pytest
from pass_world import RECEIPT, World, one_resident

from agent.core.events import Credential, Indication
from agent.residents import NewFace, consent_now

BOTH = Credential.FACE_AND_PHONE
SAID = {"verdict": "doubtful", "frames": 3, "decided_ms": 0, "receipt": RECEIPT}


@pytest.fixture
def world(tmp_path):
    with one_resident(tmp_path) as world:
        yield world


@pytest.fixture(params=[False, True], ids=["standard", "high"])
def twins(request, world: World) -> World:
    """Li and her sister Na, each with a phone, at a standard and at a high-security door."""
    world.high_security = request.param
    world.na, world.nas_phone = world.more("Li Na")
    return world


# ---------------------------------------------------------------- look-alikes


def test_twins_come_in_by_face_and_the_phone_of_either_and_the_phone_says_who_it_was(twins: World):
    twins.doubt(twins.li, twins.na)
    assert (twins.allowed, twins.hints) == ([], [Indication.SHOW_PHONE])
    twins.now_s += 3
    twins.show(phone=twins.nas_phone)
    assert [(a.credential, a.person_id) for a in twins.allowed] == [(BOTH, twins.na)]
    twins.wait(30)
    twins.doubt(twins.na, twins.li)
    twins.show()
    assert [(a.credential, a.person_id) for a in twins.allowed[1:]] == [(BOTH, twins.li)]
    assert (twins.refusals, twins.missing) == ([], [])


def test_at_a_high_security_door_the_phone_may_come_first(world: World):
    world.high_security = True
    na, nas_phone = world.more("Li Na")
    world.show(phone=nas_phone)
    world.now_s += 5
    world.doubt(world.li, na)
    assert [(a.credential, a.person_id) for a in world.allowed] == [(BOTH, na)]
    assert (world.allowed, world.refusals) == ([world.allowed[0]], [])


def test_the_phone_of_somebody_else_does_not_go_with_the_face(world: World):
    world.high_security = True
    na, _ = world.more("Li Na")
    _, bais_phone = world.more("Bai")
    world.doubt(world.li, na)
    world.show(phone=bais_phone)
    assert world.allowed == []


def test_a_face_that_could_be_either_of_two_counts_for_one_of_them_and_once(world: World):
    """Both sisters hold up their phones: one face was seen, one opening is made; the other is seen a moment later."""
    world.high_security = True
    na, nas_phone = world.more("Li Na")
    world.doubt(world.li, na)
    world.show()
    world.show(phone=nas_phone)
    assert [a.person_id for a in world.allowed] == [world.li]
    world.now_s += 4
    world.doubt(na, world.li)
    assert [a.person_id for a in world.allowed] == [world.li, na]


def test_too_late_is_two_visits(twins: World):
    twins.high_security = True
    twins.doubt(twins.li, twins.na)
    twins.wait(16)
    twins.show()
    assert twins.allowed == []


def test_without_a_phone_a_look_alike_does_not_come_in_and_a_row_with_the_receipt_says_so_once(twins: World):
    """While somebody stands there it is one attempt; nothing is shown at the door when it is over."""
    for _ in range(3):
        twins.doubt(twins.li, twins.na)
        twins.wait(5)
    assert twins.missing == []
    twins.wait(15)
    twins.wait(15)
    assert twins.missing == [("face", None, SAID)]
    assert (twins.allowed, twins.refusals) == ([], [])


def test_a_phone_that_opened_alone_leaves_no_question_open(world: World):
    """At a standard door the phone opens before the face is judged: she walks in, and nobody asks for her phone."""
    na, nas_phone = world.more("Li Na")
    came_s = world.now_s - 1
    world.show(phone=nas_phone)
    world.now_s += 2
    world.doubt(world.li, na)
    world.look(na, came_s)
    world.wait(20)
    assert [a.credential for a in world.allowed] == [Credential.PHONE]
    assert Indication.SHOW_PHONE not in world.hints
    assert world.missing == []


def test_nothing_is_learnt_of_a_face_in_doubt(twins: World):
    """A twin with her sister's phone must not become her sister's template; nor must whoever is in the grey zone."""
    for reason in ("look-alike", "grey-zone"):
        twins.doubt(twins.li, twins.na, reason=reason)
        twins.show()
        twins.wait(30)
    assert len(twins.allowed) == 2
    twins.residents.changed()
    assert len(twins.residents.person(twins.li).faces) == 1


# ---------------------------------------------------------------- the grey zone


def test_a_face_in_the_grey_zone_opens_with_its_phone_and_is_a_refusal_without(world: World):
    """It counts like a stranger's: who tries again and again may be one. The row has the receipt."""
    world.high_security = True
    world.doubt(world.li, reason="grey-zone")
    [refused] = world.refusals
    assert (refused.reason, refused.person_id, refused.counts_for_lockout) == ("SecondFactorMissing", None, True)
    assert refused.detail == SAID
    assert world.hints[-1] == Indication.SHOW_PHONE
    world.now_s += 4
    world.show()
    assert [a.credential for a in world.allowed] == [BOTH]
    world.wait(30)
    assert world.missing == []  # it was said already


def test_in_the_grey_zone_of_somebody_without_a_phone_coming_closer_is_what_helps(world: World):
    bai = world.residents.add("Bai", consent_now(0), [NewFace(bytes(1024), 1.0)], "net", "five").id
    world.doubt(bai, reason="grey-zone")
    assert world.hints[-1] == Indication.COME_CLOSER


def test_a_face_in_doubt_tells_nothing_of_whom_it_resembles(world: World):
    """Li is switched off: whoever resembles her hears it only with her phone in hand."""
    roster, li = world.residents.roster, world.residents.person(world.li)
    world.residents.roster = replace(roster, persons={li.id: replace(li, schedules=())})
    world.doubt(world.li, reason="grey-zone")
    assert [(r.reason, r.person_id) for r in world.refusals] == [("SecondFactorMissing", None)]
    world.show()
    assert [(r.reason, r.person_id) for r in world.refusals[1:]] == [("Unauthorized", world.li)]


# ---------------------------------------------------------------- high security


def test_at_a_high_security_door_what_did_not_come_is_written_down(world: World):
    """A face whose phone did not come, a phone whose face did not (a stolen one?): whose, and the receipt."""
    world.high_security = True
    world.look(world.li)
    world.wait(16)
    world.wait(30)
    world.show()
    world.wait(16)
    (face, who, said), (phone, whose, code) = world.missing
    assert (face, who, said["verdict"], said["receipt"]) == ("face", world.li, "recognised", RECEIPT)
    assert (phone, whose, list(code)) == ("phone", world.li, ["pass_id"])


@pytest.mark.parametrize("phone_first", [True, False])
def test_the_row_of_an_opening_by_both_has_the_receipt_and_the_pass_whichever_came_first(
    world: World, *, phone_first: bool
):
    world.high_security = True
    for step in (world.show, lambda: world.look(world.li))[:: 1 if phone_first else -1]:
        step()
    [intent] = world.intents
    assert intent.body["receipt"] == RECEIPT
    assert intent.body["verdict"] == "recognised"
    assert intent.body["pass_id"]


@pytest.mark.parametrize("phone_first", [True, False])
def test_a_phone_that_goes_on_showing_codes_after_the_opening_leaves_nothing_open(world: World, *, phone_first: bool):
    world.high_security = True
    came_s = world.now_s - 1
    for step in (world.show, lambda: world.look(world.li))[:: 1 if phone_first else -1]:
        step()
    for _ in range(3):
        world.wait(2.4)
        world.show()
        world.look(world.li, came_s)
    world.wait(30)
    assert len(world.allowed) == 1
    assert world.missing == []


@pytest.mark.parametrize("phone_first", [True, False])
def test_strangers_cannot_keep_residents_out_of_a_high_security_door(world: World, *, phone_first: bool):
    """A lockout stops a face alone; a face with its phone could be tried only by somebody who holds that phone."""
    world.high_security = True
    world.state = replace(world.state, lockout_until_s=world.now_s + 30)
    for step in (world.show, lambda: world.look(world.li))[:: 1 if phone_first else -1]:
        step()
    assert [a.credential for a in world.allowed] == [BOTH]
    world.high_security = False
    world.wait(20)
    world.state = replace(world.state, lockout_until_s=world.now_s + 30, at_s=world.now_s)
    world.look(world.li)
    assert len(world.allowed) == 1
    assert world.refusals[-1].reason == "LockedOut"


# ---------------------------------------------------------------- what stays in memory


def test_the_vector_of_a_visit_is_gone_when_no_phone_came_or_the_consent_did(world: World):
    world.high_security = True
    world.look(world.li)
    assert world.update._seen
    world.wait(16)
    assert not world.update._seen
    world.look(world.li)
    world.residents.withdraw(world.li, 5)
    world.wait(0.25)
    assert not world.update._seen
