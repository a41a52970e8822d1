"""Withdrawing on the door's page: the real roster's thread forgets the face and writes the person's receipt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from roster_world import unit_vector, until

from agent.clock import SystemClock
from agent.core.roster import WATCH_PURPOSE, Consent, PersonKind
from agent.known_time import KnownTime
from agent.receipts import ReceiptKey
from agent.residents import NewFace, Residents, consent_now
from agent.roster.clerk import RosterClerk, look_at_roster
from agent.roster.news import Withdrawn
from agent.roster.store import RosterStore
from agent.status import StatusBoard
from agent.withdrawal_desk import WhyNot, WithdrawalDesk

NETWORK = ("net", "five")
NOW_S = 1_790_000_500


class NoVision:
    def send(self, _messages) -> bool:
        return False


class Page:
    """The desk before a real clerk; what the clerk posts goes to the desk, as the controller would hand it on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.posts, self.board = folder, [], StatusBoard({})
        first = look_at_roster(folder)
        self.clerk = RosterClerk("garden/gate-1", folder, self.posts.append, NoVision(), known=first.residents)
        self.clerk.start()
        time = KnownTime(SystemClock(), ZoneInfo("UTC"), lambda: float(NOW_S))
        time.note(0.0)
        self.desk = WithdrawalDesk(self.clerk, self.board, time, first.residents)

    def ask(self, who: str) -> dict:
        self.desk.asked({"person": who})
        if self.board.snapshot()["withdrawal"]["state"] == "asked":
            answer = until(lambda: [p for p in self.posts if isinstance(p, Withdrawn)], lambda: str(self.posts), 30)
            self.desk.done(answer[-1])
        return self.board.snapshot()["withdrawal"]

    def faces(self) -> dict[str, int]:
        with contextlib.closing(RosterStore(self.folder)) as store:
            return {p.name: len(p.faces) for p in Residents(store).roster.persons.values()}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    face = NewFace(unit_vector(), 0.9)
    watched = Consent(WATCH_PURPOSE, 5, under_14=False, guardian=None)
    with contextlib.closing(RosterStore(tmp_path)) as store:
        residents = Residents(store)
        residents.add("Li Mei", consent_now(5), [face, face], *NETWORK)
        residents.add("Bo", consent_now(5), [face], *NETWORK)
        residents.add("Bo", consent_now(5), [face], *NETWORK)
        residents.add("X", watched, [face], *NETWORK, kind=PersonKind.WATCHED)
    made = Page(tmp_path)
    yield made
    made.clerk.stop()


def test_the_face_goes_at_once_and_the_receipt_is_this_doors_word(page: Page):
    shown = page.ask(" Li Mei ")
    assert (shown["state"], shown["templates"], page.faces()["Li Mei"]) == ("done", 2, 0)
    assert ReceiptKey(page.folder).holds(shown["receipt"])
    assert shown["receipt"]["asked_utc_s"] >= NOW_S
    assert "Li Mei" not in str(shown["receipt"])


@pytest.mark.parametrize(
    ("who", "why"), [("Bo", WhyNot.SEVERAL), ("li mei", WhyNot.NOBODY), ("", WhyNot.NOBODY), ("X", WhyNot.NOBODY)]
)
def test_nobody_is_guessed_at_and_the_watch_list_is_not_given_away(page: Page, who: str, why: WhyNot):
    assert (page.ask(who)["state"], page.ask(who)["why"]) == ("failed", why)
    assert page.faces() == {"Li Mei": 2, "Bo": 1, "X": 1}


def test_a_damaged_receipt_key_does_not_keep_a_face(page: Page):
    (page.folder / "receipt.key").write_bytes(b"no key")
    shown = page.ask("Li Mei")
    assert (shown["state"], shown["receipt"], page.faces()["Li Mei"]) == ("done", None, 0)
