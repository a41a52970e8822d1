"""A roll-out goes on only while every door of it says that it is well, and one that is not stops it for all."""

from dataclasses import replace

import pytest

from agent.core.updates import Bundle
from deploy.community.rollout import (
    ILL_MS,
    ORDER_AGAIN_MS,
    ORDERS_AT_ONCE,
    Plan,
    Progress,
    answered,
    check_stages,
    step,
    to_call_off,
)

NEW, OLD = "0.1.1+aaaaaaaaaa", "0.1.0+bbbbbbbbbb"
PLAN = Plan("r1", Bundle(NEW, "ab" * 32, 1000, "r1"), "aarch64-cp313", ("1", "50%", "all"), healthy_s=60)
WELL = {"guard": True, "vision": True, "camera": "ok", "store": "ok"}


class Doors:
    """What each of them says, and the server's clock; `look` is one turn, as the desk takes it."""

    def __init__(self, count: int = 4, plan: Plan = PLAN):
        self.plan, self.progress, self.now_ms = plan, Progress(plan.id), 1_000_000
        self.states = {f"garden/gate-{n}": self.said(OLD) for n in range(1, count + 1)}
        self.ordered: list[str] = []
        self.alarms: list[tuple[str, str]] = []

    def said(self, release: str, stage: str = "", why: str = "", **health):
        update = {"machine": "aarch64-cp313"} | ({"rollout": "r1", "stage": stage, "why": why} if stage else {})
        return {"release": release, "update": update, "door": {"faults": []}, "health": {**WELL, **health}}

    def look(self, after_s: float = 2):
        self.now_ms += int(after_s * 1000)
        turn = step(self.plan, self.progress, self.states, self.now_ms)
        self.progress = turn.progress
        self.ordered += turn.order
        self.alarms += [turn.alarm] if turn.alarm else []
        return turn.order

    def took(self, *doors: str, **health):
        for door in doors:
            self.states[door] = self.said(NEW, "well", **health)


def test_each_stage_waits_for_the_doors_of_those_before_to_be_healthy_without_a_break():
    doors = Doors()
    [first] = doors.look()
    doors.states[first] = doors.said(OLD, "fetching")
    assert doors.look(3600) == ()
    doors.took(first)
    doors.look()
    doors.took(first, guard=False)
    doors.look(40)
    doors.took(first)
    doors.look()
    assert doors.look(50) == (), "the minute began anew when it was well again"
    [second] = doors.look(10)
    doors.took(second)
    doors.look()
    assert set(doors.look(60)) == set(doors.states) - {first, second}
    doors.took(*doors.states)
    doors.look()
    doors.look(60)
    assert (doors.progress.ended, doors.alarms) == ("done", [])
    assert sorted(doors.ordered) == sorted(doors.states), "each door was ordered once"


@pytest.mark.parametrize("stage", ["refused", "failed", "rolled-back"])
def test_a_door_that_refused_failed_or_went_back_stops_it_for_all_with_an_alarm(stage):
    doors = Doors(plan=replace(PLAN, stages=("2", "all")))
    one, other = doors.look()
    doors.states[one] = doors.said(OLD, stage, "not-well")
    doors.took(other)
    doors.look()
    assert doors.progress.ended == "stopped"
    assert doors.alarms == [(one, f"{stage}: not-well")]
    doors.states[one] = doors.said(OLD)
    assert doors.look(10_000) == (), "nothing begins again by itself"
    assert len(doors.alarms) == 1


def test_a_door_that_took_the_release_and_stays_ill_or_away_stops_it():
    for after in ({"camera": "missing"}, None):
        doors = Doors()
        [first] = doors.look()
        doors.took(first)
        doors.look()
        doors.states[first] = None if after is None else doors.said(NEW, "well", **after)
        doors.look(ILL_MS / 1000 - 10)
        assert not doors.progress.ended
        doors.look(10)
        assert (doors.progress.ended, doors.alarms[0][0]) == ("stopped", first)


def test_what_ailed_a_door_before_is_no_fault_of_the_release_and_a_dark_camera_is_night():
    doors = Doors(1)
    doors.states["garden/gate-1"] = doors.said(OLD, vision=False)
    assert doors.look() == ("garden/gate-1",)
    doors.took("garden/gate-1", vision=False, camera="dark")
    doors.look()
    doors.look(60)
    doors.look(60)
    assert doors.progress.ended == "done"


def test_a_door_that_did_not_hear_is_asked_again_and_one_that_is_away_waits_for_its_turn():
    doors = Doors(1)
    assert doors.look() == ("garden/gate-1",)
    doors.progress = answered(doors.progress, "garden/gate-1", {"stage": "not-sent", "reason": "…"}).progress
    assert doors.look() == ()
    was, doors.states["garden/gate-1"] = doors.states["garden/gate-1"], None
    assert doors.look(ORDER_AGAIN_MS / 1000) == ()
    doors.states["garden/gate-1"] = was
    assert doors.look() == ("garden/gate-1",)


def test_a_refused_order_stops_it_unless_it_mends_itself():
    doors = Doors(1)
    doors.look()
    for reason in ("too-many", "stale-challenge", "busy"):
        assert not answered(doors.progress, "garden/gate-1", {"stage": "refused", "reason": reason}).progress.ended
    turn = answered(doors.progress, "garden/gate-1", {"stage": "refused", "reason": "no-room"})
    assert (turn.progress.ended, turn.alarm) == ("stopped", ("garden/gate-1", "refused the order: no-room"))


def test_doors_of_another_machine_or_that_take_none_are_left_alone_and_named_ones_come_first():
    doors = Doors(6, replace(PLAN, first=("garden/gate-5",)))
    doors.states["garden/gate-1"]["update"]["machine"] = "x86_64-cp311"
    del doors.states["garden/gate-2"]["update"]
    assert doors.look() == ("garden/gate-5",)
    doors.took("garden/gate-5")
    doors.look()
    doors.look(60)
    assert not {"garden/gate-1", "garden/gate-2"} & set(doors.ordered)
    assert len(doors.ordered) == 2, "half of the four that can take it"


def test_a_large_stage_is_ordered_a_few_at_a_time_so_that_a_failure_holds_the_rest_up():
    doors = Doors(100, replace(PLAN, stages=("all",)))
    first = doors.look()
    assert len(first) == ORDERS_AT_ONCE
    doors.states[first[0]] = doors.said(OLD, "rolled-back")
    assert doors.look() == ()
    assert doors.progress.ended == "stopped"


def test_stop_calls_off_what_is_not_installed_yet_and_orders_nothing_more():
    doors = Doors(4, replace(PLAN, stages=("all",)))
    doors.look()
    names = sorted(doors.states)
    for name, stage in zip(names, ("fetching", "waiting", "installing", "well"), strict=True):
        doors.states[name] = doors.said(NEW if stage == "well" else OLD, stage)
    doors.look()
    doors.plan = replace(doors.plan, stopped="stopped by command")
    assert doors.look() == ()
    assert (doors.progress.ended, doors.alarms) == ("stopped", [])
    assert to_call_off(doors.progress) == names[:2]


def test_plan_and_progress_read_back_as_they_were_written():
    doors = Doors()
    doors.look()
    assert Plan.read(doors.plan.to_json()) == doors.plan
    assert Progress.read(doors.progress.to_json()) == doors.progress


@pytest.mark.parametrize("stage", ["0", "0%", "101%", "-1", "half", "1.5%", ""])
def test_a_stage_that_is_none_is_refused(stage):
    assert check_stages(("1", stage))
    assert not check_stages(("1", "10%", "100%", "all"))
