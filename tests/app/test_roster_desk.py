"""How fresh the server's roster is: leases, what a restart keeps of them, and who lapses without one."""

from dataclasses import dataclass, field

import pytest

from agent.core.access import Denial, Denied, Granted, Moment, Rules, decide
from agent.core.events import Credential, Record
from agent.core.journal import ClockQuality
from agent.core.roster import Person, PersonKind
from agent.core.schedule import Calendar
from agent.roster.desk import DRIFT_AFTER_S, RosterDesk
from agent.roster.news import RosterAnnounced, RosterApplied

LEASE_S = 72 * 3600.0


class Clock:
    def __init__(self, good: ClockQuality = ClockQuality.NTP) -> None:
        self.s, self.utc_s, self.good = 1000.0, 1_790_000_000, good

    def now_s(self) -> float:
        return self.s

    def utc_ms(self) -> int:
        return self.utc_s * 1000

    def quality(self) -> ClockQuality:
        return self.good


@dataclass
class Hands:
    rows: list[Record] = field(default_factory=list)
    heard_utc_s: list[int] = field(default_factory=list)

    def write(self, record: Record, *, token: str | None = None) -> None:
        self.rows.append(record)

    def heard(self, utc_s: int) -> None:
        self.heard_utc_s.append(utc_s)

    def states(self) -> list[str]:
        return [str(row.body["state"]) for row in self.rows]


def desk(clock: Clock, hands: Hands, *, heard_utc_s: int = 0, revision: int = 3, floor: int = 0) -> RosterDesk:
    return RosterDesk(
        hands, hands, clock, held=(revision, "d"), heard_utc_s=heard_utc_s, facts={"roster": {"revision": floor}},
        fresh=lambda challenge, _now_s: challenge == "mine", identity=None, lease_s=LEASE_S,
    )  # fmt: skip


def test_only_a_head_that_names_this_doors_own_challenge_renews_the_lease():
    """A head that a broker kept, or somebody recorded, proves nothing."""
    clock, hands = Clock(), Hands()
    roster = desk(clock, hands)
    for challenge in (None, "yesterday's"):
        roster.news(RosterAnnounced(3, "d", challenge), clock.s)
        assert roster.silent_s(clock.s) is None
    roster.news(RosterAnnounced(3, "d", "mine"), clock.s)
    assert roster.silent_s(clock.s + 7) == 7
    assert hands.heard_utc_s == [clock.utc_s]


@pytest.mark.parametrize("kind", [kind for kind in PersonKind if kind is not PersonKind.WATCHED])
def test_without_a_lease_visitors_and_contractors_lapse_and_residents_and_staff_go_on(kind: PersonKind):
    clock, hands = Clock(), Hands()
    roster = desk(clock, hands)
    roster.news(RosterAnnounced(3, "d", "mine"), clock.s)
    rules, person = Rules(Calendar(), lease_s=LEASE_S), Person(id="p", kind=kind)
    for later_s, lapsed in ((LEASE_S - 1, False), (LEASE_S + 1, True)):
        answer = decide(person, Credential.REMOTE, rules, Moment(None, 0, roster.silent_s(clock.s + later_s)))
        outside = lapsed and kind in (PersonKind.VISITOR, PersonKind.CONTRACTOR)
        assert answer == (Denied(Denial.LEASE_LAPSED) if outside else Granted("p"))


@pytest.mark.parametrize(
    ("good", "ago_s", "silent_s"),
    [
        (ClockQuality.RTC, 3600, 3600), (ClockQuality.NTP, 3600, 3600), (ClockQuality.NONE, 3600, None),
        (ClockQuality.NTP, -3600, None),
    ],
)  # fmt: skip
def test_a_restart_keeps_the_lease_only_where_the_clock_can_be_believed(good, ago_s, silent_s):
    clock = Clock(good)
    assert desk(clock, Hands(), heard_utc_s=clock.utc_s - ago_s).silent_s(clock.s) == silent_s
    assert desk(clock, Hands()).silent_s(clock.s) is None


def test_staleness_and_drift_are_told_once_and_their_end_too():
    clock, hands = Clock(), Hands()
    roster = desk(clock, hands)
    roster.news(RosterAnnounced(3, "d", "mine"), clock.s)
    for later_s in (0, LEASE_S + 1, LEASE_S + 2 + DRIFT_AFTER_S, LEASE_S + 9 + DRIFT_AFTER_S):
        roster.tend(clock.s + later_s)
    assert hands.states() == ["Stale"]
    late_s = clock.s + 2 * LEASE_S
    roster.news(RosterAnnounced(4, "e", "mine"), late_s)
    assert roster.facts()["drift"]
    for later_s in (0, DRIFT_AFTER_S, 2 * DRIFT_AFTER_S):
        roster.tend(late_s + later_s)
    assert hands.states() == ["Stale", "Fresh", "Drift"]
    roster.news(RosterApplied(4, "e", 3, 1, 0), late_s)
    assert hands.states() == ["Stale", "Fresh", "Drift", "DriftOver", "Applied"]
    assert hands.rows[-1].facts == {"roster": {"revision": 4}}  # what a restored file is measured against
    assert not roster.facts()["drift"]


def test_a_revision_below_the_one_that_the_journal_remembers_is_an_alarm():
    hands = Hands()
    desk(Clock(), hands, revision=2, floor=5)
    assert (hands.states(), hands.rows[0].priority.name) == (["RolledBack"], "ALARM")
