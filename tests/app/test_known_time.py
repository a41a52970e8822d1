"""What cannot be taken back, and what is dated by a door, goes by a time that has passed for sure."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from roster_world import unit_vector

from agent.clock import SystemClock
from agent.config import parse
from agent.core.journal import ClockQuality
from agent.core.roster import SITE_PURPOSE, Consent, merged, person_json
from agent.journal.opening import open_journal
from agent.journal.schema import Moment
from agent.known_time import KnownTime, known_time_of
from agent.residents import NewFace, Residents, consent_now, forget_expired
from agent.roster.store import RosterStore
from fixtures.plain_door import plain_door

VECTOR = unit_vector()


class Clock(SystemClock):
    def __init__(self, utc_s: int, good: ClockQuality) -> None:
        super().__init__()
        self.utc_s, self.good = utc_s, good

    def utc_ms(self) -> int:
        return self.utc_s * 1000

    def quality(self) -> ClockQuality:
        return self.good


@pytest.mark.parametrize(
    ("clock_days", "quality", "floor_days", "forgotten"),
    [
        (6, ClockQuality.NTP, 0, False),
        (7, ClockQuality.NTP, 0, True),
        (99, ClockQuality.NONE, 6, False),
        (26_000, ClockQuality.RTC, 6, False),  # a battery clock that stands at 2099: deleting cannot be taken back
        (0, ClockQuality.RTC, 7, True),  # the journal knows that it is later
    ],
)
def test_people_whose_time_is_over_are_forgotten_only_by_a_time_that_has_passed_for_sure(
    tmp_path: Path, clock_days: int, quality: ClockQuality, floor_days: int, *, forgotten: bool
):
    until_s, day_s = 1_790_000_000, 86_400
    clock = Clock(until_s + clock_days * day_s, quality)
    known = KnownTime(clock, ZoneInfo("Asia/Shanghai"), lambda: until_s + floor_days * day_s)
    known.note(clock.now_s())
    with contextlib.closing(RosterStore(tmp_path)) as store:
        residents = Residents(store)
        face = [NewFace(VECTOR, 0.9)]
        over = residents.add("Over", consent_now(1), face, "net", "five", valid_until_utc_s=until_s).id
        stays = residents.add("Stays", consent_now(1), face, "net", "five").id
        forget_expired(residents, known.floor_s(), 7)
        assert set(residents.roster.persons) == ({stays} if forgotten else {over, stays})
        assert [(p.person_id, p.reason) for p in store.purges()] == ([(over, "removed")] if forgotten else [])


GIVEN_S = 1_790_000_000


@pytest.mark.parametrize("sure_utc_s", [0.0, GIVEN_S - 1.0, GIVEN_S + 50.0], ids=["1970", "a little behind", "right"])
def test_a_withdrawal_at_a_door_whose_clock_is_behind_still_holds_against_every_consent_known_here(
    tmp_path: Path, sure_utc_s: float
):
    """Dated 1970 it would have been older than the consent that it withdraws, and the server's copy would win."""
    with contextlib.closing(RosterStore(tmp_path)) as store:
        residents = Residents(store)
        person = residents.add("Li Mei", consent_now(GIVEN_S), [NewFace(VECTOR, 0.9)], "net", "five")
        sent = replace(person, consent=Consent(SITE_PURPOSE, GIVEN_S + 20, under_14=False, guardian=None), faces=())
        body = store._seal.sealed("managed person", person.id, json.dumps(person_json(sent)))
        store._db.execute("INSERT INTO managed VALUES ('person', ?, ?)", (person.id, body))
        residents.withdraw(person.id, sure_utc_s)
        at_utc_s = store.withdrawn_utc_s(person.id)
        assert at_utc_s == max(GIVEN_S + 20, int(sure_utc_s))
        assert not merged(sent, None, residents.person(person.id), at_utc_s).consent.lawful
        later = replace(sent.consent, given_utc_s=GIVEN_S + 60)
        again = residents.add_visit(person.id, [NewFace(VECTOR, 0.9)], "net", "five", consent_now(int(sure_utc_s)))
        assert (again.consent.given_utc_s > at_utc_s, len(again.faces)) == (True, 1)  # whatever the clock says
        assert merged(replace(sent, consent=later), None, residents.person(person.id), at_utc_s).consent.lawful


def test_a_withdrawal_by_command_is_dated_by_a_time_that_has_passed_for_sure(tmp_path: Path, monkeypatch):
    """A battery clock at 2099 would have outranked every consent that the person gives afterwards."""
    config = parse(plain_door(tmp_path).encode())
    monkeypatch.setattr(SystemClock, "quality", lambda _self: ClockQuality.RTC)
    monkeypatch.setattr(SystemClock, "utc_ms", lambda _self: 4_070_908_800_000)
    assert known_time_of(config).floor_s() == 0
    (tmp_path / "state").mkdir()
    journal = open_journal(
        tmp_path / "state" / "journal.db", "s/d", Moment("boot", 1, GIVEN_S * 1000, ClockQuality.NTP)
    )
    journal.store.close()
    assert known_time_of(config).floor_s() == pytest.approx(GIVEN_S, abs=5)
