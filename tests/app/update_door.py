"""A door that is told of a release: the desk, the updater and a clock in a test's hands."""

import json
from dataclasses import replace

from update_world import NEW, UpdateSite

from agent.core.commands import Action, Command
from agent.updates.desk import UpdateDesk
from agent.updates.fetcher import Fetched

QUIET_S = 30.0

CALM = {
    "door_state": {"mode": "Locked", "contact": "closed", "relay": "dropped", "fire": False, "tamper": False,
                   "alarms": [], "faults": [], "lockout_for_s": 0},
    "guard": {"up": True}, "vision": {"in_view": 0},
}  # fmt: skip


class Door:
    """The desk with a fetcher that a test plays, a clock that a test sets, and real files."""

    def __init__(self, site: UpdateSite):
        self.site, self.files, self.rows, self.begun = site, site.files(), [], []
        self.bundle = site.bundle(size=100)
        self.waits, self.s, self.boot, self.off = "", 1000.0, "boot-1", 0
        self.start()

    def start(self):
        """As after a restart of the agent: known is what the rows carried, and which release `current` names."""
        facts = {}
        for row in self.rows:
            facts |= json.loads(json.dumps(row.facts))
        self.files = self.site.files()
        self.desk = UpdateDesk(
            self.rows.append,
            self,
            self.files,
            self,
            facts,
            waits_for=lambda: self.waits,
            max_bytes=10**6,
            quiet_s=QUIET_S,
        )

    def now_s(self):
        return self.s

    def boot_id(self):
        return self.boot

    def begin(self, order_id, bundle):
        self.begun.append(order_id)

    def call_off(self):
        self.off += 1

    def order(self, order_id="order-1", **more):
        return self._ordered(Command(order_id, Action.UPDATE, "r", "m", 1, bundle=replace(self.bundle, **more)))

    def cancel(self):
        return self._ordered(Command("order-9", Action.CANCEL_UPDATE, "r", "m", 2))

    def _ordered(self, command):
        why = self.desk.refusal(command)
        if not why:
            self.desk.ordered(command)
        return why

    def fetched(self, order_id="order-1"):
        self.files.whole(self.bundle).write_bytes(b"as fetched")
        self.desk.news(Fetched(order_id))

    def later(self, by_s: float):
        """Look every second until then."""
        end_s = self.s + by_s
        while self.s < end_s:
            self.s += 1.0
            self.desk.tend(self.s)

    def handed(self):
        """Up to the request."""
        self.order()
        self.fetched()
        self.later(QUIET_S + 2)
        return self.request.exists()

    def answer(self, state, why="", order=""):
        order = order or self.rows[-1].facts["update"]["handed"]
        (self.site.opt / "rollout.json").write_text(json.dumps({"order": order, "state": state, "why": why}))

    def switch(self, release=NEW):
        current = self.site.opt / "current"
        current.unlink()
        current.symlink_to(f"releases/{release}")

    @property
    def request(self):
        return self.site.state / "update" / "request.json"

    @property
    def told(self):
        return [row.body["state"] for row in self.rows]
