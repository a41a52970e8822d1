"""A release ordered from afar: an order like all others, taken once; one that names no proper file is none."""

from typing import Any

import pytest
from remote_world import World

from agent.core.commands import Action
from agent.core.updates import Bundle

BUNDLE = {"release": "0.1.1+aaaaaaaaaa", "sha256": "ab" * 32, "bytes": 1000, "rollout": "r1"}


class Updates:
    def __init__(self, why: str = "") -> None:
        self.why, self.orders = why, []

    def refusal(self, command: Any) -> str:
        return self.why

    def ordered(self, command: Any) -> None:
        self.orders.append((command.action, command.bundle))


def test_a_release_from_afar_is_an_order_like_all_others_and_is_taken_once():
    updates = Updates()
    world = World(updates=updates)
    token = world.order("update", "command-a", bundle=BUNDLE)
    world.arrive(token)
    world.order("cancel-update")
    assert updates.orders == [(Action.UPDATE, Bundle.read(BUNDLE)), (Action.CANCEL_UPDATE, None)]
    assert [r["stage"] for r in world.replies] == ["done", "refused", "done"]
    assert world.replies[1]["reason"] == "repeated"
    assert world.rows[0].facts["commands"]["counters"] == {"manager1": 1}, "with the order's own row, before anything"


def test_a_door_that_takes_no_release_from_afar_says_so_and_one_that_can_not_says_why():
    for updates, why in ((None, "updates-off"), (Updates("no-room"), "no-room")):
        world = World(updates=updates)
        world.order("update", bundle=BUNDLE)
        assert world.replies == [{"id": "command-1", "stage": "refused", "reason": why}]
        [row] = world.rows
        assert (row.body["outcome"], row.body["reason"], int(row.priority)) == ("refused", why, 2)
        assert row.facts["commands"]["counters"] == {"manager1": 1}, "used up all the same"


@pytest.mark.parametrize(
    "more",
    [{"bundle": None}, {"bundle": {}}, {}]
    + [{"bundle": {**BUNDLE, **one}} for one in (
        {"release": "../../etc"}, {"release": "a" * 90}, {"release": ""}, {"sha256": "AB" * 32}, {"sha256": "ab"},
        {"bytes": 0}, {"bytes": True}, {"bytes": 2**40}, {"bytes": "1"}, {"rollout": "a/b"}, {"url": "https://elsewhere"},
    )],
)  # fmt: skip
def test_an_order_for_a_release_that_names_no_proper_file_is_malformed(more):
    updates = Updates()
    world = World(updates=updates)
    world.order("update", **more)
    assert (world.replies[-1]["reason"], updates.orders) == ("malformed", [])


def test_other_orders_bring_no_bundle():
    world = World()
    world.order("open", bundle=BUNDLE)
    assert (world.replies[-1]["reason"], world.intents) == ("malformed", [])
