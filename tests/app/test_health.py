"""What the parts around the door say, as rows: what never came, what was lost."""

import math
from math import inf

import pytest

from agent.core.events import Kind, Priority, Record
from agent.core.journal import ClockQuality
from agent.core.stream import OutboxStatus
from agent.core.vision_messages import Hello
from agent.health import VISION_WITHIN_S, Health
from agent.mailbox import Mailbox
from agent.status import StatusBoard

HELLO = Hello(1, "test", "net", "five", liveness=True, missing=None, pid=1)


class Clock:
    def now_s(self) -> float:
        return 100.0

    def utc_ms(self) -> int:
        return 0

    def quality(self) -> ClockQuality:
        return ClockQuality.NTP

    def boot_id(self) -> str:
        return "one"


class World:
    def __init__(self, *, has_camera: bool = True, ends_utc_s: float = inf) -> None:
        self.rows: list[Record] = []
        self.mailbox = Mailbox()
        self.health = Health(
            *(StatusBoard({}), Clock(), self.rows.append, OutboxStatus),
            has_camera=has_camera,
            dropped=lambda: self.mailbox.dropped,
            ends_utc_s=ends_utc_s,
        )

    def said(self, kind: Kind) -> list[tuple[str, Priority]]:
        return [(str(r.body.get("detail") or r.body.get("reason")), r.priority) for r in self.rows if r.kind is kind]


def test_a_vision_process_that_never_comes_is_told_once():
    world = World()
    for second in range(300):
        world.health.tend(100.0 + second)
    assert world.said(Kind.VISION) == [
        (f"it has not come within {VISION_WITHIN_S:.0f} s: systemctl status door-vision", Priority.HIGH)
    ]


@pytest.mark.parametrize("has_camera", [True, False])
def test_nothing_is_missed_where_it_came_or_is_not_meant_to_come(has_camera: bool):  # noqa: FBT001  a case
    world = World(has_camera=has_camera)
    if has_camera:
        world.health.news(HELLO)
        world.rows.clear()
    for second in range(300):
        world.health.tend(100.0 + second)
    assert world.said(Kind.VISION) == []


def test_events_that_the_mailbox_had_no_room_for_are_told():
    world = World()
    for _ in range(10_007):
        world.mailbox.post("news")
    world.health.tend(100.0)
    world.health.tend(130.0)
    world.mailbox.post("more")
    world.health.tend(160.0)
    assert world.said(Kind.UNEXPECTED) == [
        (f"{lost} events were dropped: too many waited for the controller", Priority.HIGH) for lost in (7, 1)
    ]


@pytest.mark.parametrize(
    ("days", "priority"), [(40, None), (29.5, Priority.HIGH), (3, Priority.ALARM), (-1, Priority.ALARM)]
)
def test_a_certificate_that_ends_soon_is_a_row_a_day(days: float, priority: Priority | None):
    """While the server can still hear it; provisioning the door again renews it."""
    world = World(has_camera=False, ends_utc_s=days * 86400)
    for hour in range(49):
        world.health.tend(200.0 + hour * 3600)
    rows = [(row.body["state"], row.body["days"], row.priority) for row in world.rows if row.kind is Kind.LINK]
    assert rows == [("CertificateEnds", math.floor(days), priority)] * 3 * (priority is not None)
