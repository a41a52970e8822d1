"""A release from afar at the door: from order to end, over restarts, and never while somebody is there."""

import json
from dataclasses import replace

import pytest
from update_door import CALM, QUIET_S, Door
from update_world import NEW, OLD, UpdateSite

from agent.core.updates import Bundle, Stage, Update
from agent.occupied import occupied, standing, status
from agent.updates.desk import NO_WORD_S
from agent.updates.fetcher import Fetched, FetchProgress, NotFetched


@pytest.fixture
def door(tmp_path):
    site = UpdateSite(tmp_path)
    yield Door(site)
    site.close()


def test_ordered_fetched_handed_over_and_well_after_the_restart_that_it_is(door):
    assert door.order() == ""
    door.desk.news(FetchProgress("order-1", 40))
    assert door.desk.facts() | {"machine": 0} == {
        "machine": 0,
        "rollout": "r1",
        "release": NEW,
        "stage": "fetching",
        "percent": 40,
    }
    door.fetched()
    door.later(QUIET_S + 2)
    assert json.loads(door.request.read_text())["release"] == NEW
    (door.site.opt / "trial.json").write_text("{}")
    door.switch()
    door.start()
    door.later(5)
    assert door.desk.facts()["stage"] == "installing", "nobody is well before the verdict"
    (door.site.opt / "trial.json").unlink()
    door.later(2)
    assert door.told == ["Ordered", "Fetched", "Handed", "Well"]
    assert list((door.site.state / "update").iterdir()) == []
    door.start()
    assert (door.desk.facts()["stage"], door.desk.running) == ("well", NEW)


def test_never_while_somebody_is_there_or_something_stands_and_quiet_has_to_last(door):
    door.order()
    door.fetched()
    door.waits = "a face is in view"
    door.later(600)
    assert not door.request.exists()
    assert door.desk.facts()["waits_for"] == "a face is in view"
    door.waits = ""
    door.later(QUIET_S - 5)
    door.waits = "the door is open"
    door.later(1)
    door.waits = ""
    door.later(QUIET_S - 5)
    assert not door.request.exists()
    door.later(7)
    assert door.request.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"mode": "LockedDown"}, "the door is LockedDown"),
        ({"mode": "Blocked"}, "the door is Blocked"),
        ({"mode": "Accessed", "relay": "energised"}, "the door is Accessed"),
        ({"mode": "Unlocked"}, "the door is Unlocked"),
        ({"relay": "energised"}, "the door is open"),
        ({"contact": "open"}, "the door is open"),
        ({"fire": True}, "an alarm stands"),
        ({"tamper": True}, "an alarm stands"),
        ({"alarms": ["DoorOpenTooLong"]}, "an alarm stands"),
        ({"faults": ["relay-stuck"]}, "the door has a fault"),
        ({"lockout_for_s": 12.5}, "faces are paused"),
    ],
)
def test_what_stands_is_told_to_the_updater_too(more, words):
    board = {**CALM, "door_state": {**CALM["door_state"], **more}}
    assert standing(board) == words
    assert status(board, ordered=False) == f"hold: {words}"
    assert occupied(board, ordered=False) == "quiet", "an installer who is there himself is not held up by it"
    assert status({**CALM, "guard": {"up": False}}, ordered=False) == "hold: the door has a fault"
    assert status(CALM, ordered=False) == "quiet"
    assert status(board, ordered=True) == "busy: somebody is being let in"


@pytest.mark.parametrize(
    ("state", "told", "priority"),
    [
        ("refused", "Refused", 2),
        ("failed", "Failed", 3),
        ("rolled-back", "RolledBack", 3),
        ("cancelled", "Cancelled", 1),
    ],
)
def test_what_the_updater_says_is_told_with_its_reason(door, state, told, priority):
    assert door.handed()
    door.request.unlink()
    door.later(60)
    assert door.told[-1] == "Handed"
    door.answer(state, "not-well")
    door.later(2)
    row = door.rows[-1]
    assert (row.body["state"], row.body["why"], int(row.priority)) == (told, "not-well", priority)
    assert list((door.site.state / "update").iterdir()) == []


def test_an_answer_to_another_order_is_none(door):
    assert door.handed()
    door.answer("failed", order="order-0")
    door.later(60)
    assert door.told[-1] == "Handed"


def test_not_quiet_long_enough_for_the_updater_it_is_tried_again(door):
    assert door.handed()
    door.request.unlink()
    door.answer("waiting")
    door.waits = "a face is in view"
    door.later(60)
    assert door.desk.facts()["stage"] == "waiting"
    door.waits = ""
    door.later(QUIET_S + 2)
    assert door.request.exists()
    door.request.unlink()
    door.later(60)
    assert not door.request.exists(), "the answer to the first request is none to the second"


@pytest.mark.parametrize(("state", "told"), [("switching", "RolledBack"), ("installing", "Handed")])
def test_after_a_power_cut_with_the_old_release_back_it_was_led_back_or_not_yet_tried(door, state, told):
    assert door.handed()
    door.request.unlink()
    door.answer(state)
    door.boot = "boot-2"
    door.start()
    door.later(QUIET_S + 4)
    assert door.told[-1] == told
    assert door.request.exists() == (state == "installing"), "what was not begun is asked for again"


def test_an_updater_that_never_says_how_it_ended_is_a_failure(door):
    assert door.handed()
    door.later(NO_WORD_S + 2)
    assert door.rows[-1].body | {"detail": ""} == {
        "state": "Failed", "release": NEW, "rollout": "r1", "why": "no-word", "detail": ""
    }  # fmt: skip


@pytest.mark.parametrize(("why", "told"), [("no-room", "Failed"), ("bad-signature", "Refused"), ("older", "Refused")])
def test_what_could_not_be_fetched_or_may_not_be_installed_is_told(door, why, told):
    door.order()
    door.desk.news(NotFetched("order-1", why, "…"))
    assert (door.told[-1], door.rows[-1].body["why"]) == (told, why)


def test_the_order_is_refused_for_what_is_known_at_once(door):
    assert door.order(size_bytes=2 * 10**6) == "too-large"
    door.site.release_key.cert.unlink()
    assert door.order() == "no-release-key"
    assert (door.begun, door.rows) == ([], [])


def test_a_door_that_runs_it_already_is_well_and_fetches_nothing(door):
    door.bundle = replace(door.bundle, release=OLD)
    assert door.order() == ""
    assert (door.told, door.begun, door.desk.facts()["stage"]) == (["Well"], [], "well")


def test_called_off_as_long_as_it_is_not_being_installed(door):
    for stage in ("fetching", "waiting", "requested"):
        door.order()
        if stage != "fetching":
            door.fetched()
        if stage == "requested":
            door.later(QUIET_S + 2)
            assert door.request.exists()
        assert door.cancel() == ""
        assert door.told[-1] == "Cancelled"
        assert list((door.site.state / "update").iterdir()) == []
    assert door.handed()
    door.request.unlink()  # the updater has it
    assert door.cancel() == ""
    assert door.told[-1] == "Handed", "the updater sees that the file is gone, and says what came of it"
    assert not door.files.whole(door.bundle).exists()
    assert door.order() == "busy"


def test_after_a_restart_the_fetching_goes_on_and_so_does_the_waiting(door):
    door.order()
    door.start()
    assert door.begun == ["order-1", "order-1"]
    door.fetched()
    door.start()
    assert len(door.begun) == 2
    door.later(QUIET_S + 2)
    assert door.request.exists()
    door.start()
    door.files.whole(door.bundle).unlink()
    door.answer("waiting")
    door.later(2)
    assert len(door.begun) == 3, "a file that is gone is fetched again"


def test_news_of_one_that_was_called_off_changes_nothing(door):
    door.order()
    door.cancel()
    door.order("order-2")
    door.desk.news(NotFetched("order-1", "damaged", ""))
    door.desk.news(Fetched("order-1"))
    assert door.desk.facts()["stage"] == "fetching"


@pytest.mark.parametrize(
    "fact", [None, 7, {}, {"stage": "well"}, {"stage": "nonsense"}, {"stage": "waiting", "bundle": {}}]
)
def test_a_fact_that_is_none_is_no_update(fact):
    assert Update.from_fact(fact) is None


def test_a_fact_reads_back_as_it_was_written():
    update = Update("order-1", Bundle(NEW, "ab" * 32, 7, "r1"), Stage.INSTALLING, "why", "detail", "boot-1", "handed")
    assert Update.from_fact(json.loads(json.dumps(update.to_fact()))) == update
