"""The desk for commands from afar: staged answers, one opening an id, junk is counted and not written."""

import json

import pytest
from remote_world import DOOR, PUBLIC, World, new_key

from agent.core.commands import MAX_CHALLENGE_AGE_S, WANT_CHALLENGE
from agent.core.events import AccessAllowed, Credential, Indication, ModeOrdered, Order
from agent.core.stream import CommandArrived
from agent.errors import ConfigError
from agent.order_keys import load_command_keys, sign
from agent.remote import RemoteDesk
from deploy.community.said import Reply, read


def test_an_opening_is_answered_stage_by_stage_and_its_result_is_stored():
    world = World()
    world.order("open", "command-a")
    (intent,) = world.intents
    assert intent.then == AccessAllowed("cmd-command-a", Credential.REMOTE)
    assert intent.facts["commands"]["counters"] == {"manager1": 1}
    for stage in ("accepted", "energised", "taken"):
        stored = world.desk.stage("cmd-command-a", stage, None)
    assert [reply["stage"] for reply in world.replies] == ["accepted", "energised", "taken"]
    assert stored["commands"]["results"] == {"command-a": "taken"}


def test_the_same_message_again_opens_nothing_and_gets_the_stored_result_also_after_a_restart():
    world = World()
    token = world.order("open", "command-a")
    facts = dict(world.desk.stage("cmd-command-a", "not-taken", None))
    again = World(facts=facts)
    for desk in (world, again):
        desk.intents.clear()
        desk.arrive(token)
        assert desk.intents == []
        assert desk.replies[-1]["reason"] == "repeated"
        assert desk.replies[-1]["result"] == "not-taken"


def test_a_standing_order_reaches_the_door():
    world = World()
    world.order("lock-down")
    assert world.intents[0].then == ModeOrdered(Order.LOCK_DOWN, "li", request_id="cmd-command-1")


@pytest.mark.parametrize(("stage", "reason"), [("refused", "LockedDown"), ("done", None)])
def test_a_standing_order_that_ended_is_answered_stored_and_no_longer_waited_for(stage: str, reason: str | None):
    world = World()
    world.order("hold-open", "command-a", for_s=60)
    world.desk.stage("cmd-command-a", "accepted", None)
    stored = world.desk.stage("cmd-command-a", stage, reason)
    said = {"id": "command-a", "stage": stage} | ({"reason": reason} if reason else {})
    assert world.replies == [{"id": "command-a", "stage": "accepted"}, said]
    assert stored["commands"]["results"] == {"command-a": stage}
    assert world.desk.stage("cmd-command-a", stage, reason) == {}


def test_no_phone_from_afar_opens_a_high_security_door_whatever_the_server_knows_of_it():
    """Only the server looked, at a state that the last will replaces; a manager's opening is another matter."""
    world = World(face_needed=True)
    world.order("open", "command-a", actor="phone:p-li")
    assert world.replies == [{"id": "command-a", "stage": "refused", "reason": "face-needed"}]
    assert world.intents == []
    world.order("open", "command-b", actor="manager-1")
    assert len(world.intents) == 1
    assert World(face_needed=False).order("open", actor="phone:p-li")


def test_an_opening_for_somebody_slow_is_a_long_one():
    world = World()
    world.order("open", "command-a", extended=True)
    assert world.intents[0].then == AccessAllowed("cmd-command-a", Credential.REMOTE, extended=True)
    world.order("open", "command-b", extended="yes")
    assert world.replies[-1]["reason"] == "malformed"


def test_identify_shows_at_the_door_and_opens_nothing():
    world = World()
    world.order("identify")
    assert world.hints == [Indication.IDENTIFY]
    assert world.intents == []


def test_diagnostics_tell_how_every_part_is_and_nothing_of_people_and_open_nothing():
    """What a page at the door shows (names, faces, the last look) must not travel because somebody added a section."""
    world = World()
    board = {
        "software": "0.1.0", "guard": {"up": True}, "clock": {"quality": "ntp"}, "queue": {"depth": 3, "state": "ok"},
        "vision": {"up": False, "camera_state": "frozen", "faces": [{"person_id": "p-li"}]},
        "link": {"up": True, "reason": "x" * 5000}, "store": "none",
        "enrolment": {"near": [{"name": "Li Mei"}]},
        "events": [{"body": {"name": "Li Mei"}}], "last_look": {"distance": 0.4}, "openings": [{"ms": 100}],
    }  # fmt: skip
    world.board = board
    world.order("diagnostics", "command-1")
    [answer] = world.replies
    assert (answer["id"], answer["stage"], world.intents, world.hints) == ("command-1", "done", [], [])
    assert answer["diagnostics"] == {
        "software": "0.1.0", "clock.quality": "ntp", "guard.up": True, "link.up": True, "link.reason": "x" * 200,
        "queue.depth": 3, "queue.state": "ok", "vision.up": False, "vision.camera_state": "frozen",
    }  # fmt: skip
    assert [row.body["action"] for row in world.rows] == ["diagnostics"]
    read(Reply, json.dumps(answer).encode())  # the server takes it as it is
    world.order("diagnostics", "command-1")
    assert world.replies[-1]["reason"] == "repeated"


def test_asking_for_a_challenge_gets_a_new_one_but_not_without_end():
    world = World()
    for _ in range(1000):
        world.arrive(WANT_CHALLENGE)
    challenges = {reply["challenge"] for reply in world.replies}
    assert len(world.replies) == 1000
    assert 2 <= len(challenges) <= 3


def test_every_challenge_that_was_asked_for_is_good_for_ten_seconds_however_many_ask_meanwhile():
    """Two residents' presses while a manager's order was on its way made it stale: a lock-down, refused."""
    world = World()
    world.arrive(WANT_CHALLENGE)
    asked, asked_s = world.replies[-1]["challenge"], world.now_s
    for _ in range(12):
        world.now_s += 0.6
        world.arrive(WANT_CHALLENGE)
    assert len({reply["challenge"] for reply in world.replies}) == 13
    world.order("lock-down", challenge=asked)
    assert [intent.then.order for intent in world.intents] == [Order.LOCK_DOWN]
    world.now_s = asked_s + MAX_CHALLENGE_AGE_S + 0.1
    world.arrive(WANT_CHALLENGE)
    world.order("open", challenge=asked)
    assert (world.replies[-1]["reason"], len(world.intents)) == ("stale-challenge", 1)


def test_a_retained_request_for_a_challenge_is_refused():
    world = World()
    world.arrive(WANT_CHALLENGE, retained=True)
    assert world.replies[-1]["reason"] == "retained"


def test_a_thousand_junk_messages_make_one_row_and_the_next_row_counts_the_rest():
    world = World()
    for n in range(1000):
        world.arrive(b"junk %d" % n)
    assert len(world.rows) == 1
    world.now_s += 2.0
    world.arrive(b"junk")
    assert world.rows[1].body["more_refused"] == 999


def test_a_key_that_orders_without_end_opens_ten_times_and_then_once_a_second():
    """Stolen, or of a server gone wild: the lock's coil and the journal are bounded, and so is what is lost."""
    world = World()
    for _ in range(100):
        world.order("open")
    assert len(world.intents) == 10
    assert world.replies[-1] == {"id": "command-100", "stage": "refused", "reason": "too-many"}
    assert len(world.rows) == 1
    world.now_s += 1.0
    world.order("open")
    world.order("open")
    assert len(world.intents) == 11
    assert world.rows[1].body["more_refused"] == 89


def test_no_flood_of_openings_holds_up_a_lock_down_and_a_refused_order_may_come_again():
    world = World()
    for _ in range(30):
        world.order("open", f"command-{len(world.replies)}x")
    world.order("lock-down")
    assert world.intents[-1].then.order is Order.LOCK_DOWN
    refused = world.replies[-1]["id"]
    world.now_s += 2.0
    world.order("open", refused)
    assert world.intents[-1].request_id == f"cmd-{refused}"


def test_what_came_too_fast_to_be_looked_at_is_a_row_with_its_number():
    world = World()
    world.desk.arrived(CommandArrived(WANT_CHALLENGE, retained=False, correlation=b"c", unheard=500), world.now_s)
    assert [row.body for row in world.rows] == [{"outcome": "refused", "reason": "too-many", "more_refused": 499}]
    assert world.replies[-1]["stage"] == "challenge"


def test_another_key_opens_nothing():
    world = World()
    other, _ = new_key()
    claims = {"id": "command-a", "action": "open", "actor": "li", "counter": 1, "challenge": world.desk.challenge()}
    world.arrive(sign(other, "manager1", DOOR, claims))
    world.arrive(sign(other, "manager2", DOOR, claims))
    assert [reply["reason"] for reply in world.replies] == ["bad-signature", "unknown-key"]
    assert world.intents == []


def test_a_key_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "manager1.pem").mkdir()  # root may read any file, but nobody reads a folder
    with pytest.raises(ConfigError, match=r"manager1\.pem: cannot be read"):
        load_command_keys(tmp_path)


def test_keys_are_the_pem_files_of_a_folder(tmp_path):
    (tmp_path / "manager1.pem").write_bytes(PUBLIC)
    assert load_command_keys(tmp_path) == {"manager1": PUBLIC}
    (tmp_path / "my key.pem").write_bytes(PUBLIC)
    with pytest.raises(ConfigError, match=r"my key\.pem: a key's name .*rename the file"):
        load_command_keys(tmp_path)
    (tmp_path / "my key.pem").unlink()
    assert load_command_keys(tmp_path / "absent") == {}
    with pytest.raises(ConfigError, match="manager1: is not a public Ed25519 key"):
        RemoteDesk(DOOR, {"manager1": b"rubbish"}, World(), World(), {})
