"""Codes at the door: one opening a code, face and phone in one movement, and no code stops the next one."""

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from pass_world import DOOR, UTC_S, World, one_resident, public_of, sign

from agent.core.access import Rules
from agent.core.door import Grant
from agent.core.events import Credential, Indication
from agent.core.passes import phone_message, visitor_message
from agent.core.schedule import Calendar
from agent.core.vision_messages import Pass
from agent.errors import ConfigError, PictureError, StoreError
from agent.factors import Factors
from agent.pass_desk import PassDesk, load_pass_keys, phone_key


@pytest.fixture
def world(tmp_path):
    with one_resident(tmp_path) as world:
        yield world


def test_a_phone_opens_once_while_its_codes_go_on_changing(world: World):
    for _ in range(4):
        world.show()
        world.now_s += 2.4
    assert [a.credential for a in world.allowed] == [Credential.PHONE]
    world.now_s += 10
    world.show()
    assert len(world.allowed) == 2


def test_the_same_code_held_up_for_a_while_is_one_opening_and_no_refusal(world: World):
    message = phone_message(public_of(world.phone), DOOR, UTC_S + world.now_s, b"nonce-01")
    code = sign(world.phone, message)
    for _ in range(5):
        world.show(code)
        world.now_s += 2.1
    assert len(world.allowed) == 1
    assert world.refusals == []


def test_a_used_code_is_refused_after_a_restart(world: World):
    code = sign(world.phone, phone_message(public_of(world.phone), DOOR, UTC_S + world.now_s, b"nonce-01"))
    world.show(code)
    again = World(world.residents, world.phone, world.site, facts=world.facts)
    again.show(code)
    assert again.allowed == []
    assert [r.reason for r in again.refusals] == ["Replayed"]


def test_a_code_from_before_the_start_is_refused_whatever_the_store_remembers(world: World):
    """An old journal was restored: what it does not know to be used must not open."""
    code = sign(world.phone, phone_message(public_of(world.phone), DOOR, UTC_S + world.now_s, b"nonce-01"))
    world.show(code)
    again = World(world.residents, world.phone, world.site, now_s=world.now_s + 31.0, facts={})
    again.show(code)
    assert again.allowed == []
    assert [r.reason for r in again.refusals] == ["Replayed"]
    again.now_s += 5.0
    again.show()
    assert len(again.allowed) == 1


def test_a_clock_chip_that_was_ahead_at_the_start_refuses_no_phone_once_the_time_is_known(world: World):
    """A chip that keeps local time is eight hours ahead: every code was "used before" for the eight hours after."""
    chip = World(world.residents, world.phone, world.site, ahead_s=8 * 3600.0)
    chip.ahead_s = 0.0  # NTP has spoken
    chip.show()
    assert (len(chip.allowed), chip.refusals) == (1, [])


def test_a_code_from_before_the_start_is_refused_also_where_the_time_came_later(world: World):
    """By the clock of the start it was made after it, an hour later."""
    code = sign(world.phone, phone_message(public_of(world.phone), DOOR, UTC_S + world.now_s, b"nonce-01"))
    chip = World(world.residents, world.phone, world.site, now_s=world.now_s + 31.0, ahead_s=-3600.0)
    chip.ahead_s = 0.0
    chip.show(code)
    assert [r.reason for r in chip.refusals] == ["Replayed"]


def test_a_code_that_was_shown_is_used_up_even_where_it_was_not_needed(world: World):
    """A phone goes on showing codes while its owner walks in: who films them must not follow her."""
    world.show()
    world.now_s += 6.0
    filmed = sign(world.phone, phone_message(public_of(world.phone), DOOR, UTC_S + world.now_s, b"nonce-02"))
    world.show(filmed)
    world.now_s += 11.0
    world.passes._showings.clear()
    world.show(filmed)
    assert len(world.allowed) == 1
    assert [r.reason for r in world.refusals] == ["Replayed"]


def test_high_security_wants_face_and_phone_in_either_order_and_each_counts_once(world: World):
    world.high_security = True
    world.look(world.li)
    assert world.hints == [Indication.SHOW_PHONE]
    world.show()
    world.now_s += 30
    world.show()
    world.look(world.li)
    assert [a.credential for a in world.allowed] == [Credential.FACE_AND_PHONE] * 2
    world.now_s += 30
    world.look(world.li)
    world.now_s += 16  # too slow: these are two visits
    world.show()
    assert len(world.allowed) == 2


def test_a_visitor_pass_opens_as_often_as_it_says_also_over_a_restart(world: World):
    message = visitor_message(public_of(world.site), (DOOR,), UTC_S, UTC_S + 3600, 1, b"visit-01")
    code = sign(world.site, message)
    world.show(code)
    again = World(world.residents, world.phone, world.site, facts=world.facts)
    again.show(code)
    assert world.allowed[0].person_id == "visitor-" + b"visit-01".hex()
    assert [r.reason for r in again.refusals] == ["UsedUp"]


def test_a_refused_visitor_pass_is_told_as_one_with_its_number_and_each_pass_is_answered(world: World):
    """The manager sees whose pass was refused; two guests with two used-up passes are two answers."""
    for pass_id in (b"visit-01", b"visit-02"):
        world.show(sign(world.site, visitor_message(public_of(world.site), (DOOR,), 0, UTC_S, 1, pass_id)))
    told = [(r.credential, r.reason, r.person_id, r.detail) for r in world.refusals]
    assert told == [
        (Credential.VISITOR_PASS, "Expired", f"visitor-{pass_id.hex()}", {"decided_ms": 0, "pass_id": pass_id.hex()})
        for pass_id in (b"visit-01", b"visit-02")
    ]


def test_a_code_that_was_seen_too_long_ago_opens_nothing_and_is_good_when_it_is_told_again(world: World):
    """A guest's pass is good for hours: a stalled agent found it in its socket, and opened after the guest had gone."""
    code = sign(world.site, visitor_message(public_of(world.site), (DOOR,), UTC_S, UTC_S + 3600, 1, b"visit-01"))
    world.passes.shown(Pass(code, world.now_s - 3.1), world.now_s)
    assert (world.allowed, world.refusals) == ([], [])
    world.show(code)
    assert len(world.allowed) == 1


def test_a_refused_code_says_how_long_after_its_frame_it_was_decided_on(world: World):
    """As a face's refusal does: who is sent away must not wait longer than who is let in."""
    world.passes.shown(Pass(b"an advertisement", world.now_s - 0.25), world.now_s)
    assert [(r.reason, r.detail) for r in world.refusals] == [("Malformed", {"decided_ms": 250})]


def test_what_was_used_is_stored_in_small_facts_of_its_own_also_what_an_older_release_left(world: World):
    world.passes = PassDesk(
        DOOR, world, world.residents, factors=Factors(), rules=world.rules, moment=world.moment,
        site_keys=[public_of(world.site)], facts={"passes": {"steps": {"aa": 5}, "uses": {}}},
        started_s=world.now_s,
    )  # fmt: skip
    world.now_s += 5
    world.show()
    world.now_s += 20
    world.show()
    first, second = (set(intent.facts) for intent in world.intents)
    assert first == {f"pass.step.{world.key.key_id}", "pass.step.aa", "passes"}
    assert second == {f"pass.step.{world.key.key_id}"}


def _visit(world: World, uses: int) -> bytes:
    message = visitor_message(public_of(world.site), (DOOR,), UTC_S, UTC_S + 3600, uses, b"visit-01")
    return sign(world.site, message)


def test_each_guest_of_a_pass_for_three_comes_in_and_the_fourth_is_told(world: World):
    """One showing is one use, and the next guest's showing is another one: nobody stands outside unanswered."""
    code, start_s = _visit(world, 3), world.now_s
    for after_s in (0, 20, 40, 55):
        world.now_s = start_s + after_s
        for _ in range(3):  # held up for two seconds
            world.show(code)
            world.now_s += 1.0
    assert len(world.allowed) == 3
    assert [r.reason for r in world.refusals] == ["UsedUp"]


@pytest.mark.parametrize("gap_s", [1.0, 4.0])
def test_a_pass_left_before_the_camera_is_one_showing_however_long_and_badly_read(world: World, gap_s: float):
    code, start_s = _visit(world, 0), world.now_s
    while world.now_s < start_s + 210:
        world.show(code)
        world.now_s += gap_s
    assert len(world.allowed) == 1
    world.now_s += 6.0
    world.show(code)
    assert len(world.allowed) == 2


def test_a_pass_that_is_still_seen_after_its_opening_is_answered_by_a_hint_for_a_while(world: World):
    """The next guest holds up a copy before the first took theirs away: it can't be told from one showing."""
    code = _visit(world, 2)
    world.show(code)
    request_id = world.intents[0].request_id
    standing = Grant(request_id, Credential.VISITOR_PASS, "visitor", until_s=world.now_s + 5, extended=False)
    world.state, secured = replace(world.state, grants=(standing,)), world.state
    world.now_s += 4.0
    world.show(code)
    assert world.hints == []  # the door is open for it: nothing to say
    world.state = secured
    for _ in range(60):
        world.now_s += 1.0
        world.show(code)
    assert set(world.hints) == {Indication.SHOW_AGAIN}
    assert len(world.hints) < 30  # a pass that was left there does not cover what others are shown
    assert len(world.allowed) == 1


def test_a_pass_seen_again_while_its_own_opening_stands_is_the_same_showing(world: World):
    """Badly read at arm's length: a guest on the way through the open door does not pay twice."""
    code = _visit(world, 2)
    world.show(code)
    standing = Grant(
        world.intents[0].request_id, Credential.VISITOR_PASS, "visitor", until_s=world.now_s + 10, extended=False
    )
    world.state = replace(world.state, grants=(standing,))
    world.now_s += 8.0
    world.show(code)
    assert len(world.allowed) == 1


def test_rubbish_is_told_once_a_minute_and_the_next_good_code_opens(world: World):
    for n in range(500):
        world.show(b"' OR 1=1; -- %d" % n)
    assert [r.reason for r in world.refusals] == ["Malformed"]
    assert not world.refusals[0].counts_for_lockout
    world.show()
    assert len(world.allowed) == 1


def test_a_phone_taken_off_the_roster_is_unknown(world: World):
    world.residents.remove(world.li)
    world.show()
    assert [r.reason for r in world.refusals] == ["UnknownKey"]


def test_a_phone_is_one_persons_and_a_code_that_is_none_is_said_so(world: World):
    with pytest.raises(StoreError, match="registered already"):
        world.residents.add("Bai", None, (), "", "", phones=(world.key,))
    with pytest.raises(StoreError, match="registered already"):
        world.residents.add_phone(world.li, world.key)
    for code in ("", "rubbish", base64.urlsafe_b64encode(b"\x30\x03abc").decode()):
        with pytest.raises(PictureError, match="registration code"):
            phone_key(code)


def test_pass_keys_are_the_pem_files_of_a_folder(world: World, tmp_path):
    pem = world.site.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "site.pem").write_bytes(pem)
    assert list(load_pass_keys(tmp_path).values()) == [public_of(world.site)]
    (tmp_path / "bad.pem").write_text("rubbish")
    with pytest.raises(ConfigError, match=r"bad\.pem"):
        load_pass_keys(tmp_path)


def test_a_revoked_visitor_pass_and_a_lapsed_lease_open_nothing_and_use_nothing_up(world: World):
    """The revocation comes with the roster; without the server for too long none could have come."""
    code = sign(world.site, visitor_message(public_of(world.site), (DOOR,), UTC_S, UTC_S + 9000, 1, b"visitor1"))
    roster = world.residents.roster
    world.residents.roster = replace(roster, revoked=frozenset({b"visitor1".hex()}))
    world.show(code)
    world.residents.roster = roster
    world.passes = PassDesk(
        DOOR, world, world.residents, factors=Factors(), rules=lambda: Rules(Calendar(), lease_s=3600.0),
        moment=lambda: replace(world.moment(), server_silent_s=3601.0), site_keys=[public_of(world.site)], facts={},
        started_s=world.now_s,
    )  # fmt: skip
    world.show(code)
    assert [refused.reason for refused in world.refusals] == ["Revoked", "LeaseLapsed"]
    assert world.intents == []
    assert world.facts == {}
