"""Everything of the agent that is not the door itself: takes the controller's other news to whoever it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from agent.clock import Clock
from agent.console_desk import ConsoleDesk
from agent.console_feed import ConsoleFeed
from agent.controller import Controller
from agent.core import door
from agent.core.access import Moment, Rules
from agent.core.events import Json, Kind, Priority, Record
from agent.core.roster_feed import WANT_SEALING_KEY
from agent.core.stream import CommandArrived, LinkDown, LinkUp, RosterArrived, RowsShown
from agent.core.vision_messages import Enrolment, Finding, GalleryLoaded, Hello, Pass, Preview
from agent.directory import Directory
from agent.door_facts import DoorFacts
from agent.door_standing import standing
from agent.enrolment import ConsoleAsked, EnrolmentDesk
from agent.face_desk import FaceDesk
from agent.factors import Factors
from agent.health import Health
from agent.hours import Hours
from agent.identity import Identity
from agent.known_time import KnownTime
from agent.network_desk import NetworkDesk
from agent.pass_desk import PassDesk
from agent.remote import RemoteDesk
from agent.roster.clerk import RosterClerk
from agent.roster.desk import RosterDesk
from agent.roster.news import Enrolled, Learnt, RosterRead, Withdrawn
from agent.status import StatusBoard
from agent.template_update import TemplateUpdate
from agent.updates.desk import UpdateDesk
from agent.vision_link import VisionGone, VisionLink
from agent.withdrawal_desk import WithdrawalDesk

_ROSTER_EVERY_S: Final = 1.0
_FORGET_EVERY_S: Final = 3600.0
_OPENINGS_KEPT: Final = 100
_PREVIEW_FPS: Final = 8.0


class Reception:
    """Implements controller.Others. Used by the controller's thread only."""

    def __init__(
        self,
        facts: DoorFacts,
        controller: Controller,
        *,
        residents: Directory,
        vision: VisionLink,
        board: StatusBoard,
        health: Health,
        remote: RemoteDesk | None,
        roster: RosterDesk,
        clerk: RosterClerk,
        identity: Identity | None,
        clock: Clock,
        publish_state: Callable[[Mapping[str, Any]], None],
        floor_utc_s: Callable[[], float],
        updates: UpdateDesk | None = None,
    ) -> None:
        self._facts, self._controller, self._residents, self._vision = facts, controller, residents, vision
        self._board, self._health, self._remote, self._clock = board, health, remote, clock
        self._roster, self._clerk, self._identity = roster, clerk, identity
        self._publish_state, self._updates = publish_state, updates
        self._time = KnownTime(clock, ZoneInfo(facts.timezone), floor_utc_s)
        self._server_heard_s: float | None = None
        self._link_up = False
        self._roster_due_s = self._forget_due_s = 0.0
        self._in_use: dict[str, Any] = {}  # what the vision process said of its gallery
        self._network = NetworkDesk(vision, controller.write)
        self._openings: list[dict[str, Any]] = []
        factors, self._update = Factors(), TemplateUpdate(clerk, lambda: self._network.in_use)
        rules, moment = self._rules, self._moment
        self._faces = FaceDesk(controller, residents, factors=factors, rules=rules, moment=moment, update=self._update)
        self._passes = PassDesk(
            *(facts.door, controller, residents), factors=factors, rules=rules, moment=moment,
            site_keys=facts.pass_keys, facts=facts.stored, started_s=clock.now_s(), update=self._update,
        )  # fmt: skip
        self._hours = Hours(controller, lambda: residents.roster, lambda: self._moment().local, facts.stored)
        self._enrolment = EnrolmentDesk(clerk, vision, board, self._time, residents)
        self._feed = ConsoleFeed(board, residents)
        withdrawal = WithdrawalDesk(clerk, board, self._time, residents)
        self._console = ConsoleDesk(controller, self._enrolment, withdrawal, board, facts.vision)
        self._published: dict[str, Any] = {}

    # ------------------------------------------------------------ controller.Others

    def news(self, event: object, now_s: float) -> None:
        """See Others."""
        match event:
            case Finding():
                self._faces.found(event, now_s)
                self._console.looked(event)
            case Hello():
                self._health.news(event)
                self._console.explain(liveness=event.liveness)
                if self._network.hello(event, self._residents.view):
                    self._brief_vision(event)
            case Enrolment() | VisionGone():
                self._enrolment.news(event, self._network.in_use)
                self._health.news(event)
            case ConsoleAsked():
                self._console.asked(event, now_s)
            case CommandArrived():
                self._commanded(event, now_s)
            case Pass():
                self._passes.shown(event, now_s)
            case RowsShown():
                self._feed.show(event)
            case _ if not self._news_of_threads(event, now_s):
                self._link_changed(event, now_s)
                self._health.news(event)

    def stage(self, request_id: str, stage: str, at_s: float, reason: str | None) -> Mapping[str, Json]:
        """See Others."""
        if stage == "energised":
            self._opened(request_id, at_s)
        elif stage != "accepted":
            self._faces.openings.pop(request_id, None)
            self._passes.openings.pop(request_id, None)
        self._console.stage(request_id, stage, at_s, reason)
        return self._remote.stage(request_id, stage, reason) if self._remote is not None else {}

    def wrote(self, record: Record) -> None:
        """See Others."""
        self._hours.wrote(record, self._clock.now_s())

    def remember(self, rows: RowsShown) -> None:
        """Show what was written before this start: a restarted door does not look forgetful."""
        self._feed.show(rows)

    def changed(self, state: door.DoorState) -> None:
        """See Others."""
        now_s = self._clock.now_s()
        wanted = door.wanted(state)
        released_for_s = None if wanted is None or wanted.until_s == float("inf") else round(wanted.until_s - now_s, 1)
        facts = standing(state, self._controller.settings, now_s)
        shown = {"released_for_s": released_for_s, "indication": self._controller.shown.value}  # hints stay at the door
        self._board.update(door_state={**facts, **shown})
        self._board.update(guard={"up": state.guard_missing_from_s is None})
        self._console.moved(now_s, energised=state.relay_energised)
        self._publish(facts)

    def tend(self, now_s: float) -> None:
        """See Others."""
        self._time.note(now_s)
        self._health.tend(now_s)
        if self._link_up:
            self._server_heard_s = now_s
        if now_s >= self._roster_due_s:
            self._roster_due_s = now_s + _ROSTER_EVERY_S
            self._publish(self._published.get("door", {}))
            self._roster.tend(now_s)
        if now_s >= self._forget_due_s:
            self._forget_due_s = now_s + _FORGET_EVERY_S
            self._clerk.forget(self._time.floor_s())
        if self._updates is not None:
            self._updates.tend(now_s)
        self._hours.tend(now_s)
        self._faces.tend(now_s)
        self._update.tend(now_s, self._residents.faces())
        self._enrolment.tend(now_s)
        if self._remote is not None and self._remote.renew_if_due(now_s):
            self._publish(self._published.get("door", {}))

    # ------------------------------------------------------------ parts

    def _brief_vision(self, hello: Hello) -> None:
        """Tell a vision process everything it works with: settings, gallery, whether to send pictures."""
        self._vision.send([self._facts.vision, Preview(self._facts.preview, _PREVIEW_FPS)])
        self._clerk.begin_gallery((hello.model_id, hello.alignment_id))
        self._board.update(roster=self._roster_facts())

    def _news_of_threads(self, event: object, now_s: float) -> bool:
        if self._updates is not None and self._updates.news(event):
            return True
        match event:
            case RosterArrived():
                self._clerk.take(event)
            case RosterRead():
                self._roster_read(event)
            case GalleryLoaded():
                self._gallery_loaded(event)
            case Enrolled() | Withdrawn():
                if (row := self._console.answered(event)) is not None:
                    self._roster_row(row[0], person_id=row[1])
            case Learnt():
                self._update.answered(event.person_id, done=event.done)
            case _ if not self._roster.news(event, now_s):
                return False
        self._board.update(roster=self._roster_facts())
        self._publish(self._published.get("door", {}))
        return True

    def believe(self, pass_keys: Iterable[bytes]) -> None:
        """Other keys sign visitors' passes from now on."""
        self._passes.believe(pass_keys)

    def _roster_read(self, event: RosterRead) -> None:
        """Another roster: whoever has no face any more is refused from now on, wherever the gallery stands."""
        epoch, self._residents.view = self._residents.roster.epoch, event.view
        self._roster.read(event)
        self._network.read(event.view)
        if event.view.roster.epoch != epoch:
            self._roster_row("Changed")

    def _commanded(self, event: CommandArrived, now_s: float) -> None:
        if self._remote is None:
            return
        if event.payload != WANT_SEALING_KEY:
            self._remote.arrived(event, now_s)
        elif self._identity is not None and not event.retained:
            self._remote.answer(event.correlation, {"stage": "sealing-key", **self._identity.sealing_key()})

    def _gallery_loaded(self, event: GalleryLoaded) -> None:
        before, self._in_use = self._in_use, {"ready": event.refused is None, "in_use": event.templates}
        self._in_use["refused"] = event.refused
        if event.refused is not None and event.refused != before.get("refused"):
            self._controller.write(
                Record(Kind.VISION, {"state": "GalleryRefused", "detail": event.refused}, Priority.HIGH)
            )

    def _link_changed(self, event: object, now_s: float) -> None:
        if isinstance(event, LinkUp):
            self._link_up, self._server_heard_s = True, now_s
            if self._remote is not None:
                self._remote.connected()
                self._remote.renew_if_due(now_s)
                self._publish(self._published.get("door", {}))
        elif isinstance(event, LinkDown):
            self._link_up = False

    def _opened(self, request_id: str, at_s: float) -> None:
        way = "face" if request_id in self._faces.openings else "pass"
        first_s = (self._faces if way == "face" else self._passes).openings.pop(request_id, None)
        if first_s is None:
            return
        opening = {"way": way, "ms": round((at_s - first_s) * 1000, 1)}
        self._openings = [*self._openings[-_OPENINGS_KEPT + 1 :], opening]
        self._board.update(last_opening=opening, openings=list(self._openings))

    def _publish(self, door_facts: Mapping[str, Any]) -> None:
        state = {
            "online": True,
            "door": dict(door_facts),
            "roster": {
                "epoch": self._residents.roster.epoch,
                "persons": len(self._residents.roster.persons),
                **self._network.facts(),
                **self._roster.facts(),
            },
            "clock": str(self._clock.quality()),
            **(self._remote.facts() if self._remote is not None else {"challenge": None}),
            "high_security": self._facts.high_security,
            "health": self._health.summary(),
            "release": self._facts.release,
        } | ({"update": self._updates.facts()} if self._updates is not None else {})
        if state != self._published:
            self._published = state
            self._publish_state(state)

    def _rules(self) -> Rules:
        lease_s = self._facts.lease_s if self._facts.has_server else None
        return Rules(self._residents.roster.calendar, self._facts.high_security, lease_s)

    def _moment(self) -> Moment:
        local, floor_s = self._time.local(), self._time.floor_s()
        now_s, heard_s = self._clock.now_s(), self._server_heard_s
        if self._roster.served:  # then only the server's own signed word counts, not that a broker is there
            return Moment(local, int(floor_s), self._roster.silent_s(now_s))
        return Moment(local, int(floor_s), None if heard_s is None else now_s - heard_s)

    def _roster_facts(self) -> dict[str, Any]:
        roster = self._residents.roster
        people, templates = len(roster.persons), self._residents.template_count()
        said = {"epoch": roster.epoch, "persons": people, "templates": templates}
        return {**said, **self._in_use, **self._network.facts(), **self._roster.facts()}

    def _roster_row(self, state: str, **more: Json) -> None:
        body: dict[str, Json] = {"state": state, "epoch": self._residents.roster.epoch, **more}
        self._controller.write(Record(Kind.ROSTER, body))
