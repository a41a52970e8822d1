"""A door with unlocked hours: a real controller and a real roster store on one virtual clock."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.app import DoorAgent
from agent.controller import Controller
from agent.core.door import DoorSettings, DoorState, LockDuty, LockType, mode
from agent.core.events import (
    AccessAllowed,
    Credential,
    GuardChanged,
    Input,
    Kind,
    LineChanged,
    ModeOrdered,
    Order,
    Record,
)
from agent.core.roster import Person, PersonKind, parse, person_json
from agent.core.stream import Committed
from agent.hours import Hours
from agent.mailbox import Mailbox
from agent.residents import Residents
from agent.roster.store import RosterStore

XIAMEN, BERLIN = "Asia/Shanghai", "Europe/Berlin"
WEEK = ["mon", "tue", "wed", "thu", "fri"]
ALL_DAYS = [*WEEK, "sat", "sun", "holiday"]
DONE = [("unlock", "accepted"), ("unlock", "done")]  # what a window that unlocked has ordered


@contextlib.contextmanager
def nobody_yet(folder: Path) -> Iterator[Residents]:
    """An empty roster, its store in `folder`."""
    (folder / "state").mkdir()
    with contextlib.closing(RosterStore(folder / "state")) as store:
        yield Residents(store)


def hours(*windows: tuple[list[str], int, int], first: bool = False, holidays: tuple[str, ...] = ()) -> dict[str, Any]:
    """A site with one schedule, in hours of the day."""
    rows = [{"days": days, "start_min": int(a * 60), "end_min": int(b * 60)} for days, a, b in windows]
    return {
        "schedules": [{"id": "office", "windows": rows}],
        "holidays": list(holidays),
        "unlock_hours": [{"schedule": "office", "first_person_in": first}],
    }


OFFICE = hours((WEEK, 8, 18))
FIRST_IN = hours((WEEK, 8, 18), first=True)
PEOPLE = (
    Person(id="p-li", kind=PersonKind.STAFF),
    Person(id="p-guest", kind=PersonKind.VISITOR),
)


def put(residents: Residents, site: Mapping[str, Any]) -> None:
    roster = parse({"v": 1, "epoch": 0, **site, "persons": [person_json(p) for p in PEOPLE]})
    residents.replace(roster)


@dataclass
class World:
    """A door on Monday 2026-11-23; `wall` is local wall time, `now_s` runs with it unless somebody sets the clock."""

    residents: Residents
    start: str
    zone: str = XIAMEN
    trusted: bool = True
    duty: LockDuty = LockDuty.CONTINUOUS
    commits: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    now_s: float = 1000.0
    rows: list[Record] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.set_clock(self.start)
        self.mailbox = Mailbox()
        settings = DoorSettings(lock_type=LockType.FAIL_SECURE, lock_duty=self.duty)
        self.controller = Controller(settings, self.mailbox, self, self, lambda: self.now_s, self.facts)
        self.hours = Hours(self.controller, lambda: self.residents.roster, self.local, self.facts)
        self.controller.join(self)
        self.tell(LineChanged(Input.CONTACT, active=False, at_s=self.now_s), GuardChanged(up=True))

    def set_clock(self, text: str) -> None:
        when = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(self.zone))
        self.utc_minus_now_s = when.timestamp() - self.now_s

    def local(self) -> datetime | None:
        self.looks.append(self.now_s)
        utc = datetime.fromtimestamp(self.now_s + self.utc_minus_now_s, UTC)
        return utc.astimezone(ZoneInfo(self.zone)) if self.trusted else None

    def run(self, minutes: float = 1.0, step_s: float = 10.0) -> str:
        """Let time pass; the mode at the end."""
        end_s = self.now_s + minutes * 60
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + step_s)
            self.controller._settle(self.now_s)
            self.hours.tend(self.now_s)
            self.tell()
        return mode(self.controller.state).value

    def run_to(self, text: str) -> str:
        """Until local wall time says so."""
        when = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(self.zone))
        return self.run((when.timestamp() - self.utc_minus_now_s - self.now_s) / 60)

    def tell(self, *events: object) -> None:
        for event in events:
            self.mailbox.post(event)
        while (event := self.mailbox.take(0)) is not None:
            self.controller._handle(event, self.now_s)

    def order(self, order: Order) -> None:
        self.tell(ModeOrdered(order, "li"))

    def walk_in(self, person_id: str | None = "p-li", *, duress: bool = False) -> None:
        """A grant, the leaf opens and closes: taken."""
        request_id = f"r-{self.now_s}"
        self.controller.step(AccessAllowed(request_id, Credential.PHONE, person_id, duress=duress))
        for active in (True, False):
            self.controller.step(LineChanged(Input.CONTACT, active=active, at_s=self.now_s))

    def orders(self) -> list[tuple[Any, ...]]:
        """What became of every order of the schedule, in order."""
        rows = [r.body for r in self.rows if r.kind is Kind.COMMAND and r.body.get("actor") == "schedule"]
        return [(b["order"], b["outcome"]) for b in rows]

    def again(self) -> "World":
        """The agent restarted: the same store, facts and wall time."""
        utc = datetime.fromtimestamp(self.now_s + self.utc_minus_now_s, UTC).astimezone(ZoneInfo(self.zone))
        return World(self.residents, utc.replace(tzinfo=None).isoformat(), self.zone, facts=dict(self.facts))

    # the journal, the guard and the others
    def append(self, record: Record, *, token: str | None = None) -> None:
        self.rows.append(record)
        self.facts.update(record.facts or {})
        if token is not None and self.commits:
            self.mailbox.post(Committed(token, "e", 1))

    def release(self, until_s: float, *, hold: bool, echo: bool, request_id: str) -> None: ...
    def secure(self) -> None: ...
    def indicate(self, indication: str) -> None: ...
    def changed(self, state: DoorState) -> None: ...

    def stage(self, request_id: str, stage: str, at_s: float, reason: str | None) -> Mapping[str, Any]:
        return {}

    def wrote(self, record: Record) -> None:
        self.hours.wrote(record, self.now_s)


def turn_until(agent: DoorAgent, holds: Callable[[], bool]) -> bool:
    """Turns of the real loop, each at most 0.25 s, until it holds; False when 20 were not enough."""
    for _ in range(20):
        agent._controller.turn()
        if holds():
            return True
    return False
