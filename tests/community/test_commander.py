"""An order is answered with what came of it; where no word came, with what is known and no more."""

import json
import threading
import time
from types import SimpleNamespace

import pyseto
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.commands import WANT_CHALLENGE, Action
from agent.core.stream import CommandArrived
from agent.order_keys import sign
from agent.remote import RemoteDesk
from deploy.community import commander
from deploy.community.commander import Commander
from deploy.community.news import News
from deploy.community.said import Reply, read

DOOR = "garden/gate-1"
_KEY = Ed25519PrivateKey.generate()
PRIVATE = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
PUBLIC_PEM = _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PUBLIC = pyseto.Key.new(4, "public", PUBLIC_PEM)


class Door:
    """Answers a request for a challenge, and an order with `stages`, each after a moment of its own."""

    def __init__(self, *stages: dict, there: bool = True) -> None:
        self.stages, self.there, self.orders = stages, there, []
        self.commander = Commander(PRIVATE, "manager", challenge_wait_s=0.2, answer_wait_s=0.4)
        self.commander.connect(self.take)

    def take(self, device: str, payload: bytes, _correlation: bytes) -> None:
        if payload == WANT_CHALLENGE:
            if self.there:
                self.say(device, {"stage": "challenge", "challenge": "c1"})
            return
        claims = json.loads(pyseto.decode(PUBLIC, payload, implicit_assertion=device.encode()).payload)
        self.orders.append(claims)
        threading.Thread(target=lambda: [self.say(device, {"id": claims["id"], **s}) for s in self.stages]).start()

    def say(self, device: str, what: dict) -> None:
        self.commander.hear(News("reply", device, what))


@pytest.mark.parametrize(
    "stages",
    [
        [{"stage": "accepted"}, {"stage": "done"}],
        [{"stage": "accepted"}, {"stage": "refused", "reason": "LockedDown"}],
        [{"stage": "refused", "reason": "too-many"}],
        [{"stage": "accepted"}],
    ],
)
def test_the_newest_stage_is_told_and_accepted_only_when_nothing_follows(stages):
    answer = Door(*stages).commander.order(DOOR, Action.HOLD_OPEN, "manager-1", for_s=60)
    assert answer | {"id": 0} == stages[-1] | {"id": 0}


def test_an_opening_is_told_as_soon_as_the_lock_is_released():
    door = Door({"stage": "accepted"}, {"stage": "energised"})
    assert door.commander.order(DOOR, Action.OPEN, "manager-1")["stage"] == "energised"


def test_without_the_doors_word_nothing_was_sent_and_after_sending_nobody_knows():
    """One text said "nothing was done" for both, while the order was good for seconds more."""
    silent = Door(there=False)
    assert silent.commander.order(DOOR, Action.OPEN, "manager-1")["stage"] == "not-sent"
    assert silent.orders == []
    mute = Door()
    answer = mute.commander.order(DOOR, Action.OPEN, "manager-1")
    assert (answer["stage"], "not known" in answer["reason"], len(mute.orders)) == ("no-answer", True, 1)


def test_a_door_says_nothing_of_another_ones_order():
    door = Door()

    def take(device: str, payload: bytes, correlation: bytes) -> None:
        door.take(device, payload, correlation)
        if door.orders:
            door.say("garden/other", {"id": door.orders[-1]["id"], "stage": "done"})

    door.commander.connect(take)
    assert door.commander.order(DOOR, Action.IDENTIFY, "manager-1")["stage"] == "no-answer"


def test_orders_given_at_the_same_time_reach_the_door_in_the_order_of_their_counters(monkeypatch):
    """The later counter went out first: the door refused the other order, a lock-down perhaps, for its counter."""
    door, signing, second = Door({"stage": "done"}), threading.Event(), threading.Event()

    def slow_first(*what):
        if not signing.is_set():
            signing.set()
            second.wait(0.5)  # as long as somebody else's order could overtake this one
        return sign(*what)

    def take(device: str, payload: bytes, correlation: bytes) -> None:
        door.take(device, payload, correlation)
        if door.orders:
            second.set()

    monkeypatch.setattr(commander, "sign", slow_first)
    door.commander.connect(take)
    lock_down = threading.Thread(target=lambda: door.commander.order(DOOR, Action.LOCK_DOWN, "manager-1"))
    lock_down.start()
    assert signing.wait(10)
    door.commander.order(DOOR, Action.OPEN, "phone:p-li")
    lock_down.join(10)
    assert [claims["action"] for claims in sorted(door.orders, key=lambda claims: claims["counter"])] == [
        claims["action"] for claims in door.orders
    ]
    assert len(door.orders) == 2


class RealDoor:
    """The door's own judgement and memory behind a server that may be started anew."""

    def __init__(self) -> None:
        self.rows, self.shown = [], 0
        self.desk = RemoteDesk(DOOR, {"manager": PUBLIC_PEM}, self, self, {})
        self.serve()

    def serve(self) -> None:
        self.commander = Commander(PRIVATE, "manager", challenge_wait_s=0.5, answer_wait_s=0.5)
        self.commander.connect(self.take)

    def take(self, _device: str, payload: bytes, correlation: bytes) -> None:
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.desk.arrived(CommandArrived(payload, retained=False, correlation=correlation), now_s)

    def reply(self, _correlation: bytes | None, reply: dict) -> None:
        self.commander.hear(News("reply", DOOR, read(Reply, json.dumps(reply).encode())))

    def write(self, row) -> None:
        self.rows.append(row.body)

    def hint(self, _indication) -> None:
        self.shown += 1

    def order(self) -> dict:
        return self.commander.order(DOOR, Action.IDENTIFY, "manager-1")


def clock(monkeypatch, ahead_s: float) -> None:
    wrong = SimpleNamespace(time_ns=lambda: time.time_ns() + int(ahead_s * 1e9))
    monkeypatch.setattr(commander, "time", wrong)


def test_a_door_takes_orders_again_after_the_servers_clock_was_a_year_ahead_and_the_server_was_restarted(monkeypatch):
    """Counters come from the clock: every order was refused for a year, and no manager could lock the door down."""
    door = RealDoor()
    clock(monkeypatch, 365 * 86_400)
    assert door.order()["stage"] == "done"
    clock(monkeypatch, 0)
    door.serve()
    assert [door.order()["stage"], door.order()["stage"], door.shown] == ["done", "done", 3]
    refused = [row for row in door.rows if row["outcome"] == "refused"]
    assert [row["reason"] for row in refused] == ["counter-not-above"], "once: the server knows from then on"


def test_a_door_that_says_a_counter_beyond_all_others_spoils_only_its_own_orders():
    door = Door({"stage": "refused", "reason": "counter-not-above", "counter": 2**53 - 1})
    assert door.commander.order(DOOR, Action.LOCK_DOWN, "manager-1")["reason"] == "counter-not-above"
    assert len(door.orders) == 1, "no counter is above that"
    door.stages = ({"stage": "refused", "reason": "counter-not-above", "counter": 2**53 - 3},)
    assert door.commander.order(DOOR, Action.LOCK_DOWN, "manager-1")["reason"] == "counter-not-above"
    assert [claims["counter"] for claims in door.orders[2:]] == [2**53 - 2], "tried once more, not for ever"
    door.stages = ({"stage": "done"},)
    assert door.commander.order("garden/other", Action.LOCK_DOWN, "manager-1")["stage"] == "done"
    assert door.orders[-1]["counter"] < 2**52
