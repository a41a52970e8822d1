"""`rollout start | status | stop` beside the server's own end of it: files between them, orders to doors, the alarm."""

import io
import json
import tarfile
from contextlib import closing

import pytest

from agent.core.commands import Action
from deploy.community.__main__ import main
from deploy.community.database import SqliteConnection
from deploy.community.feed import Feed
from deploy.community.news import News
from deploy.community.office import Office
from deploy.community.rollout_desk import RolloutDesk
from deploy.community.rollout_store import RolloutStore

RELEASE = "0.1.1+aaaaaaaaaa"


def bundle(folder, *, signed=True):
    """The outside of one: what the server looks at."""
    described = {"version": RELEASE, "for": {"machine": "aarch64", "python": "cp313"}, "files": {}}
    path = folder / "bundle.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in [("manifest.json", described), *([("signature.json", {})] if signed else [])]:
            text = json.dumps(data).encode()
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return path


class World:
    """The command as a person types it, and the desk with doors that a test plays."""

    def __init__(self, folder, capsys, **more):
        self.folder, self.capsys = folder, capsys
        given = {"bundles_port": 8482, "bundles_cert_file": "b.pem", "bundles_key_file": "b.key", **more}
        files = dict.fromkeys(("ca_file", "cert_file", "key_file", "signing_key_file", "command_key_file"), "x.pem")
        lines = [f"{key} = {json.dumps(value)}" for key, value in {**files, **given}.items()]
        (folder / "community.toml").write_text("\n".join(lines))
        self.feed, self.orders = Feed([], []), []
        self.answer = {"stage": "done"}
        self.raised = []
        self.store = RolloutStore(folder / "releases")
        self.desk = RolloutDesk(self.store, self.feed, self.order, lambda *alarm: self.raised.append(alarm))

    def order(self, door, action, bundle):
        self.orders.append((door, str(action), bundle and bundle.release))
        return self.answer

    def type(self, *words):
        code = main(["--config", str(self.folder / "community.toml"), "rollout", *words])
        said = self.capsys.readouterr()
        return code, said.out + said.err

    def door(self, name, **update):
        update = {"machine": "aarch64-cp313", **update}
        self.feed.add(News("state", name, {"online": True, "release": "0.1.0+bbbbbbbbbb", "update": update}))

    def alarms(self):
        return self.raised


@pytest.fixture
def world(tmp_path, capsys):
    return World(tmp_path, capsys)


def start(world, *words):
    return world.type("start", str(bundle(world.folder)), *(words or ("--stage", "1", "--stage", "all")))


def test_a_roll_out_is_ordered_shown_and_stopped(world):
    assert world.type("status") == (0, "there is no roll-out\n")
    world.door("garden/gate-1")
    code, said = start(world)
    assert (code, "stage 1 of 2 (1)" in said) == (0, True)
    digest = world.store.plan().bundle.sha256
    assert not world.desk.may_fetch("garden/gate-1", digest)
    world.desk.look()
    assert world.orders == [("garden/gate-1", "update", RELEASE)]
    assert world.desk.may_fetch("garden/gate-1", digest)
    world.door(
        "garden/gate-1", rollout=world.store.plan().id, release=RELEASE, stage="waiting", waits_for="a face is in view"
    )
    world.desk.look()
    assert "garden/gate-1  waiting" in world.type("status")[1]
    assert world.type("stop")[0] == 0
    world.desk.look()
    assert world.orders[1:] == [("garden/gate-1", str(Action.CANCEL_UPDATE), None)]
    assert not world.desk.may_fetch("garden/gate-1", digest)
    assert "stopped: stopped by command" in world.type("status")[1]
    assert world.alarms() == []
    with closing(Office(SqliteConnection(world.folder / "managers.db"))) as office:
        acts = office.acts()
    assert [(a.manager, a.action, a.target, a.reason) for a in acts] == [
        (0, "rollout-stop", RELEASE, ""), (0, "rollout-start", RELEASE, "1 all"),
    ]  # fmt: skip


def test_a_refusal_stops_it_is_an_alarm_and_calls_off_the_others_of_the_stage(world):
    for n in range(3):
        world.door(f"garden/gate-{n}")
    start(world, "--stage", "all")
    world.answer = {"stage": "refused", "reason": "no-room"}
    world.desk.look()
    assert len(world.orders) == 3 - 1 + 1, "one order, and the doors that were going to be asked are told it is off"
    [(door, word, detail)] = world.alarms()
    assert (word, "refused the order: no-room" in detail) == ("rollout", True)
    assert json.loads(world.type("status", "--json")[1])["doors"][door]["why"] == "no-room"


def test_a_server_that_starts_again_goes_on_where_it_was(world):
    world.door("garden/gate-1")
    start(world)
    world.desk.look()
    again = RolloutDesk(world.store, world.feed, world.order, lambda *alarm: world.raised.append(alarm))
    again.look()
    assert len(world.orders) == 1
    assert again.may_fetch("garden/gate-1", world.store.plan().bundle.sha256)


@pytest.mark.parametrize("broken", ["{", "[]", '{"id": "x"}'])
def test_a_file_that_can_not_be_used_is_said_and_orders_nothing(world, broken):
    world.door("garden/gate-1")
    start(world)
    (world.store.folder / "plan.json").write_text(broken)
    code, said = world.type("status")
    assert (code, "plan.json" in said) == (4, True)
    with pytest.raises(Exception, match=r"plan\.json"):
        world.desk.look()


def test_what_no_door_would_take_is_refused_at_once(world):
    assert "not signed" in world.type("start", str(bundle(world.folder, signed=False)), "--stage", "1")[1]
    (world.folder / "junk").write_bytes(b"junk")
    assert "not a bundle" in world.type("start", str(world.folder / "junk"), "--stage", "1")[1]
    assert "--stage none" in start(world, "--stage", "none")[1]
    assert "--healthy soon" in start(world, "--stage", "1", "--healthy", "soon")[1]
    assert "there is no roll-out" in world.type("stop")[1]
    assert start(world)[0] == 0
    code, said = start(world)
    assert (code, "`rollout stop` first" in said) == (2, True)


def test_a_server_that_is_not_set_up_for_it_says_how(tmp_path, capsys):
    world = World(tmp_path, capsys, bundles_port=0)
    code, said = start(world)
    assert (code, "bundles_port" in said) == (3, True)
