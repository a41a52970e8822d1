"""Lock-down and hold-open by signed command, to a real door through a real broker; a kill takes neither away."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from roster_world import Site, until

from agent.core.commands import Action
from deploy.community import commander

pytestmark = pytest.mark.slow

DOOR = "garden/gate-1"


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


def order(site: Site, action: Action, **more) -> dict:
    return site.commander.order(DOOR, action, "manager-1", **more)


def test_a_locked_down_door_refuses_openings_over_a_kill_until_it_is_taken_back_and_can_be_held_open(
    site: Site, monkeypatch
):
    site.serve()
    door = site.door().start(guard=True)
    door.wrote(kind="Agent/Link", state="Up")
    door.wrote(kind="Door/State/DoorPhysicalState")
    assert order(site, Action.LOCK_DOWN)["stage"] == "done"
    door.wrote(kind="Door/State/DoorMode", state="LockedDown")
    assert order(site, Action.OPEN) | {"id": 0} == {"id": 0, "stage": "refused", "reason": "LockedDown"}
    told = order(site, Action.HOLD_OPEN, for_s=60.0)
    assert told == {"id": told["id"], "stage": "refused", "reason": "LockedDown"}
    assert [stage["stage"] for stage in site.commander.stages(told["id"])] == ["accepted", "refused"]
    door.wrote(kind="Agent/Command", order="hold-open", outcome="refused", request_id=f"cmd-{told['id']}")
    door.kill()
    door.start()
    door.wrote(kind="Agent/Command", outcome="accepted", order="lock-down", actor="manager-1")
    until(lambda: len([r for r in door.rows("Agent/Link") if r["state"] == "Up"]) == 2, door._words)
    assert order(site, Action.OPEN)["reason"] == "LockedDown"
    assert order(site, Action.BLOCK)["stage"] == "done"
    assert order(site, Action.RELEASE_LOCK_DOWN)["stage"] == "done"
    door.wrote(kind="Door/State/DoorMode", state="Blocked")
    assert order(site, Action.OPEN)["reason"] == "Blocked"
    assert order(site, Action.UNBLOCK)["stage"] == "done"
    with monkeypatch.context() as clock:  # an hour ahead, put right, and the server started anew
        clock.setattr(commander, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + 3600 * 10**9))
        assert order(site, Action.IDENTIFY)["stage"] == "done"
    site.commander = commander.Commander(site.authority.signing_key("manager").key.read_bytes(), "manager")
    site.commander.connect(site.consumer.send_command)
    assert order(site, Action.HOLD_OPEN, for_s=1.0)["stage"] == "done"
    door.wrote(kind="Door/State/DoorMode", state="LockedOpen")
    door.wrote(kind="Door/State/LockPhysicalState", state="Unlocked")
    until(lambda: [r["state"] for r in door.rows("Door/State/LockPhysicalState")][-1] == "Locked", door._words)
