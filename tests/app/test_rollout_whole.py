"""A roll-out over a real broker: server, bundles by TLS, two doors as processes; root's part at the doors is played."""

import json
import time

import pytest
from roster_world import Site, until
from update_world import NEW, OLD, write_bundle

from agent.core.updates import Bundle
from deploy.community.bundle_server import BundleServer, server_context
from deploy.community.rollout import Plan
from deploy.community.rollout_desk import RolloutDesk
from deploy.community.rollout_store import RolloutStore
from deploy.device.offered import this_machine
from deploy.pki import Authority

MACHINE = "{machine}-{python}".format(**this_machine())
UPDATES = """\
[updates]
releases_dir = "{opt}"
host = "127.0.0.1"
port = {port}
quiet_s = 1.0
release_key_file = "{key}"
"""


class RolloutSite(Site):
    """Two doors that take releases from afar, and the server's end of it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.release = self.authority.signing_key("release")
        self.serve()
        self.store = RolloutStore(folder / "releases")
        self.desk = RolloutDesk(self.store, self.feed, self.order, self._alarm, every_s=0.1)
        pair = self.authority.server("bundles", ("127.0.0.1",))
        context = server_context(self.authority.cert, pair.cert, pair.key)
        self.bundles = BundleServer("127.0.0.1", 0, context, self.store, self.desk.may_fetch)
        consumer_tells = self.consumer._tell
        self.consumer._tell = lambda news: (consumer_tells(news), self.feed.add(news))
        self.desk.start()

    def order(self, door, action, bundle):
        more = {} if bundle is None else {"bundle": bundle.to_json()}
        return self.commander.order(door, action, "rollout", **more)

    def updating_door(self, name):
        opt = self.folder / f"opt-{name}"
        (opt / "releases" / OLD).mkdir(parents=True)
        (opt / "releases" / OLD / "serial").write_text("1")
        (opt / "current").symlink_to(f"releases/{OLD}")
        door = self.door(name, UPDATES.format(opt=opt, port=self.bundles.port, key=self.release.cert))
        door.opt, door.request = opt, door.state / "update" / "request.json"
        return door.start(guard=True, good_clock=True)

    def roll_out(self, name, *stages, key=None, **how):
        path = write_bundle(self.folder / "b.tar", key or self.release.key, size=200_000, **how)
        bundle = Bundle(how.get("release", NEW), self.store.take(path), path.stat().st_size, name)
        self.store.write_plan(Plan(name, bundle, MACHINE, stages, 1, ("garden/gate-1",), time.time_ns() // 10**6))
        return bundle

    def progress(self):
        return self.store.progress(self.store.plan())

    def alarms(self):
        return [(e["device"], e["detail"]) for e in self.feed.snapshot()["entries"] if e["type"] == "alarm"]

    def words(self):
        return "\n".join([str(self.progress()), str(self.alarms()), *(door._words() for door in self.doors)])

    def close(self):
        self.desk.stop()
        self.bundles.close()
        super().close()


@pytest.fixture
def site(tmp_path):
    site = RolloutSite(tmp_path)
    yield site
    site.close()


def requested(site, door):
    """Root's part begins: the request is taken away, the file is there whole."""
    until(door.request.exists, site.words)
    request = json.loads(door.request.read_text())
    door.request.unlink()
    assert (door.state / "update" / f"{request['sha256']}.tar").stat().st_size == request["bytes"]
    return request


def installed(site, door, release=NEW):
    """Root switches and starts the agent anew."""
    requested(site, door)
    (door.opt / "current").unlink()
    (door.opt / "current").symlink_to(f"releases/{release}")
    door.kill(hard=False)
    door.start(good_clock=True)


@pytest.mark.slow
def test_the_next_door_waits_for_the_first_to_be_well_and_one_that_goes_back_stops_it_with_an_alarm(site):
    one, two = (site.updating_door(name) for name in ("gate-1", "gate-2"))
    site.roll_out("r1", "1", "all")
    installed(site, one)
    until(two.request.exists, site.words)
    assert [r["state"] for r in one.rows("Agent/Update")] == ["Ordered", "Fetched", "Handed", "Well"]
    assert site.feed.state("garden/gate-1")["release"] == NEW
    request = requested(site, two)
    answer = {"order": request["order"], "state": "rolled-back", "why": "not-well", "detail": "service door-vision"}
    (two.opt / "rollout.json").write_text(json.dumps(answer))
    row = two.wrote(kind="Agent/Update", state="RolledBack")
    assert (row["why"], row["detail"]) == ("not-well", "service door-vision")
    [(door, words)] = until(site.alarms, site.words)
    assert (door, "rolled-back: not-well" in words) == ("garden/gate-2", True)
    until(lambda: site.progress().ended == "stopped", site.words)


@pytest.mark.slow
def test_a_forged_bundle_is_refused_by_the_first_door_and_a_busy_door_waits(site, tmp_path):
    one = site.updating_door("gate-1")
    one.look()
    site.roll_out("r1", "all")
    for _ in range(3):
        one.bench.send_json({"type": "set", "line": "contact", "active": True})
    one.wrote(kind="Agent/Update", state="Fetched")
    waits = until(lambda: (site.feed.state("garden/gate-1") or {}).get("update", {}).get("waits_for"), site.words)
    assert waits in ("the door is open", "an alarm stands")
    assert not one.request.exists()
    site.store.write_plan(Plan(**{**_fields(site.store.plan()), "stopped": "stopped by command"}))
    one.wrote(kind="Agent/Update", state="Cancelled")
    forged = Authority(tmp_path / "other").signing_key("release").key
    site.roll_out("r2", "all", key=forged, release="0.1.2+cccccccccc")
    assert one.wrote(kind="Agent/Update", state="Refused")["why"] == "bad-signature"
    until(site.alarms, site.words)
    until(lambda: site.progress().ended == "stopped", site.words)


def _fields(plan):
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}


def test_a_door_that_is_not_set_up_for_it_takes_no_part_and_refuses_the_order(site):
    door = site.door("gate-1").start()
    until(lambda: site.feed.state("garden/gate-1"), site.words)
    bundle = site.roll_out("r1", "all")
    answer = site.commander.order("garden/gate-1", "update", "rollout", bundle=bundle.to_json())
    assert (answer["stage"], answer["reason"]) == ("refused", "updates-off")
    assert not (door.state / "update").exists()
    assert site.progress().members == {}
    assert "update" not in site.feed.state("garden/gate-1")
